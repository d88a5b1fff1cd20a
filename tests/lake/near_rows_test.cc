#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>

#include "lake/image_hash.h"
#include "lake/near_index.h"
#include "lake/text_sketch.h"

// Pictures and texts that look alike.
namespace ratchet::lake {
namespace {

using Picture = std::vector<std::uint8_t>;

Column PictureColumn(std::int64_t channels, std::int64_t side) { return {"image", ColumnType::kBlob, {channels, side, side}}; }

std::uint8_t Level(double value) { return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L)); }

// Many small blots, others for every seed: something in every frequency, as photos have it.
Picture Drawn(int seed, std::size_t side, std::size_t channels = 1) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::uniform_real_distribution<double> any(0, 1);
  std::vector<std::array<double, 4>> blots(150);
  for (auto& blot : blots) blot = {any(random), any(random), 0.02 + 0.05 * any(random), 120 * any(random) - 60};
  Picture picture;
  for (std::size_t channel = 0; channel < channels; ++channel)
    for (std::size_t y = 0; y < side; ++y)
      for (std::size_t x = 0; x < side; ++x) {
        double level = 100;
        for (const auto& [across, down, size, height] : blots) {
          const double dx = double(x) / double(side) - across, dy = double(y) / double(side) - down;
          level += height * std::exp(-(dx * dx + dy * dy) / (2 * size * size));
        }
        picture.push_back(Level(level));
      }
  return picture;
}

int Apart(const Picture& a, const Picture& b, std::int64_t side = 28) {
  ImageHasher hasher(PictureColumn(1, side));
  const auto first = hasher.Hash(a), second = hasher.Hash(b);
  return first && second ? BitsApart(*first, *second) : -1;
}

TEST(ImageHash, StaysWithAPictureThatIsMadeDarkerNoisierOrCoarser) {
  for (int seed = 0; seed < 20; ++seed) {
    const Picture picture = Drawn(seed, 28);
    std::mt19937 random(7);
    std::normal_distribution<double> noise(0, 3);
    Picture darker, noisier, coarser;
    for (const std::uint8_t level : picture) {
      darker.push_back(Level(0.8 * level));
      noisier.push_back(Level(level + noise(random)));
      coarser.push_back(static_cast<std::uint8_t>(level / 8 * 8));
    }
    EXPECT_LE(Apart(picture, darker), kSameImageBits) << seed;
    EXPECT_LE(Apart(picture, coarser), kSameImageBits) << seed;
    EXPECT_LE(Apart(picture, noisier), kSameImageBits) << seed;
    EXPECT_EQ(Apart(picture, picture), 0);
  }
}

TEST(ImageHash, TellsOtherPicturesApart) {
  for (int seed = 0; seed < 100; ++seed) EXPECT_GT(Apart(Drawn(seed, 28), Drawn(seed + 1, 28)), kSameImageBits) << seed;
}

TEST(ImageHash, KnowsALargePictureByItsHalf) {
  ImageHasher large(PictureColumn(1, 256)), small(PictureColumn(1, 128));
  const auto a = large.Hash(Drawn(3, 256)), b = small.Hash(Drawn(3, 128));
  ASSERT_TRUE(a && b);
  EXPECT_LE(BitsApart(*a, *b), kSameImageBits);
}

TEST(ImageHash, ReadsThreeChannelsAsBrightness) {
  ImageHasher color(PictureColumn(3, 32)), gray(PictureColumn(1, 32));
  const Picture one = Drawn(5, 32);
  Picture three;
  for (int channel = 0; channel < 3; ++channel) three.insert(three.end(), one.begin(), one.end());
  const auto a = color.Hash(three), b = gray.Hash(one);
  ASSERT_TRUE(a && b);
  EXPECT_LE(BitsApart(*a, *b), 4);
}

TEST(ImageHash, HasNoneForAPlainSurface) {
  ImageHasher hasher(PictureColumn(1, 28));
  EXPECT_FALSE(hasher.Hash(Picture(28 * 28, 0)));
  EXPECT_FALSE(hasher.Hash(Picture(28 * 28, 200)));
  EXPECT_TRUE(hasher.Hash(Drawn(1, 28)));
}

