#include "serving/prediction_shipper.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

namespace ratchet::serving {
namespace {

constexpr std::chrono::milliseconds kInterruptEvery{5};
constexpr int kNiceness = 10;  // the spool can wait; answers cannot

}  // namespace

PredictionShipper::PredictionShipper(PredictionSpool& spool, PredictionCounts& counts, SendBatch send,
                                     const Clock& clock, ShipperOptions options, PredictionLedger* ledger)
    : spool_(spool),
      counts_(counts),
      send_(std::move(send)),
      clock_(clock),
      options_(options),
      ledger_(ledger),
      started_at_(ledger ? ledger->started_at() : clock.WallUs()),
      most_records_(options.most_records),
      random_(options.seed) {}

void PredictionShipper::Start() {
  thread_ = std::thread([this] {
    setpriority(PRIO_PROCESS, 0, kNiceness);  // on Linux: of the calling thread
    Loop();
    std::lock_guard lock(mutex_);
    ended_ = true;
    stopped_.notify_all();
  });
}

void PredictionShipper::Stop(const std::function<void()>& interrupt) {
  if (!thread_.joinable()) return;
  std::unique_lock lock(mutex_);
  stopping_ = true;
  stopped_.notify_all();
  while (!ended_) {
    interrupt();
    stopped_.wait_for(lock, kInterruptEvery, [this] { return ended_; });
  }
  lock.unlock();
  thread_.join();
}

void PredictionShipper::Wait(std::int64_t wait_us) {
  std::unique_lock lock(mutex_);
  stopped_.wait_for(lock, std::chrono::microseconds(wait_us), [this] { return stopping_; });
}

void PredictionShipper::Loop() {
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    switch (ShipOnce()) {
      case Outcome::kShipped:
        failures_ = 0;
        break;
      case Outcome::kIdle:
        Wait(options_.look_every_us);
        break;
      case Outcome::kFailed: {
        const std::int64_t longest =
            std::min(options_.longest_wait_us, options_.first_wait_us << std::min(failures_++, 20));
        Wait(std::uniform_int_distribution<std::int64_t>(longest / 2, longest)(random_));
        break;
      }
    }
  }
}

PredictionShipper::Outcome PredictionShipper::Complain(const std::string& what) {
  if (what != last_complaint_) spdlog::warn("{}; predictions wait in the spool", what);
  last_complaint_ = what;
  return Outcome::kFailed;
}

std::uint64_t PredictionShipper::Gap() const {
  return ledger_ ? ledger_->Gap() : counts_.dropped_queue + counts_.dropped_spool + counts_.dropped_refused;
}

PredictionShipper::Outcome PredictionShipper::ShipOnce() {
  ShippedBatch batch{.spool = spool_.id(), .started_at = started_at_, .dropped = Gap(), .lines = {}};
  std::vector<SpooledRecord> records;
  if (spool_.Waiting() > 0) {
    // Synced first: a number that the control plane has seen must not be given to another record after a loss of power.
    if (Status synced = spool_.Sync(); !synced) return Complain(synced.error().Message());
    auto oldest = spool_.Oldest(most_records_, options_.most_bytes);
    if (!oldest) return Complain(oldest.error().Message());
    records = std::move(*oldest);
  }
  if (records.empty() && batch.dropped == told_gap_) return Outcome::kIdle;
  for (const SpooledRecord& record : records)
    batch.lines += "{\"sequence\":" + std::to_string(record.sequence) + "," + record.payload.substr(1) + "\n";
  const auto status = send_(batch);
  if (!status) return Complain(status.error().Message());
  if (!records.empty() && (*status == 400 || *status == 413 || *status == 422)) return Refused(*status, records);
  if (*status != 200) return Complain("the control plane answers predictions with status " + std::to_string(*status));
  return Taken(batch, records);
}

PredictionShipper::Outcome PredictionShipper::Taken(const ShippedBatch& batch, const std::vector<SpooledRecord>& records) {
  if (!records.empty())
    if (Status done = spool_.Acknowledge(records.back().sequence); !done) return Complain(done.error().Message());
  if (!last_complaint_.empty()) spdlog::info("the control plane takes predictions again");
  last_complaint_.clear();
  told_gap_ = batch.dropped;
  most_records_ = std::min(options_.most_records, most_records_ * 2);
  counts_.shipped += records.size();
  counts_.spool_bytes = static_cast<std::int64_t>(spool_.Bytes());
  return Outcome::kShipped;
}

// Something in the batch is at fault: smaller ones find it, and alone it is let go.
PredictionShipper::Outcome PredictionShipper::Refused(int status, const std::vector<SpooledRecord>& records) {
  if (records.size() > 1) {
    most_records_ = records.size() / 2;
    return Outcome::kShipped;
  }
  spdlog::error("the control plane refuses prediction {} with status {}; it is dropped", records[0].sequence, status);
  if (Status done = spool_.Acknowledge(records[0].sequence); !done) return Complain(done.error().Message());
  ++counts_.dropped_refused;
  if (ledger_) ledger_->Refused(1);
  return Outcome::kShipped;
}

}  // namespace ratchet::serving
