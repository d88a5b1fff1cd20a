#include "lake/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ratchet::lake {
namespace {

std::string Digest(char c) { return std::string(64, c); }

Manifest Two() {
  const Manifest none{.dataset = "parcels",
                      .schema = {{{"id", ColumnType::kText}, {"label", ColumnType::kInteger}}},
                      .split = {.validation = 0.1, .holdout = 0.2, .key = "id"}};
  const Manifest one = NextManifest(
      none, {{Split::kTrain, "/x", 70, 7000, Digest('a')}, {Split::kHoldout, "/y", 20, 2000, Digest('b')}});
  return NextManifest(one,
                      {{Split::kTrain, "/z", 7, 700, Digest('c')}, {Split::kValidation, "/v", 1, 100, Digest('d')}});
}

TEST(Manifest, GrowsByThePushedPacks) {
  const Manifest two = Two();
  EXPECT_EQ(two.version, 2);
  EXPECT_EQ(RowsOf(two), (SplitRows{.train = 77, .validation = 1, .holdout = 20}));
  EXPECT_THAT(SegmentDigests(two, Split::kTrain), testing::ElementsAre(Digest('a'), Digest('c')));
  EXPECT_THAT(SegmentDigests(two, Split::kHoldout), testing::ElementsAre(Digest('b')));
  EXPECT_EQ(two.segments[0].push, 1);
  EXPECT_EQ(two.segments[3].push, 2);
}

TEST(Manifest, RoundTripsThroughJson) {
  Manifest manifest = Two();
  EXPECT_EQ(ManifestFromJson(ManifestToJson(manifest)), manifest);
  manifest.split.key.reset();
  EXPECT_EQ(ManifestFromJson(ManifestToJson(manifest)), manifest);
}

TEST(Manifest, WritesTheFormOfTheFormatsPage) {
  Manifest manifest = Two();
  manifest.segments.resize(1);
  EXPECT_EQ(ManifestToJson(manifest), R"({"format":1,"dataset":"parcels","version":2,)"
                                      R"("schema":[{"name":"id","type":"text"},{"name":"label","type":"integer"}],)"
                                      R"("split":{"validation":0.1,"holdout":0.2,"key":"id"},)"
                                      R"("segments":[{"split":"train","sha256":")" +
                                          Digest('a') +
                                          R"(","rows":70,"bytes":7000,"push":1}],)"
                                          R"("rows":{"train":70,"validation":0,"holdout":0}})");
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Manifest, RefusesWhatDoesNotAddUp) {
  const std::string good = ManifestToJson(Two());
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), good.substr(0, good.size() / 2),
        Replaced(good, "\"format\":1", "\"format\":2"), Replaced(good, "\"version\":2", "\"version\":0"),
        Replaced(good, "\"version\":2", "\"version\":\"2\""), Replaced(good, "parcels", "../parcels"),
        Replaced(good, "\"key\":\"id\"", "\"key\":\"nope\""), Replaced(good, "\"holdout\":0.2", "\"holdout\":0.95"),
        Replaced(good, "\"train\":77", "\"train\":78"), Replaced(good, Digest('a'), "../../etc/passwd"),
        Replaced(good, "\"rows\":70", "\"rows\":-70"), Replaced(good, "\"push\":2", "\"push\":3"),
        Replaced(good, "\"split\":\"train\"", "\"split\":\"trains\"")}) {
    auto read = ManifestFromJson(bad);
    ASSERT_FALSE(read.has_value()) << bad;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace ratchet::lake
