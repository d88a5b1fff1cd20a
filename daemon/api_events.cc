#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/shapes.h"
#include "pipeline/step_folder.h"
#include "registry/events.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

using namespace std::chrono_literals;

constexpr int kEventsPerRead = 200;
constexpr auto kLookAgain = 1000ms;  // for a client that has gone
constexpr auto kLookForProgress = 400ms;
constexpr std::int64_t kHeartbeatUs = 15'000'000;         // so that proxies and clients see that it lives
constexpr std::int64_t kLongestStreamUs = 3'600'000'000;  // then the client comes again with its Last-Event-ID

// The feed as Server-Sent Events: what is in the registry after `after`, then what comes.
class EventSender {
 public:
  EventSender(Api& api, std::int64_t after, std::optional<std::int64_t> run, std::function<bool()> abandoned)
      : api_(api), after_(after), run_(run), abandoned_(std::move(abandoned)) {}

  bool Run(const Send& send) {
    const std::int64_t end_us = api_.clock.MonotonicUs() + kLongestStreamUs;
    std::int64_t heartbeat_us = 0;
    if (!send("retry: 1000\n\n")) return false;
    while (!abandoned_() && api_.clock.MonotonicUs() < end_us) {
      const std::uint64_t seen = api_.commits.count();
      if (!SendEvents(send) || !SendProgress(send)) return false;
      if (api_.clock.MonotonicUs() >= heartbeat_us) {
        if (!send(": alive\n\n")) return false;
        heartbeat_us = api_.clock.MonotonicUs() + kHeartbeatUs;
      }
      api_.commits.WaitPast(seen, run_ ? kLookForProgress : kLookAgain);
    }
    return true;
  }

 private:
  bool SendEvents(const Send& send) {
    for (;;) {
      const auto events = api_.store.Read([&](Db& db) -> Result<std::vector<registry::Event>> {
        return registry::EventsAfter(db, after_, kEventsPerRead, run_);
      });
      if (!events) return false;
      for (const registry::Event& event : *events) {
        after_ = event.id;
        const std::string text = "id: " + std::to_string(event.id) + "\nevent: " + event.type +
                                 "\ndata: " + EventJson(event).dump(-1, ' ', false, Json::error_handler_t::replace) +
                                 "\n\n";
        if (!send(text)) return false;
      }
      if (events->size() < kEventsPerRead) return true;
    }
  }

  // The newest progress line of the run's running attempt, when it is another than the last one sent.
  bool SendProgress(const Send& send) {
    if (!run_) return true;
    const auto run = api_.store.Read([&](Db& db) { return registry::GetRun(db, *run_); });
    if (!run) return true;
    for (const registry::Step& step : run->steps) {
      if (step.attempts.empty()) continue;
      const std::string folder = pipeline::AttemptFolder(api_.data_dir, *run_, step.name, step.attempts.back().number);
      if (registry::IsEnd(step.state) && sent_.contains(folder)) continue;
      const auto progress = pipeline::LatestProgress(folder);
      if (!progress || sent_[folder] == *progress) continue;
      sent_[folder] = *progress;
      const Json data = {{"step", step.name}, {"progress", *progress}};
      if (!send("event: progress\ndata: " + data.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n"))
        return false;
    }
    return true;
  }

  Api& api_;
  std::int64_t after_;
  const std::optional<std::int64_t> run_;
  const std::function<bool()> abandoned_;
  std::map<std::string, Json> sent_;  // by attempt folder
};

// Where to begin: after the event that the client saw last, or with what comes from now on.
Result<std::int64_t> StartOf(Api& api, const Request& request, std::int64_t otherwise) {
  std::string text = request.Header("Last-Event-ID");
  if (text.empty()) text = request.Query("after").value_or("");
  if (text.empty()) return otherwise;
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 0)
    return Fail(ErrorCode::kInvalid, "read Last-Event-ID", Quoted(text), "it is no event's id");
  RATCHET_ASSIGN(const std::int64_t last,
                 api.store.Read([](Db& db) -> Result<std::int64_t> { return registry::LastEventId(db); }));
  return std::min(id, last);
}

Response EventStream(Api& api, const Request& request, std::int64_t after, std::optional<std::int64_t> run) {
  auto sender = std::make_shared<EventSender>(api, after, run, request.abandoned);
  return Response{.content_type = "text/event-stream",
                  .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}},
                  .stream = [sender](const Send& send) { return sender->Run(send); }};
}

}  // namespace

Result<Response> StreamEvents(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t last,
                 api.store.Read([](Db& db) -> Result<std::int64_t> { return registry::LastEventId(db); }));
  RATCHET_ASSIGN(const std::int64_t after, StartOf(api, request, last));
  return EventStream(api, request, after, std::nullopt);
}

Result<Response> StreamRunEvents(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_TRY(api.store.Read([&](Db& db) { return registry::GetRun(db, id); }));
  // A run's feed begins with its beginning: there is not much of it, and whoever watches has then seen all.
  RATCHET_ASSIGN(const std::int64_t after, StartOf(api, request, 0));
  return EventStream(api, request, after, id);
}

Result<Response> ListAudit(Api& api, const Request& request) {
  RATCHET_ASSIGN(const PageQuery query, ReadNumberedPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::AuditEntry>> {
    return registry::ListAudit(db, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, AuditJson));
}

}  // namespace ratchet::daemon
