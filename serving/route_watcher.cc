#include "serving/route_watcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace ratchet::serving {
namespace {

constexpr std::chrono::milliseconds kInterruptEvery{5};
constexpr std::chrono::milliseconds kLookAgainEvery{1000};  // for failed loads that may be tried again
constexpr std::int64_t kEarlyAnswerUs = 500'000;  // an answer without news that comes sooner is a broken server's

}  // namespace

RouteWatcher::RouteWatcher(ModelHost& host, BundleSource& bundles, ModelLoader load, ControlClient* control,
                           Files& files, const Clock& clock, WatcherOptions options)
    : host_(host),
      bundles_(bundles),
      load_(std::move(load)),
      control_(control),
      files_(files),
      clock_(clock),
      options_(std::move(options)),
      random_(options_.seed) {}

RouteWatcher::~RouteWatcher() { Stop(); }

Status RouteWatcher::AdoptKeptRoutes() {
  RATCHET_ASSIGN(std::string text, files_.Read(options_.routes_path, kMaxRouteTableBytes));
  auto table = ParseRouteTable(text);
  if (!table) return Fail(ErrorCode::kCorrupt, "read", options_.routes_path, table.error().cause);
  host_.Adopt(OnlyOf(std::move(*table), options_.only));
  return {};
}

void RouteWatcher::Start() {
  load_thread_ = std::thread([this] { LoadLoop(); });
  if (control_) poll_thread_ = std::thread([this] { PollLoop(); });
}

void RouteWatcher::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (control_) control_->AbandonFetches();
  if (poll_thread_.joinable()) {
    std::unique_lock lock(mutex_);
    while (reported_ != UINT64_MAX) {
      control_->Interrupt();
      changed_.wait_for(lock, kInterruptEvery);
    }
    lock.unlock();
    poll_thread_.join();
  }
  if (load_thread_.joinable()) load_thread_.join();
}

bool RouteWatcher::Stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void RouteWatcher::PollLoop() {
  while (!Stopping()) {
    if (PollOnce())
      failures_ = 0;
    else
      WaitAfterFailure();
  }
  std::lock_guard lock(mutex_);
  reported_ = UINT64_MAX;
  changed_.notify_all();
}

bool RouteWatcher::PollOnce() {
  {
    std::lock_guard lock(mutex_);
    reported_ = state_;
  }
  const std::int64_t asked_at_us = clock_.MonotonicUs();
  ReplicaState replica{.only = options_.only};
  if (options_.predictions) replica.predictions = options_.predictions();
  auto answer = control_->Sync(SyncRequestJson(revision_, host_.State(), replica));
  if (answer) {
    bool sound = true;
    Apply(*answer, revision_, asked_at_us, sound);
    return sound;
  }
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || reported_ != state_) return true;  // interrupted: there is news to tell
  }
  if (answer.error().Message() != last_complaint_) {
    last_complaint_ = answer.error().Message();
    spdlog::warn("{}; serving goes on with the routes held", last_complaint_);
  }
  revision_ = kNoTable;  // the control plane that comes back may count anew
  return false;
}

void RouteWatcher::WaitAfterFailure() {
  failures_ = std::min(failures_ + 1, 20);
  const std::int64_t longest =
      std::min(options_.longest_wait_us, options_.first_wait_us << std::min(failures_ - 1, 10));
  const std::int64_t wait_us = std::uniform_int_distribution<std::int64_t>(longest / 2, longest)(random_);
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::microseconds(wait_us), [&] { return stopping_; });
}

void RouteWatcher::Apply(const std::string& answer, std::int64_t asked_revision, std::int64_t asked_at_us,
                         bool& sound) {
  const std::int64_t got_at_us = clock_.MonotonicUs();
  auto table = ParseRouteTable(answer);
  if (!table) {
    spdlog::error("sync: {}", table.error().Message());
    sound = false;
    return;
  }
  if (!last_complaint_.empty()) spdlog::info("the control plane answers again");
  last_complaint_.clear();
  revision_ = table->revision;
  sound = table->revision != asked_revision || got_at_us - asked_at_us > kEarlyAnswerUs;
  const ModelHost::Outcome outcome = host_.Adopt(OnlyOf(std::move(*table), options_.only));
  spdlog::debug("routes of revision {} applied in {} us", revision_, clock_.MonotonicUs() - got_at_us);
  for (const std::string& model : outcome.refused) {
    spdlog::error("refused a route of {} that is older than the one held", model);
  }
  if (outcome.changed) KeepRoutes();
  std::lock_guard lock(mutex_);
  ++adopted_;
  changed_.notify_all();
}

void RouteWatcher::LoadLoop() {
  std::uint64_t seen = 0;
  bool untidy = true;  // something may lie in the cache that no route names
  while (!Stopping()) {
    ModelHost::Wanted wanted;
    if (host_.NextToLoad(clock_.MonotonicUs() - options_.retry_load_us, wanted)) {
      LoadOne(wanted);
      untidy = true;
      std::lock_guard lock(mutex_);
      ++state_;
      if (control_ && reported_ < state_) control_->Interrupt();
    } else {
      // Not before it is known what is wanted: that would empty the cache of a replica whose control plane is away.
      if (untidy && host_.Snapshot()->settled) {
        bundles_.KeepOnly(host_.BundlesInUse());
        untidy = false;
      }
      std::unique_lock lock(mutex_);
      const auto due = [&] { return stopping_ || adopted_ != seen; };
      while (!due() && control_ && reported_ < state_) {
        control_->Interrupt();
        changed_.wait_for(lock, kInterruptEvery, due);
      }
      changed_.wait_for(lock, kLookAgainEvery, due);
      untidy = untidy || adopted_ != seen;
      seen = adopted_;
    }
  }
}

void RouteWatcher::LoadOne(const ModelHost::Wanted& wanted) {
  const std::int64_t begin_us = clock_.MonotonicUs();
  const std::string name = wanted.model + "@" + std::to_string(wanted.ref.version);
  auto bundle = bundles_.Open(wanted.ref.bundle);
  Result<std::shared_ptr<const ModelRunner>> runner = nullptr;
  if (bundle) runner = load_(*bundle);
  if (bundle && runner) {
    if (host_.Add(wanted, *bundle, std::move(*runner))) KeepRoutes();
    load_complaints_.erase(wanted.ref.bundle);
    spdlog::info("loaded {} in {} ms", name, (clock_.MonotonicUs() - begin_us) / 1000);
    return;
  }
  const std::string why = (bundle ? runner.error() : bundle.error()).Message();
  if (load_complaints_.size() > kMaxRoutes) load_complaints_.clear();
  if (std::exchange(load_complaints_[wanted.ref.bundle], why) != why) spdlog::error("cannot load {}: {}", name, why);
  host_.Fail(wanted, why, clock_.MonotonicUs());
}

void RouteWatcher::KeepRoutes() {
  std::lock_guard lock(keep_mutex_);
  if (auto kept = files_.WriteAtomic(options_.routes_path, SerialiseRouteTable(host_.Table())); !kept) {
    spdlog::error("{}; a restart without the control plane would begin with older routes", kept.error().Message());
  }
}

}  // namespace ratchet::serving
