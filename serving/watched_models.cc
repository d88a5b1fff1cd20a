#include "serving/watched_models.h"

#include <chrono>
#include <utility>

namespace ratchet::serving {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};

class WatchedRunner final : public ModelRunner {
 public:
  WatchedRunner(std::shared_ptr<const ModelRunner> inner, CallMarks& marks, std::string bundle, std::int64_t limit_us)
      : inner_(std::move(inner)), marks_(marks), bundle_(std::move(bundle)), limit_us_(limit_us) {}

  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    const auto mark = marks_.Begin(bundle_, limit_us_);
    return inner_->Run(std::move(inputs));
  }
  bool Joinable() const override { return inner_->Joinable(); }

 private:
  const std::shared_ptr<const ModelRunner> inner_;
  CallMarks& marks_;
  const std::string bundle_;
  const std::int64_t limit_us_;
};

}  // namespace

ModelLoader WatchedLoader(ModelLoader load, CallMarks& marks, const Quarantine& quarantine, CallLimits limits) {
  return [load = std::move(load), &marks, &quarantine,
          limits](const LocalBundle& bundle) -> Result<std::shared_ptr<const ModelRunner>> {
    if (auto why = quarantine.Why(bundle.digest)) return std::unexpected(Error{.code = ErrorCode::kDenied, .cause = *why});
    const auto mark = marks.Begin(bundle.digest, limits.load_us);
    RATCHET_ASSIGN(auto runner, load(bundle));
    return std::make_shared<WatchedRunner>(std::move(runner), marks, bundle.digest, limits.call_us);
  };
}

CallWatchdog::CallWatchdog(CallMarks& marks, std::function<void(const Fault&)> on_hung)
    : marks_(marks), on_hung_(std::move(on_hung)), thread_([this] { WatchLoop(); }) {}

CallWatchdog::~CallWatchdog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stopped_.notify_all();
  }
  thread_.join();
}

void CallWatchdog::WatchLoop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (auto fault = marks_.FindOverdue()) return on_hung_(*fault);
    stopped_.wait_for(lock, kLookEvery, [this] { return stopping_; });
  }
}

}  // namespace ratchet::serving
