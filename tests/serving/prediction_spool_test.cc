#include "serving/prediction_spool.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "serving/spool_frame.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

class PredictionSpoolTest : public ::testing::Test {
 protected:
  std::unique_ptr<PredictionSpool> Open(SpoolLimits limits = {}, const std::string& fresh_id = "s1") {
    auto spool = PredictionSpool::Open(files_, folder_ / "spool", limits, fresh_id);
    EXPECT_TRUE(spool) << spool.error().Message();
    return spool ? std::move(*spool) : nullptr;
  }
  std::vector<std::string> Segments() {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "spool"))
      if (entry.path().extension() == ".spool") paths.push_back(entry.path().string());
    std::ranges::sort(paths);
    return paths;
  }
  static std::vector<std::uint64_t> Numbers(PredictionSpool& spool, size_t most = 1000, size_t bytes = 1 << 20) {
    std::vector<std::uint64_t> numbers;
    const auto records = spool.Oldest(most, bytes);
    EXPECT_TRUE(records);
    for (const SpooledRecord& record : records.value_or(std::vector<SpooledRecord>{})) {
      EXPECT_EQ(record.payload, Payload(record.sequence));
      numbers.push_back(record.sequence);
    }
    return numbers;
  }
  static std::string Payload(std::uint64_t number) { return "{\"n\":" + std::to_string(number) + "}"; }
  static void Fill(PredictionSpool& spool, std::uint64_t from, std::uint64_t until) {
    for (std::uint64_t n = from; n <= until; ++n) {
      auto got = spool.Append(Payload(n));
      ASSERT_TRUE(got) << got.error().Message();
      ASSERT_EQ(*got, n);
    }
  }
  static std::string Bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void Write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

  TemporaryFolder folder_;
  SystemFiles files_;
};

using Sequence = std::vector<std::uint64_t>;

TEST_F(PredictionSpoolTest, GivesTheOldestUntilTheyAreAcknowledged) {
  auto spool = Open();
  Fill(*spool, 1, 5);
  EXPECT_EQ(Numbers(*spool, 3), (Sequence{1, 2, 3}));
  EXPECT_EQ(Numbers(*spool, 3), (Sequence{1, 2, 3})) << "the same again";
  ASSERT_TRUE(spool->Acknowledge(3));
  EXPECT_EQ(Numbers(*spool), (Sequence{4, 5}));
  EXPECT_EQ(spool->Waiting(), 2u);
  ASSERT_TRUE(spool->Acknowledge(5));
  EXPECT_EQ(Numbers(*spool), Sequence{});
  EXPECT_EQ(spool->Bytes(), 0u);
}

TEST_F(PredictionSpoolTest, GivesAtLeastOneRecordHoweverFewBytesAreAskedFor) {
  auto spool = Open();
  Fill(*spool, 1, 5);
  EXPECT_EQ(Numbers(*spool, 10, 1), Sequence{1});
  EXPECT_EQ(Numbers(*spool, 10, 2 * Payload(1).size()), (Sequence{1, 2}));
}

TEST_F(PredictionSpoolTest, GoesOnAfterItsProcessDiedAndUsesNoNumberTwice) {
  Fill(*Open(), 1, 4);
  {
    auto spool = Open();
    EXPECT_EQ(spool->id(), "s1");
    EXPECT_EQ(Numbers(*spool), (Sequence{1, 2, 3, 4}));
    ASSERT_TRUE(spool->Acknowledge(4));
  }
  auto spool = Open({}, "s2");
  EXPECT_EQ(spool->id(), "s1") << "it keeps the id that its numbers belong to";
  Fill(*spool, 5, 6);
  EXPECT_EQ(Numbers(*spool), (Sequence{5, 6}));
}

TEST_F(PredictionSpoolTest, CutsATailThatWasTornAtAnyByte) {
  Fill(*Open(), 1, 3);
  const std::string path = Segments().at(0), whole = Bytes(path);
  const size_t two = whole.size() / 3 * 2;
  for (size_t length = two; length < whole.size(); ++length) {
    SCOPED_TRACE(length);
    Write(path, whole.substr(0, length));
    auto spool = Open();
    EXPECT_EQ(Numbers(*spool), (Sequence{1, 2}));
    EXPECT_EQ(spool->CutBytes(), length - two);
    Fill(*spool, 3, 3);
    spool.reset();
    EXPECT_EQ(Bytes(path), whole);
  }
}

TEST_F(PredictionSpoolTest, CutsBytesThatAreNoRecordAndGoesOnBehindThem) {
  Fill(*Open({.segment_bytes = 30}), 1, 4);  // two records a segment
  ASSERT_EQ(Segments().size(), 2u);
  std::string bytes = Bytes(Segments()[0]);
  bytes[bytes.size() - 1] ^= 1;
  Write(Segments()[0], bytes);
  std::ofstream(Segments()[1], std::ios::app | std::ios::binary) << std::string(100, '\xFF');
  auto spool = Open();
  EXPECT_EQ(Numbers(*spool), (Sequence{1, 3, 4}));
  EXPECT_EQ(spool->CutBytes(), FrameOf(2, Payload(2)).size() + 100);
  Fill(*spool, 5, 5);
}

