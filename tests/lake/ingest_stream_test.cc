#include <sys/resource.h>

#include <fstream>
#include <random>
#include <set>

#include "base/digest.h"
#include "lake/base64.h"
#include "tests/lake/lake_fixture.h"

namespace ratchet::lake {
namespace {

using testing::HasSubstr;

class IngestStream : public LakeTest {
 protected:
  // What a push came to, independent of where its files lay: digests by split, or the error.
  std::string Outcome(const std::vector<std::string_view>& pieces, const IngestOptions& options) {
    auto ingest = Ingest::Start(options);
    if (!ingest) return ingest.error().Message();
    for (std::string_view piece : pieces) {
      if (!(*ingest)->Feed(piece)) break;
    }
    auto result = (*ingest)->Finish();
    if (!result) return result.error().Message();
    std::string outcome = SchemaToJson(result->schema);
    for (const IngestedPack& pack : result->packs) {
      outcome += " " + std::string(SplitName(pack.split)) + " " + std::to_string(pack.rows) + " " + pack.sha256;
    }
    return outcome;
  }

  void ExpectSameHoweverCut(const std::string& body, const IngestOptions& options, int times) {
    const std::string whole = Outcome({body}, options);
    std::mt19937 random(static_cast<unsigned>(body.size()));
    for (int i = 0; i < times; ++i) {
      std::vector<std::string_view> pieces;
      std::string_view rest = body;
      while (!rest.empty()) {
        const std::size_t size = std::min<std::size_t>(rest.size(), random() % (i % 2 == 0 ? 5 : 300));
        pieces.push_back(rest.substr(0, size));
        rest.remove_prefix(size);
      }
      ASSERT_EQ(Outcome(pieces, options), whole);
    }
  }

  IngestOptions Split3(BodyFormat format) const {
    return {.format = format, .split = {.validation = 0.2, .holdout = 0.3, .key = std::nullopt}, .staging = folder_};
  }
};

TEST_F(IngestStream, OfCsvGivesTheSameHoweverItIsCut) {
  std::string body = "\xEF\xBB\xBFid,n,x,text\r\n";
  for (int i = 0; i < 1500; ++i) {
    body += std::to_string(i) + "," + std::to_string(i * 7 % 13) + "," + std::to_string(i * 0.25) +
            (i % 3 == 0   ? ",\"ü, \"\"q\"\"\r\n漢\"\r\n"
             : i % 3 == 1 ? ",plain\n"
                          : ",\n");
  }
  ExpectSameHoweverCut(body, Split3(BodyFormat::kCsv), 12);
}

TEST_F(IngestStream, OfBadCsvGivesTheSameErrorHoweverItIsCut) {
  for (const std::string body :
       {"a,b\n1,2\n3\n", "a,b\n1,\"x\"y\n", "a,b\r\n1,\xff\r\n", "a,b\n1,\"x", "\xEF\xBB", "a\r\rb"}) {
    ExpectSameHoweverCut(body, Split3(BodyFormat::kCsv), 20);
  }
}

TEST_F(IngestStream, OfJsonLinesGivesTheSameHoweverItIsCut) {
  std::string body;
  for (int i = 0; i < 1500; ++i) {
    body += "{\"id\":" + std::to_string(i) + ",\"t\":\"ü\\n" + std::to_string(i) + "\"" +
            (i % 2 ? ",\"x\":0.5}\r\n" : "}\n");
  }
  ExpectSameHoweverCut(body, Split3(BodyFormat::kJsonLines), 12);
}

TEST_F(IngestStream, OfAPackGivesTheSameHoweverItIsCut) {
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < 200; ++i) rows.push_back({i});
  const std::string path = WritePack("p", {{{"n", ColumnType::kInteger}}}, rows);
  ExpectSameHoweverCut(ReadBytes(path), Split3(BodyFormat::kPack), 4);
}

TEST_F(IngestStream, DealsEveryRowIntoOneSplit) {
  auto options = Split3(BodyFormat::kCsv);
  options.split.key = "id";
  auto ingest = Ingest::Start(options);
  ASSERT_TRUE(ingest.has_value());
  std::string body = "id,n\n";
  for (int i = 0; i < 3000; ++i) body += "k" + std::to_string(i % 1000) + "," + std::to_string(i) + "\n";
  ASSERT_TRUE((*ingest)->Feed(body).has_value());
  auto result = (*ingest)->Finish();
  ASSERT_TRUE(result.has_value()) << result.error().Message();
  ASSERT_EQ(result->packs.size(), 3u);
  EXPECT_EQ(result->rows, 3000);
  std::set<std::string> keys[3];
  std::size_t rows = 0;
  for (const IngestedPack& pack : result->packs) {
    EXPECT_EQ(Sha256File(pack.path), pack.sha256);
    EXPECT_EQ(static_cast<std::int64_t>(std::filesystem::file_size(pack.path)), pack.bytes);
    auto read = ReadAll({pack.path});
    EXPECT_EQ(static_cast<std::int64_t>(read.size()), pack.rows);
    rows += read.size();
    for (const Row& row : read) keys[static_cast<int>(pack.split)].insert(std::get<std::string>(row[0]));
  }
  EXPECT_EQ(rows, 3000u);
  // Each key lies in one split only.
  EXPECT_EQ(keys[0].size() + keys[1].size() + keys[2].size(), 1000u);
}

TEST_F(IngestStream, LeavesFinishedPacksToTheCallerAndTheRestToNobody) {
  auto ingest = Ingest::Start(OneSplit(BodyFormat::kCsv));
  ASSERT_TRUE((*ingest)->Feed("a\nx\n").has_value());
  auto result = (*ingest)->Finish();
  ASSERT_TRUE(result.has_value());
  std::filesystem::rename(result->packs[0].path, Path("adopted"));
  ingest->reset();
  EXPECT_EQ(ReadAll({Path("adopted")}).size(), 1u);
  std::filesystem::remove(Path("adopted"));
  EXPECT_TRUE(StagingIsEmpty());
}

TEST_F(IngestStream, LeavesNothingWhenItIsGivenUp) {
  for (BodyFormat format : {BodyFormat::kCsv, BodyFormat::kJsonLines, BodyFormat::kPack}) {
    auto ingest = Ingest::Start(OneSplit(format));
    (void)(*ingest)->Feed("half of someth");
    EXPECT_FALSE(StagingIsEmpty());
    ingest->reset();
    EXPECT_TRUE(StagingIsEmpty());
  }
}

TEST_F(IngestStream, StaysFailedAfterAnError) {
  auto ingest = Ingest::Start(OneSplit(BodyFormat::kCsv));
  auto fed = (*ingest)->Feed("a,b\n1\n");
  ASSERT_FALSE(fed.has_value());
  EXPECT_TRUE(StagingIsEmpty());
  EXPECT_EQ((*ingest)->Feed("1,2\n").error().Message(), fed.error().Message());
  EXPECT_EQ((*ingest)->Finish().error().Message(), fed.error().Message());
}

TEST_F(IngestStream, EndsOnce) {
  auto ingest = Ingest::Start(OneSplit(BodyFormat::kCsv));
  ASSERT_TRUE((*ingest)->Feed("a\n1\n").has_value());
  ASSERT_TRUE((*ingest)->Finish().has_value());
  EXPECT_EQ((*ingest)->Finish().error().code, ErrorCode::kConflict);
  EXPECT_EQ((*ingest)->Feed("2\n").error().code, ErrorCode::kConflict);
}

TEST_F(IngestStream, RefusesAKeyThatIsNoColumn) {
  auto options = OneSplit(BodyFormat::kCsv);
  options.split.key = "idd";
  auto pushed = Push("id,x\n1,2\n", options);
  EXPECT_EQ(pushed.error.field, "split.key");
  EXPECT_THAT(pushed.error.hint, HasSubstr("'id'"));
}

TEST_F(IngestStream, NamesAStagingFolderThatIsNotThere) {
  auto options = OneSplit(BodyFormat::kCsv);
  options.staging = Path("absent");
  EXPECT_EQ(Ingest::Start(options).error().code, ErrorCode::kNotFound);
}

// Resident memory of this process at this moment, in bytes.
std::int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * 4096;
}