TEST(ImageHash, TakesPicturesAlone) {
  EXPECT_TRUE(ImageHasher::Takes(PictureColumn(1, 28)));
  EXPECT_TRUE(ImageHasher::Takes(PictureColumn(4, 17)));
  EXPECT_FALSE(ImageHasher::Takes(PictureColumn(1, 16)));
  EXPECT_FALSE(ImageHasher::Takes(PictureColumn(2, 28)));
  EXPECT_FALSE(ImageHasher::Takes({"sound", ColumnType::kBlob, {16'000}}));
  EXPECT_FALSE(ImageHasher::Takes({"bytes", ColumnType::kBlob, {}}));
  EXPECT_FALSE(ImageHasher::Takes({"text", ColumnType::kText, {}}));
}

std::string Words(int from, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i > 0 ? " " : "") + ("word" + std::to_string(from + i));
  return text;
}

// |A ∩ B| / |A ∪ B| of two runs of `count` words of which the second begins `shift` later.
double SharedTriples(int count, int shift) { return double(count - shift - 2) / double(count + shift - 2); }

TEST(TextSketch, EstimatesTheShareOfWordTriples) {
  TextSketcher sketcher;
  for (const int shift : {0, 10, 40, 100, 300}) {
    const auto a = sketcher.Sketch(Words(0, 400)), b = sketcher.Sketch(Words(shift, 400));
    ASSERT_TRUE(a && b);
    int same = 0;
    for (std::size_t i = 0; i < kSketchSize; ++i) same += a->places[i] == b->places[i] ? 1 : 0;
    EXPECT_NEAR(double(same) / kSketchSize, SharedTriples(400, shift), 0.13) << shift;
  }
}

TEST(TextSketch, KnowsATextAgainWithOtherCaseAndPunctuation) {
  TextSketcher sketcher;
  const auto a = sketcher.Sketch("The parcel came late, and the box was wet; nobody answered my call.");
  const auto b = sketcher.Sketch("the PARCEL came late and the box was wet. Nobody answered my call!");
  ASSERT_TRUE(a && b);
  EXPECT_TRUE(LookAlike(*a, *b));
}

TEST(TextSketch, TellsOtherTextsApart) {
  TextSketcher sketcher;
  for (int i = 0; i < 200; ++i) {
    const auto a = sketcher.Sketch(Words(i * 20, 20)), b = sketcher.Sketch(Words(i * 20 + 10, 20));
    EXPECT_FALSE(LookAlike(*a, *b)) << i;
  }
}

TEST(TextSketch, HasNoneForAFewWords) {
  TextSketcher sketcher;
  EXPECT_FALSE(sketcher.Sketch(""));
  EXPECT_FALSE(sketcher.Sketch("late again, as ever"));
  EXPECT_TRUE(sketcher.Sketch(Words(0, 8)));
  EXPECT_TRUE(sketcher.Sketch("包裹昨天到了但是箱子坏了"));
  EXPECT_EQ(sketcher.Words("  größer   als\tα "), 3u);
}

TEST(ImageIndex, FindsWhatIsNearAmongMany) {
  ImageHasher hasher(PictureColumn(1, 28));
  ImageIndex index;
  for (int seed = 0; seed < 300; ++seed) index.Add(static_cast<std::uint32_t>(1'000 + seed), *hasher.Hash(Drawn(seed, 28)));
  index.Close();
  for (int seed = 0; seed < 300; ++seed) {
    Picture darker = Drawn(seed, 28);
    for (auto& level : darker) level = Level(0.9 * level);
    std::set<std::uint32_t> found;
    index.Find(*hasher.Hash(darker), [&](std::uint32_t row) { found.insert(row); });
    EXPECT_EQ(found, (std::set{static_cast<std::uint32_t>(1'000 + seed)})) << seed;
  }
}

TEST(TextIndex, FindsNineOfTenTextsThatShareFourFifths) {
  TextSketcher sketcher;
  TextIndex index;
  for (int i = 0; i < 300; ++i) index.Add(static_cast<std::uint32_t>(i), *sketcher.Sketch(Words(i * 1'000, 200)));
  index.Close();
  int found = 0;
  for (int i = 0; i < 300; ++i) {
    bool own = false;
    index.Find(*sketcher.Sketch(Words(i * 1'000 + 10, 200)), [&](std::uint32_t row) {
      EXPECT_EQ(row, static_cast<std::uint32_t>(i));
      own = true;
    });
    found += own ? 1 : 0;
  }
  EXPECT_GE(found, 270);
}

TEST(TextIndex, OfNothingFindsNothing) {
  TextSketcher sketcher;
  TextIndex index;
  index.Close();
  index.Find(*sketcher.Sketch(Words(0, 20)), [](std::uint32_t) { FAIL(); });
}

}  // namespace
}  // namespace ratchet::lake
