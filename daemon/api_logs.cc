#include <charconv>
#include <memory>
#include <utility>

#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/log_stream.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kMostNamed = 12;  // steps in a message

std::string StepNames(const registry::Run& run) {
  std::string names;
  for (size_t i = 0; i < run.steps.size() && i < kMostNamed; ++i) names += (i ? ", " : "") + run.steps[i].name;
  return run.steps.size() > kMostNamed ? names + ", …" : names;
}

// The step whose log is meant: the one asked for, else the first that runs, else the one begun last.
Result<const registry::Step*> StepOf(const registry::Run& run, const std::optional<std::string>& name) {
  if (name) {
    if (const registry::Step* step = run.FindStep(*name)) return step;
    return Fail(ErrorCode::kNotFound, "find step", Quoted(*name), "the run has no step of this name",
                "Its steps are " + StepNames(run));
  }
  const registry::Step* latest = nullptr;
  for (const registry::Step& step : run.steps) {
    if (step.attempts.empty()) continue;
    if (step.state == registry::StepState::kRunning) return &step;
    if (!latest || step.attempts.back().started_at >= latest->attempts.back().started_at) latest = &step;
  }
  return latest ? latest : run.steps.empty() ? nullptr : &run.steps.front();
}

template <typename Number>
bool ReadNumber(std::string_view text, Number& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

std::unexpected<Error> BadPlace(const char* field, const std::string& text, const char* wanted) {
  Error error{.code = ErrorCode::kInvalid, .operation = "read", .subject = field,
              .cause = Quoted(text) + " is not " + wanted, .hint = {}, .field = field};
  return std::unexpected(std::move(error));
}

// Where to begin: `attempt` and `offset` of the query; a Last-Event-ID, "ATTEMPT-OFFSET" or an offset alone, comes first.
Status ReadPlace(const Request& request, LogPlace& place) {
  if (const auto text = request.Query("attempt")) {
    std::int64_t number = 0;
    if (!ReadNumber(*text, number) || number < 1) return BadPlace("attempt", *text, "the number of an attempt");
    place.one_attempt = number <= place.attempt;
    if (number > place.attempt)
      return Fail(ErrorCode::kNotFound, "find attempt", *text, "the step has had " + std::to_string(place.attempt) + " attempts");
    place.attempt = number;
  }
  if (const auto text = request.Query("offset"); text && !ReadNumber(*text, place.offset))
    return BadPlace("offset", *text, "a number of bytes");
  const std::string last = request.Header("Last-Event-ID");
  if (last.empty()) return {};
  const size_t dash = last.find('-');
  const std::string offset = dash == std::string::npos ? last : last.substr(dash + 1);
  if (!ReadNumber(offset, place.offset)) return BadPlace("Last-Event-ID", last, "a place in a log, like 1-4096");
  if (dash == std::string::npos) return {};
  std::int64_t attempt = 0;
  if (!ReadNumber(std::string_view(last).substr(0, dash), attempt) || attempt < 0)
    return BadPlace("Last-Event-ID", last, "a place in a log, like 1-4096");
  if (attempt <= place.attempt) place.attempt = attempt;
  return {};
}

}  // namespace

Result<Response> GetRunLogs(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, api.store.Read([&](Db& db) { return registry::GetRun(db, id); }));
  RATCHET_ASSIGN(const registry::Step* step, StepOf(run, request.Query("step")));
  LogPlace place{.run = id, .step = step ? step->name : ""};
  if (step && !step->attempts.empty()) place.attempt = step->attempts.back().number;
  RATCHET_TRY(ReadPlace(request, place));
  const LogForm form = request.Header("Accept").find("text/event-stream") != std::string::npos ? LogForm::kEvents : LogForm::kText;
  const std::string asked = request.Query("follow").value_or(form == LogForm::kEvents ? "1" : "0");
  const Follow follow = asked == "0" || asked == "false" ? Follow::kNo : Follow::kYes;
  auto sender = std::make_shared<LogSender>(api, std::move(place), form, request.abandoned);
  return Response{.content_type = form == LogForm::kEvents ? "text/event-stream" : "text/plain; charset=utf-8",
                  .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}},
                  .stream = [sender, follow](const Send& send) { return sender->Run(send, follow); }};
}

}  // namespace ratchet::daemon
