#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace ratchet::serving {

// Counts answers that were to be logged and what became of them, in a file that is mapped into memory, so that the numbers
// outlive a killed process: what was on its way to the spool then is known to be lost, to the last one. Numbers are since
// the ledger's beginning, which is the spool's. A loss of power may take the newest of them.
//
// DIR/ledger: see docs/formats.md, "Spool". Any thread; one process by the caller's lock.
class PredictionLedger {
 public:
  // `last_sequence` and `spool`: of the spool as it was opened. What was offered, and neither dropped nor spooled, is lost
  // and counts as dropped from now on. A ledger of another spool is begun anew.
  static Result<std::unique_ptr<PredictionLedger>> Open(const std::string& path, const std::string& spool,
                                                        std::uint64_t last_sequence, std::int64_t now_us);
  ~PredictionLedger();
  PredictionLedger(const PredictionLedger&) = delete;
  PredictionLedger& operator=(const PredictionLedger&) = delete;

  // Before the answer goes out.
  void Offered() { Add(page_->offered, 1); }
  // Of those offered: they will never be in the spool.
  void Dropped(std::uint64_t count) { Add(page_->dropped, count); }
  // Of those spooled: the control plane would not have them.
  void Refused(std::uint64_t count) { Add(page_->refused, count); }

  // All that was answered and is not kept.
  std::uint64_t Gap() const { return page_->dropped + page_->refused; }
  std::uint64_t lost_at_open() const { return lost_at_open_; }  // of them, those that the last process took with it
  std::int64_t started_at() const { return page_->started_at; }

 private:
  struct Page {
    std::uint64_t magic;
    char spool[64];
    std::int64_t started_at;       // wall time
    std::uint64_t first_sequence;  // the spool's last one when the ledger began
    std::atomic<std::uint64_t> offered, dropped, refused;
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  static void Add(std::atomic<std::uint64_t>& count, std::uint64_t by) { count.fetch_add(by, std::memory_order_relaxed); }

  PredictionLedger() = default;
  bool IsOf(const std::string& spool) const;
  void Begin(const std::string& spool, std::uint64_t last_sequence, std::int64_t now_us);
  void Settle(std::uint64_t last_sequence);

  Page* page_ = nullptr;
  std::uint64_t lost_at_open_ = 0;
};

}  // namespace ratchet::serving
