#include "registry/store.h"

#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>

namespace ratchet::registry {
namespace {

constexpr int kBusyTimeoutMs = 5000;

Error FromException(const SQLite::Exception& exception, std::string operation, const std::string& subject) {
  ErrorCode code = ErrorCode::kInternal;
  std::string hint;
  switch (exception.getErrorCode()) {
    case SQLITE_FULL:
      code = ErrorCode::kUnavailable;
      hint = "Free some space on the data directory's disk and try again";
      break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      code = ErrorCode::kIo;
      hint = "Check that the data directory is writable and that its disk has free space";
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      code = ErrorCode::kCorrupt;
      hint = "Restore the data directory from a backup";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      code = ErrorCode::kUnavailable;
      break;
    default: break;
  }
  return Error{.code = code, .operation = std::move(operation), .subject = subject, .cause = exception.what(),
               .hint = hint, .field = {}};
}

// The outermost place where exceptions of the room stop.
template <typename Fn>
Status Guarded(const char* operation, const std::string& subject, Fn fn) {
  try {
    return fn();
  } catch (const SQLite::Exception& exception) {
    return std::unexpected(FromException(exception, operation, subject));
  } catch (const std::exception& exception) {
    return Fail(ErrorCode::kInternal, operation, subject, exception.what());
  }
}

void Configure(Db& db) {
  db.database().setBusyTimeout(kBusyTimeoutMs);
  db.database().exec("PRAGMA foreign_keys = ON");
  db.database().exec("PRAGMA trusted_schema = OFF");
  db.database().exec("PRAGMA cache_size = -4096");  // KiB
}

void ConfigureWriter(Db& db) {
  Configure(db);
  db.database().exec("PRAGMA journal_mode = WAL");
  db.database().exec("PRAGMA synchronous = FULL");
}

int PragmaInt(Db& db, const char* sql) { return db.database().execAndGet(sql).getInt(); }

bool InTransaction(Db& db) { return sqlite3_get_autocommit(db.database().getHandle()) == 0; }

void RollbackIfOpen(Db& db) {
  db.ResetStatements();
  if (InTransaction(db)) db.database().exec("ROLLBACK");
}

}  // namespace

const StoreKind& RegistryKind() {
  static const StoreKind kind{"registry", 0x52435431, Migrations};  // "RCT1"
  return kind;
}

const StoreKind& EventsKind() {
  static const StoreKind kind{"events database", 0x52434531, EventsMigrations, 10};  // "RCE1"
  return kind;
}

Status Migrate(Db& db, const std::vector<Migration>& migrations, const std::string& name) {
  return Guarded("migrate", name, [&]() -> Status {
    int version = PragmaInt(db, "PRAGMA user_version");
    if (version > static_cast<int>(migrations.size()))
      return Fail(ErrorCode::kConflict, "open", name, "it was written by a newer Ratchet",
                  "Start that version of ratchetd, or restore a backup");
    for (; version < static_cast<int>(migrations.size()); ++version) {
      SQLite::Transaction transaction(db.database(), SQLite::TransactionBehavior::IMMEDIATE);
      db.database().exec(std::string(migrations[version].sql));
      db.database().exec("PRAGMA user_version = " + std::to_string(version + 1));
      transaction.commit();
    }
    return {};
  });
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& path, const Clock& clock, const StoreKind& kind) {
  std::unique_ptr<Db> db;
  RATCHET_TRY(Guarded("open", kind.name, [&]() -> Status {
    db = std::make_unique<Db>(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    int application = PragmaInt(*db, "PRAGMA application_id");
    bool fresh = application == 0 && PragmaInt(*db, "SELECT count(*) FROM sqlite_schema") == 0;
    if (!fresh && application != kind.application_id)
      return Fail(ErrorCode::kCorrupt, "open", path, "it is an SQLite file, but not the " + kind.name + " of Ratchet");
    ConfigureWriter(*db);
    if (fresh) db->database().exec("PRAGMA application_id = " + std::to_string(kind.application_id));
    return {};
  }));
  RATCHET_TRY(Migrate(*db, kind.migrations(), kind.name));
  return std::unique_ptr<Store>(new Store(path, clock, kind, std::move(db)));
}

Store::Store(std::string path, const Clock& clock, const StoreKind& kind, std::unique_ptr<Db> writer)
    : kind_(kind), path_(std::move(path)), clock_(clock), writer_db_(std::move(writer)), writer_([this] { WriterLoop(); }) {}

Store::~Store() {
  queue_.Close();
  writer_.join();
}

Status Store::WriteErased(Work work) {
  auto job = std::make_unique<Job>();
  job->work = std::move(work);
  job->author = std::this_thread::get_id();
  std::future<Status> done = job->done.get_future();
  if (!queue_.TryPush(std::move(job)))
    return Fail(ErrorCode::kOverloaded, "write", kind_.name, "too many writes are waiting", "Try again in a moment");
  return done.get();
}

void Store::WriterLoop() {
  if (kind_.writer_niceness > 0) setpriority(PRIO_PROCESS, 0, kind_.writer_niceness);  // on Linux: of the calling thread
  while (!queue_.Drained()) {
    std::vector<std::unique_ptr<Job>> group = queue_.PopMany(kWriteGroupLimit, std::chrono::milliseconds(1000));
    if (!group.empty()) CommitGroup(group);
  }
}

// One transaction for all; a function that fails is undone by its savepoint. When the transaction itself fails (disk
// full, say), each is tried alone, so that one caller's bad luck is not another's.
void Store::CommitGroup(std::vector<std::unique_ptr<Job>>& group) {
  std::vector<Status> outcomes(group.size());
  bool any_ok = false;
  const std::int64_t commits_before = commits_;
  Status committed = Guarded("commit", kind_.name, [&]() -> Status {
    writer_db_->database().exec("BEGIN IMMEDIATE");
    for (size_t i = 0; i < group.size(); ++i) {
      writer_db_->database().exec("SAVEPOINT job");
      outcomes[i] = Guarded("write", kind_.name, [&] { return group[i]->work(*writer_db_); });
      writer_db_->ResetStatements();
      if (!InTransaction(*writer_db_)) return Fail(ErrorCode::kIo, "write", kind_.name, "the transaction was lost");
      if (!outcomes[i]) writer_db_->database().exec("ROLLBACK TO job");
      writer_db_->database().exec("RELEASE job");
      any_ok |= outcomes[i].has_value();
    }
    writer_db_->database().exec(any_ok ? "COMMIT" : "ROLLBACK");
    return {};
  });
  if (!committed) {
    Guarded("rollback", kind_.name, [&]() -> Status { RollbackIfOpen(*writer_db_); return {}; });
    for (size_t i = 0; i < group.size(); ++i) outcomes[i] = CommitAlone(group[i]->work);
  } else if (any_ok) {
    ++commits_;
  }
  for (size_t i = 0; i < group.size(); ++i) {
    ++(outcomes[i] ? writes_ : failed_);
    group[i]->done.set_value(std::move(outcomes[i]));
  }
  // Nobody is woken for what changed nothing: a listener that writes, and fails, would wake itself for ever.
  if (commits_ == commits_before) return;
  for (const Listener& listener : listeners_)
    if (std::ranges::any_of(group, [&](const auto& job) { return job->author != listener.author; })) listener.tell();
}

Status Store::CommitAlone(const Work& work) {
  Status done = Guarded("write", kind_.name, [&]() -> Status {
    writer_db_->database().exec("BEGIN IMMEDIATE");
    Status outcome = work(*writer_db_);
    writer_db_->ResetStatements();
    if (!outcome) {
      if (InTransaction(*writer_db_)) writer_db_->database().exec("ROLLBACK");
      return outcome;
    }
    writer_db_->database().exec("COMMIT");
    ++commits_;
    return {};
  });
  if (!done) Guarded("rollback", kind_.name, [&]() -> Status { RollbackIfOpen(*writer_db_); return {}; });
  return done;
}

Status Store::ReadErased(const Work& work) {
  auto reader = BorrowReader();
  if (!reader) return std::unexpected(std::move(reader).error());
  Status read = Guarded("read", kind_.name, [&]() -> Status {
    (*reader)->database().exec("BEGIN");
    return work(**reader);
  });
  Status ended = Guarded("read", kind_.name, [&]() -> Status { RollbackIfOpen(**reader); return {}; });
  if (read && ended) ReturnReader(std::move(*reader));
  return read;
}

Result<std::unique_ptr<Db>> Store::BorrowReader() {
  {
    std::lock_guard lock(readers_mutex_);
    if (!readers_.empty()) {
      auto reader = std::move(readers_.back());
      readers_.pop_back();
      return reader;
    }
  }
  std::unique_ptr<Db> reader;
  RATCHET_TRY(Guarded("open", kind_.name, [&]() -> Status {
    reader = std::make_unique<Db>(path_, SQLite::OPEN_READONLY);
    Configure(*reader);
    return {};
  }));
  return reader;
}

void Store::ReturnReader(std::unique_ptr<Db> reader) {
  std::lock_guard lock(readers_mutex_);
  if (readers_.size() < kReaderLimit) readers_.push_back(std::move(reader));
}

}  // namespace ratchet::registry
