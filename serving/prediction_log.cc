#include "serving/prediction_log.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <chrono>

namespace ratchet::serving {
namespace {

constexpr std::chrono::milliseconds kGather{20};    // so that a busy server wakes the writer 50 times a second, not per answer
constexpr std::chrono::milliseconds kIdleWait{500};
constexpr size_t kGroup = 256;
constexpr int kNiceness = 5;  // answers come first
constexpr std::int64_t kComplainEveryUs = 60'000'000;
constexpr double kTwoTo53 = 9007199254740992.0;

// The n-th number of a stream of well-mixed 64-bit numbers (SplitMix64: Steele, Lea and Flood 2014).
std::uint64_t Mixed(std::uint64_t n) {
  std::uint64_t z = n * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

PredictionLog::PredictionLog(PredictionSpool& spool, PredictionCounts& counts, const Clock& clock, LogOptions options,
                             PredictionLedger* ledger)
    : spool_(spool),
      counts_(counts),
      ledger_(ledger),
      clock_(clock),
      options_(std::move(options)),
      queue_(options_.queue_records) {}

void PredictionLog::Start() {
  thread_ = std::thread([this] { WriteLoop(); });
}

void PredictionLog::Stop() {
  queue_.Close();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    stopped_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool PredictionLog::Wants(const LogSettings* settings) {
  const double sample = settings && settings->sample ? *settings->sample : options_.sample;
  if (sample >= 1) return true;
  const std::uint64_t draw = Mixed(options_.seed + draws_.fetch_add(1, std::memory_order_relaxed));
  return static_cast<double>(draw >> 11) / kTwoTo53 < sample;
}

void PredictionLog::Offer(AnsweredRequest answered) {
  const size_t bytes = answered.Bytes();
  if (ledger_) ledger_->Offered();
  const bool room = queued_bytes_.fetch_add(bytes) + bytes <= options_.queue_bytes;
  if (room && queue_.TryPush(std::move(answered))) return;
  queued_bytes_ -= bytes;
  NoteDropped(counts_.dropped_queue, 1);
}

void PredictionLog::NoteDropped(std::atomic<std::uint64_t>& where, std::uint64_t count) {
  where += count;
  if (ledger_) ledger_->Dropped(count);
}

void PredictionLog::WriteLoop() {
  setpriority(PRIO_PROCESS, 0, kNiceness);  // on Linux: of the calling thread
  while (!queue_.Drained()) {
    const auto group = queue_.PopMany(kGroup, kIdleWait);
    WriteGroup(group);
    counts_.spool_bytes = static_cast<std::int64_t>(spool_.Bytes());
    if (group.size() == kGroup) continue;
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, kGather, [this] { return stopping_; });
  }
  if (Status synced = spool_.Sync(); !synced) spdlog::error("{}", synced.error().Message());
}

void PredictionLog::WriteGroup(const std::vector<AnsweredRequest>& group) {
  std::vector<std::string> records;
  for (const AnsweredRequest& answered : group) {
    records.push_back(RecordJson(answered, options_.redacted));
    if (records.back().size() > kMaxRecordBytes) {
      records.pop_back();
      NoteDropped(counts_.dropped_spool, 1);
      Complain("a prediction is too large to be spooled");
    }
    queued_bytes_ -= answered.Bytes();
  }
  const auto written = spool_.AppendSome(records);
  const size_t count = written.value_or(0);
  counts_.logged += count;
  NoteDropped(counts_.dropped_spool, records.size() - count);
  if (count < records.size()) Complain(written ? "the spool is full" : written.error().Message());
}

void PredictionLog::Complain(const std::string& what) {
  const std::int64_t now_us = clock_.MonotonicUs();
  if (complained_us_ != 0 && now_us - complained_us_ < kComplainEveryUs) return;
  complained_us_ = now_us;
  spdlog::warn("{}; predictions are answered but not logged", what);
}

}  // namespace ratchet::serving
