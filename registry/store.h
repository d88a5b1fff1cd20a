#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/result.h"
#include "registry/db.h"

namespace ratchet::registry {

inline constexpr size_t kWriteQueueLimit = 1024;  // waiting writers; one more is refused with kOverloaded
inline constexpr size_t kWriteGroupLimit = 256;   // most writes that share one commit
inline constexpr size_t kReaderLimit = 16;        // idle read connections kept

// What tells one kind of database file from another.
struct Migration;
struct StoreKind {
  std::string name;                          // for errors: "registry"
  int application_id;                        // as SQLite's PRAGMA
  const std::vector<Migration>& (*migrations)();
  int writer_niceness = 0;                   // of the writer thread
};
const StoreKind& RegistryKind();  // registry.db
const StoreKind& EventsKind();    // events.db: predictions and feedback, with a writer that does not hold up the registry's

// A database: one door for writes, any number of readers. Any thread may call.
//
// Write: all callers' functions run on the one writer thread; many share a transaction (group commit) and each caller
// gets its answer after that transaction is on the disk (WAL, synchronous=FULL). A function that returns an error leaves
// nothing behind and does not disturb the others. It may be run more than once (when a group has to be taken apart), so
// it must have no effect but on the database, and be quick.
// Read: a read-only connection and one snapshot for the whole function.
//
// Both turn SQLite's exceptions into errors: kUnavailable for a full disk, kIo for a failing one (nothing was written), kCorrupt for a
// damaged file, kOverloaded for a full queue, kInternal for the rest.
class Store {
 public:
  // Opens or makes the file and brings it to the latest migration. kCorrupt: not of this kind; kConflict: of a newer Ratchet.
  static Result<std::unique_ptr<Store>> Open(const std::string& path, const Clock& clock,
                                             const StoreKind& kind = RegistryKind());
  ~Store();  // finishes what is queued
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // fn: Result<T>(Db&) or Status(Db&). Returns what fn returned, after the commit.
  template <typename Fn>
  std::invoke_result_t<Fn, Db&> Write(Fn fn) {
    using R = std::invoke_result_t<Fn, Db&>;
    R outcome = Fail(ErrorCode::kInternal, "write", kind_.name, "not run");
    Status committed = WriteErased([&](Db& db) -> Status {
      outcome = fn(db);
      if (!outcome) return std::unexpected(outcome.error());
      return {};
    });
    if (!committed) return std::unexpected(std::move(committed).error());
    return outcome;
  }

  template <typename Fn>
  std::invoke_result_t<Fn, Db&> Read(Fn fn) {
    using R = std::invoke_result_t<Fn, Db&>;
    R outcome = Fail(ErrorCode::kInternal, "read", kind_.name, "not run");
    Status read = ReadErased([&](Db& db) -> Status {
      outcome = fn(db);
      return {};
    });
    if (!read) return std::unexpected(std::move(read).error());
    return outcome;
  }

  // Adds a function that the writer thread calls after every commit, but for those of `author`'s writes alone: it knows
  // what it did. Before the first Write only.
  void OnCommit(std::function<void()> listener, std::thread::id author = {}) {
    listeners_.push_back({std::move(listener), author});
  }

  std::int64_t NowUs() const { return clock_.WallUs(); }

  struct Stats {
    std::int64_t writes = 0, commits = 0, failed = 0;
  };
  Stats stats() const { return {writes_.load(), commits_.load(), failed_.load()}; }

 private:
  using Work = std::function<Status(Db&)>;
  struct Job {
    Work work;
    std::thread::id author;
    std::promise<Status> done;
  };

  struct Listener {
    std::function<void()> tell;
    std::thread::id author;
  };

  Store(std::string path, const Clock& clock, const StoreKind& kind, std::unique_ptr<Db> writer);
  Status WriteErased(Work work);
  Status ReadErased(const Work& work);
  void WriterLoop();
  void CommitGroup(std::vector<std::unique_ptr<Job>>& group);
  Status CommitAlone(const Work& work);
  Result<std::unique_ptr<Db>> BorrowReader();
  void ReturnReader(std::unique_ptr<Db> reader);

  const StoreKind& kind_;
  const std::string path_;
  const Clock& clock_;
  std::unique_ptr<Db> writer_db_;
  std::vector<Listener> listeners_;
  BoundedQueue<std::unique_ptr<Job>> queue_{kWriteQueueLimit};
  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<Db>> readers_;
  std::atomic<std::int64_t> writes_{0}, commits_{0}, failed_{0};
  std::thread writer_;
};

// Numbered migrations, oldest first; entry i brings a database from user_version i to i + 1. Exposed for tests.
struct Migration {
  std::string_view name, sql;
};
const std::vector<Migration>& Migrations();        // of registry.db
const std::vector<Migration>& EventsMigrations();  // of events.db
// Runs what is missing, each in a transaction of its own; a failing one changes nothing.
Status Migrate(Db& db, const std::vector<Migration>& migrations, const std::string& name = "registry");

}  // namespace ratchet::registry
