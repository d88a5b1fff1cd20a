#include "daemon/feedback_pusher.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <utility>

#include "daemon/feedback_push.h"

namespace ratchet::daemon {
namespace {

constexpr std::chrono::seconds kLookEvery{10};  // for rows that have waited long enough, and for what is past its time
constexpr int kNiceness = 10;
constexpr std::int64_t kMostBatchRows = 1'000'000;

}  // namespace

void FeedbackPusher::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    setpriority(PRIO_PROCESS, 0, kNiceness);  // on Linux: of the calling thread
    Run(stop);
  });
}

void FeedbackPusher::Wake() {
  std::lock_guard lock(mutex_);
  wake_asked_ = true;
  woken_.notify_all();
}

void FeedbackPusher::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void FeedbackPusher::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Look(stop);
    if (Status kept = api_.feedback.DeleteWhatIsPast(stop); !kept) spdlog::error("{}", kept.error().Message());
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, stop, kLookEvery, [this] { return wake_asked_; });
    wake_asked_ = false;
  }
}

void FeedbackPusher::Look(const std::stop_token& stop) {
  auto plans = api_.store.Read([](Db& db) -> Result<std::vector<registry::FeedbackPlan>> { return registry::FeedbackPlans(db); });
  if (!plans) return spdlog::error("{}", plans.error().Message());
  for (const registry::FeedbackPlan& plan : *plans) {
    if (stop.stop_requested()) return;
    const Status looked = LookAt(plan, stop);
    const std::string told = looked ? "" : looked.error().Message();
    if (std::exchange(complaints_[plan.model], told) != told && !told.empty())
      spdlog::error("feedback on {} cannot become rows of {}: {}; it is tried again", plan.model, plan.to, told);
  }
}

Status FeedbackPusher::LookAt(const registry::FeedbackPlan& plan, const std::stop_token& stop) {
  registry::Store& events = api_.feedback.events();
  for (;;) {
    RATCHET_ASSIGN(auto batch, events.Read([&](Db& db) -> Result<std::optional<registry::FeedbackBatch>> {
      return registry::OpenBatch(db, plan.model, plan.to);
    }));
    if (!batch) {
      RATCHET_ASSIGN(const auto waiting, events.Read([&](Db& db) -> Result<registry::WaitingRows> {
        return registry::WaitingFeedback(db, plan.model, plan.to, plan.every);
      }));
      if (!pipeline::IsBatchDue(waiting, plan.every, plan.within_s * 1'000'000, api_.clock.WallUs())) return {};
      RATCHET_ASSIGN(const std::int64_t latest, LatestVersionOf(api_, plan.to));
      RATCHET_ASSIGN(batch, events.Write([&](Db& db) -> Result<std::optional<registry::FeedbackBatch>> {
        return registry::BeginBatch(db, api_.clock.WallUs(), plan.model, plan.to, latest, kMostBatchRows);
      }));
      if (!batch) return {};
    }
    RATCHET_ASSIGN(const auto end, PushBatch(api_, plan, *batch, stop));
    if (!end) return {};  // stopped
    RATCHET_TRY(events.Write([&](Db& db) -> Status {
      registry::EndBatch(db, api_.clock.WallUs(), batch->id, *end);
      return {};
    }));
    spdlog::info("feedback on {}: {} rows pushed to {}{}, {} unfit, {} of sealed keys, {} known", plan.model, end->rows, plan.to,
                 end->version ? "@" + std::to_string(*end->version) : "", end->unfit, end->in_holdout, end->known);
  }
}

}  // namespace ratchet::daemon