// Feeds `piece` over and over, as a body of 2 GiB, until it is refused; returns the growth of memory meanwhile.
std::int64_t FeedTwoGiB(Ingest& ingest, const std::string& piece, Error& error) {
  const std::int64_t before = ResidentBytes();
  std::int64_t most = before;
  for (std::int64_t fed = 0; fed < 2ll << 30; fed += static_cast<std::int64_t>(piece.size())) {
    auto status = ingest.Feed(piece);
    most = std::max(most, ResidentBytes());
    if (!status) {
      error = status.error();
      break;
    }
  }
  return most - before;
}

TEST_F(IngestStream, RefusesABodyOfOneEndlessLineInBoundedMemory) {
  const std::string plain(1 << 16, 'x');
  std::string cells, quoted = "\"";
  for (int i = 0; i < 1 << 15; ++i) cells += "x,";
  for (int i = 0; i < 1 << 16; ++i) quoted += '\n';
  for (BodyFormat format : {BodyFormat::kCsv, BodyFormat::kJsonLines}) {
    for (const std::string& piece : {plain, cells}) {
      auto ingest = Ingest::Start(OneSplit(format));
      Error error;
      EXPECT_LT(FeedTwoGiB(**ingest, piece, error), 64 << 20);
      EXPECT_EQ(error.code, ErrorCode::kTooLarge) << error.Message();
      EXPECT_EQ(error.line, 1);
    }
  }
}

TEST_F(IngestStream, TakesALongBodyInBoundedMemory) {
  auto ingest = Ingest::Start(OneSplit(BodyFormat::kCsv));
  ASSERT_TRUE((*ingest)->Feed("id,text\n").has_value());
  std::string piece;
  for (int i = 0; i < 500; ++i) piece += "k" + std::to_string(i) + "," + std::string(200, 'y') + "\n";
  const std::int64_t before = ResidentBytes();
  std::int64_t most = before;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*ingest)->Feed(piece).has_value());
    most = std::max(most, ResidentBytes());
  }
  EXPECT_LT(most - before, 64 << 20);
  auto result = (*ingest)->Finish();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->rows, 500'000);
}

TEST(BodyFormat, IsReadFromTheContentType) {
  EXPECT_EQ(BodyFormatFromContentType("text/csv"), BodyFormat::kCsv);
  EXPECT_EQ(BodyFormatFromContentType("Text/CSV; charset=utf-8"), BodyFormat::kCsv);
  EXPECT_EQ(BodyFormatFromContentType("application/x-ndjson"), BodyFormat::kJsonLines);
  EXPECT_EQ(BodyFormatFromContentType("application/vnd.ratchet.pack"), BodyFormat::kPack);
  EXPECT_FALSE(BodyFormatFromContentType("application/json").has_value());
  EXPECT_FALSE(BodyFormatFromContentType("").has_value());
}

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    std::string decoded;
    ASSERT_TRUE(FromBase64(Base64(bytes), decoded));
    EXPECT_EQ(decoded, bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(Base64("hi"), "aGk=");
}

}  // namespace
}  // namespace ratchet::lake
