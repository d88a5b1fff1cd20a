#include "lake/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "base/digest.h"
#include "tests/lake/lake_fixture.h"

// Sealed rows that become training rows, and the keys that must not be sealed again.
namespace ratchet::lake {
namespace {

using ::testing::HasSubstr;

class RotationTest : public LakeTest {
 protected:
  RotationTest() { std::filesystem::create_directory(Path("blobs")); }

  std::string BlobPath(const std::string& sha256) const { return Path("blobs") + "/" + sha256; }
  void Adopt(const std::string& path, const std::string& sha256) {
    EXPECT_EQ(*Sha256File(path), sha256);
    std::filesystem::rename(path, BlobPath(sha256));
  }

  void Push(const std::vector<int>& keys) {
    std::string csv = "id,size\n";
    for (const int key : keys) csv += "k" + std::to_string(key) + "," + std::to_string(key % 9) + "\n";
    IngestOptions options{.format = BodyFormat::kCsv, .schema = std::nullopt, .split = manifest_.split, .staging = Path("")};
    if (manifest_.version > 0) options.schema = manifest_.schema;
    if (manifest_.retired) options.retired = *RetiredKeys::Open(BlobPath(manifest_.retired->keys));
    auto ingest = Ingest::Start(std::move(options));
    ASSERT_TRUE(ingest && (*ingest)->Feed(csv));
    const auto result = (*ingest)->Finish();
    ASSERT_TRUE(result) << result.error().Message();
    for (const IngestedPack& pack : result->packs) Adopt(pack.path, pack.sha256);
    manifest_.schema = result->schema;
    manifest_ = NextManifest(manifest_, result->packs);
  }

  Result<StagedRotation> Staged(std::int64_t until) {
    std::filesystem::create_directories(Path("staging"));
    return RotateHoldout(manifest_, until, [this](const std::string& sha256) { return BlobPath(sha256); }, Path("staging"));
  }
  StagedRotation Rotate(std::int64_t until) {
    auto staged = Staged(until);
    EXPECT_TRUE(staged.has_value()) << staged.error().Message();
    if (!staged) return {};
    for (const StagedFile& file : staged->files) Adopt(file.path, file.sha256);
    manifest_ = staged->next;
    return std::move(*staged);
  }

  std::multiset<std::string> Keys(Split split) const {
    std::vector<std::string> packs;
    for (const std::string& digest : SegmentDigests(manifest_, split)) packs.push_back(BlobPath(digest));
    std::multiset<std::string> keys;
    if (packs.empty()) return keys;
    for (const Row& row : ReadAll(packs, {"id"})) keys.insert(std::get<std::string>(row[0]));
    return keys;
  }
  // No key stands in the holdout and in training.
  void ExpectSealed() const {
    const auto train = Keys(Split::kTrain);
    for (const std::string& key : Keys(Split::kHoldout)) EXPECT_FALSE(train.contains(key)) << key;
  }
  static std::vector<int> Range(int from, int count) {
    std::vector<int> keys;
    for (int i = 0; i < count; ++i) keys.push_back(from + i);
    return keys;
  }

