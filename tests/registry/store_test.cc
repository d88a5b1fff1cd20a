#include "registry/store.h"

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "registry/models.h"
#include "tests/registry/registry_fixture.h"

namespace ratchet::registry {
namespace {

using StoreTest = RegistryTest;

Status AddEvent(Db& db, const std::string& type) {
  AppendEvent(db, {.type = type, .data = Json::object(), .at = 1});
  return {};
}

std::int64_t CountEvents(Store& store) {
  auto count = store.Read([](Db& db) -> Result<std::int64_t> {
    return static_cast<std::int64_t>(EventsAfter(db, 0, 100000).size());
  });
  return count.value_or(-1);
}

TEST_F(StoreTest, KeepsWhatWasWrittenAcrossReopening) {
  ASSERT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "a"); }));
  Reopen();
  EXPECT_EQ(CountEvents(*store_), 1);
}

TEST_F(StoreTest, UndoesAFailedWriteAndLeavesItsNeighboursAlone) {
  std::vector<std::thread> writers;
  std::atomic<int> failed = 0;
  for (int i = 0; i < 40; ++i)
    writers.emplace_back([&, i] {
      Status written = store_->Write([&](Db& db) -> Status {
        RATCHET_TRY(AddEvent(db, "x"));
        if (i % 4 == 0) return Fail(ErrorCode::kInvalid, "write", "test", "on purpose");
        return {};
      });
      if (!written) ++failed;
    });
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed, 10);
  EXPECT_EQ(CountEvents(*store_), 30);
}

TEST_F(StoreTest, SharesCommitsBetweenWritersThatWait) {
  // The first write holds the door until all others are queued.
  std::atomic<int> queued = 0;
  std::vector<std::thread> writers;
  std::thread first([&] {
    EXPECT_TRUE(store_->Write([&](Db& db) -> Status {
      while (queued < 50) std::this_thread::yield();
      return AddEvent(db, "first");
    }));
  });
  for (int i = 0; i < 50; ++i)
    writers.emplace_back([&] {
      ++queued;
      EXPECT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "x"); }));
    });
  first.join();
  for (std::thread& writer : writers) writer.join();
  Store::Stats stats = store_->stats();
  EXPECT_EQ(stats.writes, 51);
  EXPECT_LT(stats.commits, 51);
}

TEST_F(StoreTest, TurnsSqlErrorsIntoValues) {
  auto outcome = store_->Write([](Db& db) -> Status {
    db.Exec("INSERT INTO versions (model, version) VALUES ('none', 1)");
    return {};
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kInternal);
}

TEST_F(StoreTest, RefusesToWriteThroughAReader) {
  auto outcome = store_->Read([](Db& db) { return AddEvent(db, "x"); });
  EXPECT_FALSE(outcome);
  EXPECT_EQ(CountEvents(*store_), 0);
}

TEST_F(StoreTest, TellsListenersAfterTheCommit) {
  std::atomic<int> told = 0;
  store_->OnCommit([&] { ++told; });
  ASSERT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "x"); }));
  while (told == 0) std::this_thread::yield();
  EXPECT_GE(told, 1);
}

TEST_F(StoreTest, TellsAListenerNothingOfItsAuthorsOwnWrites) {
  std::atomic<int> own = 0, all = 0;
  store_->OnCommit([&] { ++own; }, std::this_thread::get_id());
  store_->OnCommit([&] { ++all; });
  ASSERT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "x"); }));
  while (all < 1) std::this_thread::yield();
  EXPECT_EQ(own, 0);
  std::thread([&] { ASSERT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "y"); })); }).join();
  while (all < 2) std::this_thread::yield();
  EXPECT_EQ(own, 1);
}

TEST_F(StoreTest, TellsNobodyOfAWriteThatFailed) {
  std::atomic<int> told = 0;
  store_->OnCommit([&] { ++told; });
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(store_->Write([](Db&) -> Status { return Fail(ErrorCode::kConflict, "write", "test", "on purpose"); }));
  ASSERT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "x"); }));
  while (told == 0) std::this_thread::yield();
  EXPECT_EQ(told, 1);
}

