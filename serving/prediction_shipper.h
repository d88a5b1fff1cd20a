#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "base/clock.h"
#include "serving/prediction_ledger.h"
#include "serving/prediction_spool.h"
#include "serving/serve_metrics.h"

namespace ratchet::serving {

// A batch as it goes to the control plane: JSON Lines, and what goes with it in the address.
struct ShippedBatch {
  std::string spool;              // the spool's own id
  std::int64_t started_at = 0;    // when the count began, wall time
  std::uint64_t dropped = 0;      // predictions that were answered and are not kept, since then
  std::string lines;
};

// Sends one batch; gives the answer's HTTP status, or kUnavailable where none came.
using SendBatch = std::function<Result<int>(const ShippedBatch& batch)>;

struct ShipperOptions {
  size_t most_records = 1000;
  size_t most_bytes = 1u << 20;
  std::int64_t look_every_us = 200'000;  // for new records
  std::int64_t first_wait_us = 100'000;  // after a failure; doubles with each further one
  std::int64_t longest_wait_us = 5'000'000;
  std::uint64_t seed = 1;                // of the jitter
};

// One thread that sends the spool's records to the control plane, oldest first, and acknowledges what was taken. While
// the control plane is away it waits and tries again; records wait in the spool. A batch may be sent twice: the control
// plane knows the numbers it has. A record that the control plane will not take, alone, is dropped and counted.
class PredictionShipper {
 public:
  // References and `ledger` outlive the shipper; without a ledger it counts since this process began. A gap that has
  // grown is told by an empty batch where there is nothing else to send.
  PredictionShipper(PredictionSpool& spool, PredictionCounts& counts, SendBatch send, const Clock& clock,
                    ShipperOptions options, PredictionLedger* ledger = nullptr);
  ~PredictionShipper() { Stop(); }
  PredictionShipper(const PredictionShipper&) = delete;
  PredictionShipper& operator=(const PredictionShipper&) = delete;

  void Start();
  // Returns when the sending under way has ended. `interrupt` is called until it has, to make that soon.
  void Stop(const std::function<void()>& interrupt = [] {});

 private:
  enum class Outcome { kIdle, kShipped, kFailed };
  void Loop();
  Outcome ShipOnce();
  Outcome Refused(int status, const std::vector<SpooledRecord>& records);
  Outcome Complain(const std::string& what);
  Outcome Taken(const ShippedBatch& batch, const std::vector<SpooledRecord>& records);
  std::uint64_t Gap() const;
  void Wait(std::int64_t wait_us);

  PredictionSpool& spool_;
  PredictionCounts& counts_;
  const SendBatch send_;
  const Clock& clock_;
  const ShipperOptions options_;
  PredictionLedger* const ledger_;
  const std::int64_t started_at_;
  std::uint64_t told_gap_ = 0;
  size_t most_records_;  // the next batch's; fewer after a refusal
  int failures_ = 0;
  std::string last_complaint_;
  std::mt19937_64 random_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false, ended_ = false;
  std::thread thread_;
};

}  // namespace ratchet::serving