  Manifest manifest_{.dataset = "parcels", .version = 0, .schema = {}, .split = {.validation = 0.1, .holdout = 0.4, .key = "id"}, .segments = {}};
};

TEST_F(RotationTest, MakesTheHoldoutOfThePushesTrainingRows) {
  Push(Range(0, 100));
  Push(Range(100, 100));
  const auto sealed = Keys(Split::kHoldout), train = Keys(Split::kTrain);
  const SplitRows before = RowsOf(manifest_);
  const std::int64_t first_holdout = manifest_.segments[2].rows;
  const StagedRotation staged = Rotate(1);
  EXPECT_EQ(staged.rows, first_holdout);
  EXPECT_EQ(staged.withheld, 0);
  EXPECT_EQ(staged.files.size(), 1u) << "no pack is written anew";
  EXPECT_EQ(manifest_.version, 3);
  EXPECT_EQ(RowsOf(manifest_).holdout, before.holdout - first_holdout);
  EXPECT_EQ(RowsOf(manifest_).train, before.train + first_holdout);
  EXPECT_EQ(RowsOf(manifest_).validation, before.validation);
  EXPECT_EQ(manifest_.segments[2].split, Split::kTrain);
  EXPECT_EQ(manifest_.segments[2].retired, 3);
  EXPECT_EQ(manifest_.segments[2].push, 1);
  ASSERT_TRUE(manifest_.retired);
  EXPECT_EQ(manifest_.retired->until_push, 1);
  EXPECT_EQ(manifest_.retired->count, first_holdout);
  std::multiset<std::string> all = Keys(Split::kHoldout);
  all.merge(Keys(Split::kTrain));
  std::multiset<std::string> were = sealed;
  were.insert(train.begin(), train.end());
  EXPECT_EQ(all, were);
  ExpectSealed();
}

TEST_F(RotationTest, KeepsARetiredKeyOutOfTheHoldoutOfLaterPushes) {
  Push(Range(0, 200));
  Push(Range(1'000, 50));
  const auto retired = Keys(Split::kHoldout);
  Rotate(1);
  Push(Range(0, 200));  // the same keys once more
  ExpectSealed();
  EXPECT_EQ(manifest_.segments.back().push, 4);
  for (const Segment& segment : manifest_.segments) EXPECT_FALSE(segment.split == Split::kHoldout && segment.push == 4);
  Push(Range(5'000, 100));
  const auto fresh = Keys(Split::kHoldout);
  EXPECT_GT(fresh.size(), 30u) << "keys that nobody retired are sealed as ever";
  EXPECT_GT(retired.size(), 60u);
}

TEST_F(RotationTest, LeavesARowSealedWhoseKeyALaterPushHasSealed) {
  Push(Range(0, 200));
  Push(Range(100, 200));
  const auto of_both = Keys(Split::kHoldout);
  std::int64_t twins = 0;
  for (const std::string& key : std::set<std::string>(of_both.begin(), of_both.end())) twins += of_both.count(key) == 2 ? 1 : 0;
  ASSERT_GT(twins, 10);
  const StagedRotation staged = Rotate(1);
  EXPECT_EQ(staged.withheld, twins);
  EXPECT_EQ(staged.files.size(), 3u);
  ExpectSealed();
  const StagedRotation rest = Rotate(2);
  EXPECT_EQ(rest.withheld, 0);
  EXPECT_TRUE(Keys(Split::kHoldout).empty());
  EXPECT_EQ(manifest_.retired->until_push, 2);
  EXPECT_EQ(static_cast<std::size_t>(manifest_.retired->count), std::set<std::string>(of_both.begin(), of_both.end()).size());
}

TEST_F(RotationTest, RefusesWhereEveryRowHasATwinThatStaysSealed) {
  Push(Range(0, 50));
  Push(Range(0, 50));
  const auto staged = Staged(1);
  ASSERT_FALSE(staged.has_value());
  EXPECT_EQ(staged.error().code, ErrorCode::kConflict);
}

TEST_F(RotationTest, HoldsForDatasetsThatAreSplitByTheWholeRow) {
  manifest_.split.key.reset();
  Push(Range(0, 100));
  Push(Range(500, 20));
  Rotate(1);
  const std::int64_t holdout = RowsOf(manifest_).holdout;
  Push(Range(0, 100));
  EXPECT_EQ(RowsOf(manifest_).holdout, holdout);
}

TEST_F(RotationTest, TakesRetiredRowsOutOfAPushThatWasUnderWay) {
  Push(Range(0, 200));
  const Manifest before = manifest_;
  Push(Range(1'000, 20));
  Rotate(1);
  const auto retired = *RetiredKeys::Open(BlobPath(manifest_.retired->keys));
  const Manifest rotated = manifest_;
  manifest_ = before;  // a push that began before the rotation knows nothing of it
  Push(Range(150, 200));
  const Segment sealed = manifest_.segments.back();
  ASSERT_EQ(sealed.split, Split::kHoldout);
  std::filesystem::create_directories(Path("staging"));
  const auto instead = TakeRetired(BlobPath(sealed.sha256), manifest_.split, *retired, Path("staging"));
  ASSERT_TRUE(instead) << instead.error().Message();
  ASSERT_EQ(instead->size(), 2u);
  EXPECT_EQ((*instead)[0].rows + (*instead)[1].rows, sealed.rows);
  manifest_ = rotated;
  for (const IngestedPack& pack : *instead) Adopt(pack.path, pack.sha256);
  manifest_ = NextManifest(manifest_, *instead);
  ExpectSealed();
  std::filesystem::remove_all(Path("staging"));
  std::filesystem::create_directories(Path("staging"));
  const auto again = TakeRetired(BlobPath((*instead)[1].sha256), manifest_.split, *retired, Path("staging"));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->empty()) << "it has none of them any more";
}

TEST_F(RotationTest, IsWrittenIntoTheManifestAndReadBack) {
  Push(Range(0, 100));
  const std::string plain = ManifestToJson(manifest_);
  EXPECT_EQ(plain.find("retired"), std::string::npos) << "manifests without a rotation are as they were";
  Push(Range(200, 50));
  Rotate(1);
  const auto read = ManifestFromJson(ManifestToJson(manifest_));
  ASSERT_TRUE(read) << read.error().Message();
  EXPECT_EQ(*read, manifest_);
}

TEST_F(RotationTest, RefusesManifestsWhoseRetiredPartCannotBe) {
  Push(Range(0, 100));
  Push(Range(200, 50));
  Rotate(1);
  const std::string sound = ManifestToJson(manifest_);
  for (const auto& [from, to] : std::map<std::string, std::string>{
           {R"("retired":3)", R"("retired":9)"}, {R"("until_push":1)", R"("until_push":7)"}, {R"("keys":")", R"("keys":"x)"}}) {
    std::string broken = sound;
    const auto at = broken.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    broken.replace(at, from.size(), to);
    const auto read = ManifestFromJson(broken);
    ASSERT_FALSE(read) << to;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  }
}

TEST_F(RotationTest, KeysAreFoundAndNoOthers) {
  const std::vector<std::uint64_t> keys{0, 3, 1ull << 40, ~0ull};
  ASSERT_TRUE(RetiredKeys::Write(Path("keys"), keys));
  const auto read = RetiredKeys::Open(Path("keys"));
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)->size(), 4u);
  for (const std::uint64_t key : keys) EXPECT_TRUE((*read)->Has(key));
  for (const std::uint64_t key : {1ull, 4ull, (1ull << 40) + 1, ~0ull - 1}) EXPECT_FALSE((*read)->Has(key));
}

TEST_F(RotationTest, RefusesAFileThatHoldsNoKeys) {
  for (const char* bytes : {"", "seven b"}) {
    std::ofstream(Path("keys")) << bytes;
    const auto read = RetiredKeys::Open(Path("keys"));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(read.error().Message(), HasSubstr("not that of keys"));
  }
  EXPECT_EQ(RetiredKeys::Open(Path("none")).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace ratchet::lake