TEST_F(StoreTest, SurvivesAFullDatabaseSoundly) {
  ASSERT_TRUE(store_->Write([](Db& db) -> Status {
    auto pages = db.database().execAndGet("PRAGMA page_count").getInt();
    db.database().exec("PRAGMA max_page_count = " + std::to_string(pages + 2));
    return {};
  }));
  std::string big(100'000, 'x');
  auto outcome = store_->Write([&](Db& db) -> Status {
    AppendEvent(db, {.type = "big", .data = {{"text", big}}, .at = 1});
    return {};
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(store_->Write([](Db& db) { return AddEvent(db, "small"); })) << "room is left for a small one";
  EXPECT_EQ(CountEvents(*store_), 1);
  auto sound = store_->Read([](Db& db) -> Result<std::string> {
    return db.database().execAndGet("PRAGMA integrity_check").getString();
  });
  EXPECT_EQ(sound.value_or(""), "ok");
}

TEST_F(StoreTest, RefusesAFileThatIsNoRegistry) {
  std::ofstream(folder_ + "/other.db") << "this is not a database, however long the text may be made to look like one";
  auto store = Store::Open(folder_ + "/other.db", clock_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kCorrupt);
}

TEST_F(StoreTest, RefusesARegistryOfANewerRatchet) {
  ASSERT_TRUE(store_->Write([](Db&) -> Status { return {}; }));
  store_.reset();
  {
    SQLite::Database raw(folder_ + "/registry.db", SQLite::OPEN_READWRITE);
    raw.exec("PRAGMA user_version = 9999");
  }
  auto store = Store::Open(folder_ + "/registry.db", clock_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kConflict);
}

TEST(Migration, ChangesNothingWhenItFails) {
  Db db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  std::vector<Migration> migrations = {{"good", "CREATE TABLE a (x INTEGER) STRICT"},
                                       {"bad", "CREATE TABLE b (x INTEGER) STRICT; CREATE TABLE a (x INTEGER) STRICT"}};
  EXPECT_FALSE(Migrate(db, migrations));
  EXPECT_EQ(db.database().execAndGet("PRAGMA user_version").getInt(), 1);
  EXPECT_EQ(db.database().execAndGet("SELECT count(*) FROM sqlite_schema WHERE name = 'b'").getInt(), 0);
}

TEST(Migration, KnowsTheBundleFilesOfOlderVersions) {
  Db db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  ASSERT_TRUE(Migrate(db, {Migrations().front()}));
  db.database().exec("PRAGMA foreign_keys = OFF");
  db.database().exec(
      "INSERT INTO versions (model, version, state, run, bundle, bundle_bytes, manifest_json, metric, recipe, dataset,"
      " dataset_version, created_at) VALUES ('m', 1, 'passed', 1, 'b1', 1, '{\"files\":{\"model.pt\":{\"sha256\":\"f1\"}}}',"
      " 'accuracy', '', 'd', 1, 1), ('m', 2, 'passed', 2, 'b2', 1, '{}', 'accuracy', '', 'd', 1, 1)");
  ASSERT_TRUE(Migrate(db, Migrations()));
  EXPECT_TRUE(IsBundleFile(db, "b1") && IsBundleFile(db, "b2") && IsBundleFile(db, "f1"));
  EXPECT_FALSE(IsBundleFile(db, "f2"));
}

TEST(Migration, MakesOnlyStrictTables) {
  Db db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  ASSERT_TRUE(Migrate(db, Migrations()));
  SQLite::Statement loose(db.database(), "SELECT group_concat(name) FROM pragma_table_list WHERE type = 'table'"
                                         " AND strict = 0 AND name NOT LIKE 'sqlite_%'");
  ASSERT_TRUE(loose.executeStep());
  EXPECT_TRUE(loose.getColumn(0).isNull()) << loose.getColumn(0).getString();
}

}  // namespace
}  // namespace ratchet::registry
