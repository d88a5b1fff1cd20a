#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/run_detail.h"
#include "daemon/shapes.h"
#include "pipeline/step_folder.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kLogPause = 200ms;  // between two looks at a log that is followed

Result<registry::Run> LoadRun(Api& api, std::int64_t id) {
  return api.store.Read([&](Db& db) { return registry::GetRun(db, id); });
}

Status CheckRunState(const std::string& state) {
  if (registry::StateFromName<registry::RunState>(state)) return {};
  Error error{.code = ErrorCode::kInvalid,
              .operation = "read",
              .subject = "state",
              .cause = Quoted(state) + " is no state of a run",
              .hint = "Use queued, running, succeeded, failed or cancelled"};
  error.field = "state";
  return std::unexpected(std::move(error));
}

// The step whose log is meant: the one asked for, or the newest that has an attempt.
Result<const registry::Step*> StepOf(const registry::Run& run, const std::optional<std::string>& name) {
  if (name) {
    const registry::Step* step = run.FindStep(*name);
    if (step) return step;
    return Fail(ErrorCode::kNotFound, "find step", Quoted(*name), "the run has no step of this name",
                "Its steps are validate, train, test, gate and release");
  }
  const registry::Step* latest = nullptr;
  for (const registry::Step& step : run.steps) {
    if (!step.attempts.empty()) latest = &step;
  }
  return latest ? latest : run.steps.empty() ? nullptr : &run.steps.front();
}

// One open log file, read from its start. One thread.
class LogFile {
 public:
  explicit LogFile(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {}
  ~LogFile() {
    if (fd_ >= 0) close(fd_);
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  // Sends what is there now; false when the client has gone.
  bool SendNew(const Send& send) {
    char buffer[64 * 1024];
    for (;;) {
      const ssize_t got = read(fd_, buffer, sizeof buffer);
      if (got <= 0) return true;
      if (!send({buffer, static_cast<size_t>(got)})) return false;
    }
  }

 private:
  const int fd_;
};

enum class Follow { kNo, kYes };

// Sends the logs of a step's attempts, from the latest one at the start on.
class LogSender {
 public:
  LogSender(Api& api, std::int64_t run, std::string step, std::int64_t attempt, std::function<bool()> abandoned)
      : api_(api), run_(run), step_(std::move(step)), attempt_(attempt), abandoned_(std::move(abandoned)) {}

  bool Run(const Send& send, Follow follow) {
    for (;;) {
      // Asked before the file is read, so that nothing written before the end is missed.
      const Progress progress = Look();
      if (!SendAttempt(send)) return false;
      if (follow == Follow::kNo || progress == Progress::kOver) return true;
      if (progress == Progress::kNext) {
        ++attempt_;
        file_ = nullptr;
        if (!send("--- attempt " + std::to_string(attempt_) + " ---\n")) return false;
        continue;
      }
      if (abandoned_()) return true;
      api_.commits.WaitPast(api_.commits.count(), kLogPause);
    }
  }

 private:
  enum class Progress { kRunning, kNext, kOver };

  Progress Look() {
    const auto run = LoadRun(api_, run_);
    const registry::Step* step = run ? run->FindStep(step_) : nullptr;
    if (!step) return Progress::kOver;
    const auto attempts = static_cast<std::int64_t>(step->attempts.size());
    if (attempts > attempt_) return Progress::kNext;
    return registry::IsEnd(step->state) || registry::IsEnd(run->state) ? Progress::kOver : Progress::kRunning;
  }

  bool SendAttempt(const Send& send) {
    if (!file_ && attempt_ > 0)
      file_ = std::make_unique<LogFile>(pipeline::AttemptFolder(api_.data_dir, run_, step_, attempt_) + "/log");
    if (!file_) return true;
    if (file_->is_open()) return file_->SendNew(send);
    file_ = nullptr;  // not written yet
    return true;
  }

  Api& api_;
  const std::int64_t run_;
  const std::string step_;
  std::int64_t attempt_;
  const std::function<bool()> abandoned_;
  std::unique_ptr<LogFile> file_;
};

}  // namespace

Result<Response> ListRuns(Api& api, const Request& request) {
  RATCHET_ASSIGN(const PageQuery query, ReadNumberedPageQuery(request));
  registry::RunFilter filter{.pipeline = request.Query("pipeline"), .state = request.Query("state")};
  if (filter.state) RATCHET_TRY(CheckRunState(*filter.state));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Run>> {
    return registry::ListRuns(db, filter, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, [&](const registry::Run& run) { return RunJson(run, api.data_dir); }));
}

Result<Response> GetRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, LoadRun(api, id));
  return JsonResponse(RunDetailJson(api, run));
}

Result<Response> CancelRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, api.store.Write([&](Db& db) {
    return registry::AskCancel(db, api.store.NowUs(), request.actor, id);
  }));
  return JsonResponse(RunDetailJson(api, run));
}

Result<Response> RetryRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run,
                 api.store.Write([&](Db& db) { return registry::RetryRun(db, api.store.NowUs(), request.actor, id); }));
  return JsonResponse(RunDetailJson(api, run));
}

Result<Response> GetRunLogs(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, LoadRun(api, id));
  RATCHET_ASSIGN(const registry::Step* step, StepOf(run, request.Query("step")));
  const std::string asked = request.Query("follow").value_or("0");
  const Follow follow = asked == "0" || asked == "false" ? Follow::kNo : Follow::kYes;
  const std::string name = step ? step->name : "";
  const std::int64_t attempt = step && !step->attempts.empty() ? step->attempts.back().number : 0;
  auto sender = std::make_shared<LogSender>(api, id, name, attempt, request.abandoned);
  return Response{.content_type = "text/plain; charset=utf-8",
                  .headers = {{"Cache-Control", "no-store"}},
                  .stream = [sender, follow](const Send& send) { return sender->Run(send, follow); }};
}

}  // namespace ratchet::daemon
