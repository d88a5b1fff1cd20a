#include "serving/prediction_ledger.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "serving/prediction_spool.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

class PredictionLedgerTest : public ::testing::Test {
 protected:
  std::unique_ptr<PredictionSpool> OpenSpool(const std::string& fresh_id = "s1") {
    auto spool = PredictionSpool::Open(files_, folder_ / "spool", {}, fresh_id);
    EXPECT_TRUE(spool) << spool.error().Message();
    return std::move(*spool);
  }
  std::unique_ptr<PredictionLedger> OpenLedger(const PredictionSpool& spool, std::int64_t now_us = 7) {
    auto ledger = PredictionLedger::Open(folder_ / "spool/ledger", spool.id(), spool.Last(), now_us);
    EXPECT_TRUE(ledger) << ledger.error().Message();
    return std::move(*ledger);
  }
  // What a process does before it is killed.
  template <typename Work>
  void InProcessThatIsKilled(Work work) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      auto spool = OpenSpool();
      auto ledger = OpenLedger(*spool);
      work(*spool, *ledger);
      raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  TemporaryFolder folder_;
  SystemFiles files_;
};

TEST_F(PredictionLedgerTest, KnowsToTheLastOneWhatAKilledProcessTookWithIt) {
  InProcessThatIsKilled([](PredictionSpool& spool, PredictionLedger& ledger) {
    for (int i = 0; i < 10; ++i) ledger.Offered();
    for (int i = 0; i < 6; ++i) (void)spool.Append("{}");
    ledger.Dropped(1);
  });
  {
    const auto spool = OpenSpool();
    const auto ledger = OpenLedger(*spool, 99);
    EXPECT_EQ(ledger->lost_at_open(), 3u);
    EXPECT_EQ(ledger->Gap(), 4u);
    EXPECT_EQ(ledger->started_at(), 7) << "the count goes on";
    ledger->Refused(2);
  }
  const auto spool = OpenSpool();
  const auto ledger = OpenLedger(*spool);
  EXPECT_EQ(ledger->lost_at_open(), 0u) << "nothing is lost twice";
  EXPECT_EQ(ledger->Gap(), 6u);
}

TEST_F(PredictionLedgerTest, CountsARecordThatWasCutFromTheSpoolAsLost) {
  InProcessThatIsKilled([](PredictionSpool& spool, PredictionLedger& ledger) {
    for (int i = 0; i < 3; ++i) {
      ledger.Offered();
      (void)spool.Append("{\"a\":1}");
    }
  });
  std::string segment;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "spool"))
    if (entry.path().extension() == ".spool") segment = entry.path().string();
  std::filesystem::resize_file(segment, std::filesystem::file_size(segment) - 2);
  const auto spool = OpenSpool();
  EXPECT_EQ(spool->Last(), 2u);
  EXPECT_EQ(OpenLedger(*spool)->lost_at_open(), 1u);
}

TEST_F(PredictionLedgerTest, CountsNothingAsLostWhereItIsOlderThanTheSpool) {
  InProcessThatIsKilled([](PredictionSpool&, PredictionLedger& ledger) { ledger.Offered(); });
  std::filesystem::copy_file(folder_ / "spool/ledger", folder_ / "old");
  InProcessThatIsKilled([](PredictionSpool& spool, PredictionLedger& ledger) {
    for (int i = 0; i < 5; ++i) {
      ledger.Offered();
      (void)spool.Append("{}");
    }
  });
  std::filesystem::copy_file(folder_ / "old", folder_ / "spool/ledger", std::filesystem::copy_options::overwrite_existing);
  const auto spool = OpenSpool();
  auto ledger = OpenLedger(*spool);
  EXPECT_EQ(ledger->lost_at_open(), 0u);
  ledger->Offered();
  ledger.reset();
  EXPECT_EQ(OpenLedger(*spool)->lost_at_open(), 1u) << "and counts on from there";
}

TEST_F(PredictionLedgerTest, BeginsAnewWithAnotherSpool) {
  InProcessThatIsKilled([](PredictionSpool& spool, PredictionLedger& ledger) {
    for (int i = 0; i < 5; ++i) ledger.Offered();
    (void)spool.Append("{}");
  });
  std::filesystem::remove(folder_ / "spool/spool.json");
  const auto spool = OpenSpool("s2");
  const auto ledger = OpenLedger(*spool, 11);
  EXPECT_EQ(ledger->Gap(), 0u);
  EXPECT_EQ(ledger->started_at(), 11);
}

TEST_F(PredictionLedgerTest, BeginsAnewWhereTheFileIsNoLedger) {
  const auto spool = OpenSpool();
  ASSERT_TRUE(files_.WriteAtomic(folder_ / "spool/ledger", std::string(100, 'x')));
  EXPECT_EQ(OpenLedger(*spool)->Gap(), 0u);
}

}  // namespace
}  // namespace ratchet::serving
