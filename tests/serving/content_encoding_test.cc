#include "serving/content_encoding.h"

#include <gmock/gmock.h>

namespace ratchet::serving {
namespace {

using ::testing::HasSubstr;

class EachCoding : public ::testing::TestWithParam<Coding> {};

TEST_P(EachCoding, GivesBackWhatItPacked) {
  for (size_t bytes : {0u, 1u, 5000u, 3u << 20}) {
    std::string text;
    for (size_t i = 0; i < bytes; ++i) text += static_cast<char>('a' + i * i % 23);
    const auto packed = Encoded(GetParam(), text);
    ASSERT_TRUE(packed);
    const auto unpacked = Decoded(GetParam(), *packed, 4u << 20);
    ASSERT_TRUE(unpacked) << unpacked.error().Message();
    EXPECT_EQ(*unpacked, text);
  }
}

TEST_P(EachCoding, StopsAtTheLimitWhateverTheBodyPromises) {
  const auto bomb = Encoded(GetParam(), std::string(8u << 20, '\0'));
  ASSERT_LT(bomb->size(), 64u << 10);
  const auto unpacked = Decoded(GetParam(), *bomb, 1u << 20);
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(Decoded(GetParam(), *bomb, 8u << 20));
}

TEST_P(EachCoding, RefusesWhatIsCutDamagedOrFollowedByMore) {
  const std::string packed = *Encoded(GetParam(), std::string(100, 'x') + "yz");
  for (size_t length = 0; length < packed.size(); ++length) {
    const auto cut = Decoded(GetParam(), packed.substr(0, length), 1000);
    ASSERT_FALSE(cut) << length;
    EXPECT_EQ(cut.error().code, ErrorCode::kInvalid);
  }
  EXPECT_FALSE(Decoded(GetParam(), "{\"inputs\":[]}", 1000));
  EXPECT_FALSE(Decoded(GetParam(), packed + "tail", 1000));
  EXPECT_EQ(*Decoded(GetParam(), packed + packed, 1000), std::string(100, 'x') + "yz" + std::string(100, 'x') + "yz");
}

INSTANTIATE_TEST_SUITE_P(All, EachCoding, ::testing::Values(Coding::kGzip, Coding::kZstd),
                         [](const auto& info) { return std::string(CodingName(info.param)); });

TEST(ContentEncoding, IsKnownByItsNamesAlone) {
  EXPECT_EQ(ParseCoding(""), Coding::kIdentity);
  EXPECT_EQ(ParseCoding(" GZip "), Coding::kGzip);
  EXPECT_EQ(ParseCoding("x-gzip"), Coding::kGzip);
  EXPECT_EQ(ParseCoding("zstd"), Coding::kZstd);
  EXPECT_EQ(ParseCoding("deflate"), Coding::kDeflate);
  for (const char* other : {"br", "gzip, zstd", "gzip;q=1", "z"}) EXPECT_FALSE(ParseCoding(other)) << other;
}

struct Choice {
  const char* accepted;
  Coding chosen;
};

TEST(AcceptEncoding, ChoosesByWeight) {
  for (const auto& [accepted, chosen] : {Choice{"", Coding::kIdentity}, Choice{"gzip", Coding::kGzip}, Choice{"gzip, zstd", Coding::kZstd},
                                         Choice{"gzip;q=1.0, zstd;q=0.5", Coding::kGzip}, Choice{"zstd;q=0, gzip", Coding::kGzip},
                                         Choice{"*", Coding::kZstd}, Choice{"*;q=0.1, zstd;q=0", Coding::kGzip},
                                         Choice{"gzip;q=0", Coding::kIdentity}, Choice{"br, identity", Coding::kIdentity},
                                         Choice{" GZIP ; q=0.3 ", Coding::kGzip}, Choice{"gzip;q=nonsense,,;", Coding::kIdentity}}) {
    EXPECT_EQ(ChooseCoding(accepted), chosen) << accepted;
  }
}

}  // namespace
}  // namespace ratchet::serving