TEST_F(PredictionSpoolTest, PassesOverWhatIsDamagedWhileItIsOpen) {
  auto spool = Open({.segment_bytes = 30});
  Fill(*spool, 1, 6);
  std::string bytes = Bytes(Segments()[1]);
  bytes[0] ^= 1;
  Write(Segments()[1], bytes);
  EXPECT_EQ(Numbers(*spool), (Sequence{1, 2, 5, 6}));
  ASSERT_TRUE(spool->Acknowledge(6));
  EXPECT_EQ(spool->Bytes(), 0u);
}

TEST_F(PredictionSpoolTest, RefusesWhatIsOverItsLimitAndTakesMoreOnceThereIsRoom) {
  auto spool = Open({.bytes = 10 * (kFrameHeadBytes + 7), .segment_bytes = 40});
  Fill(*spool, 1, 9);
  ASSERT_TRUE(spool->Append("{\"n\":0}"));
  const auto refused = spool->Append("{\"n\":0}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(spool->Append(std::string(kMaxRecordBytes + 1, 'x')).error().code, ErrorCode::kTooLarge);
  ASSERT_TRUE(spool->Acknowledge(4));
  EXPECT_TRUE(spool->Append("{\"n\":0}")) << "segments that are taken whole go";
}

TEST_F(PredictionSpoolTest, RemovesSegmentsThatAreTakenWhole) {
  auto spool = Open({.segment_bytes = 30});
  Fill(*spool, 1, 6);
  EXPECT_EQ(Segments().size(), 3u);
  ASSERT_TRUE(spool->Acknowledge(3));
  EXPECT_EQ(Segments().size(), 2u);
  EXPECT_EQ(Numbers(*spool), (Sequence{4, 5, 6}));
}

TEST_F(PredictionSpoolTest, SendsAllAgainUnderANewIdWhereItsStateIsLost) {
  {
    auto spool = Open();
    Fill(*spool, 1, 3);
    ASSERT_TRUE(spool->Acknowledge(2));
  }
  Write(folder_ / "spool/spool.json", "{\"id\":");
  auto spool = Open({}, "s2");
  EXPECT_EQ(spool->id(), "s2");
  EXPECT_EQ(Numbers(*spool), (Sequence{1, 2, 3}));
}

// Files that fail to write, as a full disk does.
class NoWrites final : public Files {
 public:
  Result<std::string> Read(const std::string& path, std::uint64_t limit) override { return real_.Read(path, limit); }
  Status WriteAtomic(const std::string& path, std::string_view bytes) override {
    if (failing) return Fail(ErrorCode::kUnavailable, "write", path, "no space");
    return real_.WriteAtomic(path, bytes);
  }
  Status Sync(const std::string& path) override { return real_.Sync(path); }
  Status Rename(const std::string& from, const std::string& to) override { return real_.Rename(from, to); }
  Status Link(const std::string& from, const std::string& to) override { return real_.Link(from, to); }
  Status MakeFolders(const std::string& path) override { return real_.MakeFolders(path); }
  Status RemoveAll(const std::string& path) override { return real_.RemoveAll(path); }
  bool failing = false;

 private:
  SystemFiles real_;
};

TEST_F(PredictionSpoolTest, KeepsWhatItCannotNoteAsTaken) {
  NoWrites files;
  auto spool = PredictionSpool::Open(files, folder_ / "spool", {}, "s1");
  ASSERT_TRUE(spool);
  Fill(**spool, 1, 2);
  files.failing = true;
  EXPECT_FALSE((*spool)->Acknowledge(2));
  EXPECT_EQ(Numbers(**spool), (Sequence{1, 2}));
  files.failing = false;
  EXPECT_TRUE((*spool)->Acknowledge(2));
  EXPECT_EQ(Numbers(**spool), Sequence{});
}

TEST_F(PredictionSpoolTest, IsReadAndTrimmedWhileItIsWritten) {
  auto spool = Open({.segment_bytes = 200});
  constexpr std::uint64_t kCount = 2000;
  std::thread writer([&] { Fill(*spool, 1, kCount); });
  std::uint64_t next = 1;
  while (next <= kCount) {
    ASSERT_TRUE(spool->Sync());
    for (const std::uint64_t number : Numbers(*spool, 50)) ASSERT_EQ(number, next++);
    ASSERT_TRUE(spool->Acknowledge(next - 1));
  }
  writer.join();
  EXPECT_EQ(spool->Bytes(), 0u);
}

TEST(SpoolFrame, IsReadOnlyWhereItIsWholeAndSound) {
  const std::string frame = FrameOf(7, "payload");
  const std::string bytes = frame + "more";
  const auto read = ReadFrame(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sequence, 7u);
  EXPECT_EQ(read->payload, "payload");
  EXPECT_EQ(read->bytes, frame.size());
  for (size_t length = 0; length < frame.size(); ++length) EXPECT_FALSE(ReadFrame(frame.substr(0, length)));
  for (size_t at = 0; at < frame.size(); ++at) {
    std::string changed = frame;
    changed[at] ^= 0x10;
    EXPECT_FALSE(ReadFrame(changed)) << at;
  }
  EXPECT_FALSE(ReadFrame(std::string(64, '\xFF')));
}

}  // namespace
}  // namespace ratchet::serving
