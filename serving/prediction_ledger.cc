#include "serving/prediction_ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace ratchet::serving {
namespace {

constexpr std::uint64_t kMagic = 0x31524744454c5052;  // "RPLEDGR1"
constexpr size_t kBytes = 4096;

}  // namespace

Result<std::unique_ptr<PredictionLedger>> PredictionLedger::Open(const std::string& path, const std::string& spool,
                                                                 std::uint64_t last_sequence, std::int64_t now_us) {
  static_assert(sizeof(Page) <= kBytes);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return FailErrno("open", path, errno);
  // The blocks are taken now: a full disk must not end the process when the page is written.
  const int full = posix_fallocate(fd, 0, kBytes);
  void* mapped = full == 0 ? mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  const int error = full != 0 ? full : errno;
  close(fd);
  if (mapped == MAP_FAILED) return FailErrno("map", path, error);
  std::unique_ptr<PredictionLedger> ledger(new PredictionLedger);
  ledger->page_ = std::launder(reinterpret_cast<Page*>(mapped));
  if (ledger->IsOf(spool)) {
    ledger->Settle(last_sequence);
  } else {
    ledger->Begin(spool, last_sequence, now_us);
  }
  return ledger;
}

PredictionLedger::~PredictionLedger() {
  if (page_ != nullptr) munmap(page_, kBytes);
}

bool PredictionLedger::IsOf(const std::string& spool) const {
  return page_->magic == kMagic && spool.size() < sizeof page_->spool && spool == std::string_view(page_->spool, strnlen(page_->spool, sizeof page_->spool));
}

void PredictionLedger::Begin(const std::string& spool, std::uint64_t last_sequence, std::int64_t now_us) {
  page_->magic = 0;  // until all of it is there
  std::memset(page_->spool, 0, sizeof page_->spool);
  spool.copy(page_->spool, sizeof page_->spool - 1);
  page_->started_at = now_us;
  page_->first_sequence = last_sequence;
  page_->offered = page_->dropped = page_->refused = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  page_->magic = kMagic;
}

void PredictionLedger::Settle(std::uint64_t last_sequence) {
  const std::uint64_t settled = page_->dropped + (last_sequence - std::min(page_->first_sequence, last_sequence));
  const std::uint64_t offered = page_->offered;
  // After a loss of power the page may be older than the spool: then nothing can be told of what came after it.
  lost_at_open_ = offered > settled ? offered - settled : 0;
  if (settled > offered) page_->offered = settled;
  page_->dropped += lost_at_open_;
}

}  // namespace ratchet::serving
