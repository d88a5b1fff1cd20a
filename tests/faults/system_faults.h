#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

// Faults in the system calls of this very process: the program that links this file has write, fsync, rename and their
// like, and sqlite3_step, pass through here, whoever calls them: SQLite, the standard library or Ratchet. Only calls made
// while `armed` are counted and may fail. Ratchet's own threads take turns (a write is waited for), so the count of calls
// is the same in every run.
namespace ratchet::faults {

enum class Call { kWrite, kSync, kRename, kFolder, kSql, kSeam };
inline constexpr std::array<const char*, 6> kCallNames = {"write", "sync", "rename", "folder", "sql", "seam"};

struct SystemFaults {
  bool armed = false;
  bool dead = false;                   // the process has "died": nothing that it does has an effect any more
  bool disk_full = false;              // writes and new folders fail with ENOSPC
  std::int64_t calls_to_live = -1;     // dies at this many calls from now, in the middle of the call; negative: never
  Call fail_kind = Call::kWrite;       // the call of this kind fails …
  std::int64_t fail_at = 0;            // … when it is the Nth since ResetCounts, once; 0: none
  int fail_errno = 0;                  // 0: ENOSPC for writes and folders, EIO for the rest
  bool count_sql = false;              // statements of SQL count as calls, too
  std::array<std::int64_t, kCallNames.size()> counts{};
  std::function<void()> on_sync;       // a disk that takes its time
};

SystemFaults& Faults();
void ResetCounts();

// Counts a call and says whether it is to fail: 0, or an errno. For seams that are no system calls (kSeam).
int Reached(Call call);

// What was written but not synced is taken back, from some write on in each file, as a cut of the power may do. `cut(n)`
// gives how many of a file's n unsynced writes have made it to the disk. Writes are remembered while armed, since the
// last call of this or ForgetWrites.
void CutPower(const std::function<size_t(size_t)>& cut);
void ForgetWrites();

// While one lives, calls are the outer world's, not the daemon's.
class Outside {
 public:
  Outside() : armed_(Faults().armed) { Faults().armed = false; }
  ~Outside() { Faults().armed = armed_; }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

 private:
  bool armed_;
};

}  // namespace ratchet::faults
