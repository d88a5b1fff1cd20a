// Confusion matrices, figures of classes, reliability curves and edit distances against the reference's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gate/class_report.h"
#include "gate/transcripts.h"
#include "tests/gate/reference_cases.h"

namespace ratchet::gate {
namespace {

using reference::Case;
using testing::DoubleNear;
using testing::Pointwise;

constexpr double kTolerance = 1e-9;

std::vector<const Case*> CasesWith(const std::string& key) {
  std::vector<const Case*> with;
  for (const Case& one : reference::Cases())
    if (one.Has(key)) with.push_back(&one);
  return with;
}

std::string Of(const std::string& key, int side) { return key + "/" + std::to_string(side); }

TEST(Confusion, IsThatOfScikitLearn) {
  ASSERT_FALSE(CasesWith("confusion/0").empty());
  for (const Case* one : CasesWith("confusion/0"))
    for (int side : {0, 1})
      EXPECT_THAT(Confusion(one->Side(side))->cells, Pointwise(DoubleNear(kTolerance), one->At(Of("confusion", side))))
          << one->name();
}

TEST(PerClass, IsThatOfScikitLearn) {
  ASSERT_FALSE(CasesWith("f1/0").empty());
  for (const Case* one : CasesWith("f1/0")) {
    for (int side : {0, 1}) {
      const auto figures = PerClass(one->Side(side)).value();
      ASSERT_EQ(figures.size(), one->At(Of("f1", side)).size());
      for (size_t c = 0; c < figures.size(); ++c) {
        // Where there is nothing to divide by, scikit-learn is told to say 0.
        EXPECT_NEAR(figures[c].precision.value_or(0), one->At(Of("precision", side))[c], kTolerance) << one->name();
        EXPECT_NEAR(figures[c].recall.value_or(0), one->At(Of("recall", side))[c], kTolerance) << one->name();
        EXPECT_NEAR(figures[c].f1.value_or(0), one->At(Of("f1", side))[c], kTolerance) << one->name();
        EXPECT_NEAR(figures[c].support, one->At(Of("support", side))[c], kTolerance) << one->name();
      }
    }
  }
}

void ExpectCurve(const Case& one, const std::string& name, int side, Confidence confidence, int bins) {
  auto calibration = Calibrate(one.Side(side), confidence, bins);
  ASSERT_TRUE(calibration) << one.name() << ": " << calibration.error().Message();
  ASSERT_EQ(calibration->bins.size(), one.At(Of(name + "_rows", side)).size());
  double largest = 0;
  for (size_t b = 0; b < calibration->bins.size(); ++b) {
    const ReliabilityBin& bin = calibration->bins[b];
    EXPECT_EQ(bin.rows, one.At(Of(name + "_rows", side))[b]) << one.name() << ", bin " << b;
    EXPECT_NEAR(bin.share_true, one.At(Of(name + "_share", side))[b], kTolerance) << one.name() << ", bin " << b;
    EXPECT_NEAR(bin.mean_confidence, one.At(Of(name + "_mean", side))[b], kTolerance) << one.name() << ", bin " << b;
    largest = std::max(largest, std::abs(bin.share_true - bin.mean_confidence));
  }
  EXPECT_NEAR(calibration->expected_error, one.At(Of(name + "_error", side))[0], kTolerance) << one.name();
  EXPECT_EQ(calibration->largest_error, largest) << one.name();
}

TEST(Calibrate, HasTheBinsAndTheErrorOfTheReference) {
  ASSERT_FALSE(CasesWith("answers_rows/0").empty());
  ASSERT_FALSE(CasesWith("positive_rows/0").empty());
  for (int side : {0, 1}) {
    for (const Case* one : CasesWith("answers_rows/0"))
      ExpectCurve(*one, "answers", side, Confidence::kPredictedClass, 10);
    for (const Case* one : CasesWith("positive_rows/0"))
      ExpectCurve(*one, "positive", side, Confidence::kPositiveClass, 7);
  }
}

std::string Utf8(const std::vector<double>& points) {
  std::string text;
  for (double point : points) {
    const auto c = static_cast<std::uint32_t>(point);
    const auto low = [&](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
    if (c < 0x80)
      text += static_cast<char>(c);
    else if (c < 0x800)
      text += {static_cast<char>(0xC0 | c >> 6), low(0)};
    else if (c < 0x10000)
      text += {static_cast<char>(0xE0 | c >> 12), low(6), low(0)};
    else
      text += {static_cast<char>(0xF0 | c >> 18), low(12), low(6), low(0)};
  }
  return text;
}

void ExpectEdits(const Result<Edits>& edits, const std::vector<double>& expected, const std::string& name) {
  ASSERT_TRUE(edits) << name << ": " << edits.error().Message();
  EXPECT_EQ(edits->edits, expected[0]) << name;
  EXPECT_EQ(edits->reference, expected[1]) << name;
}

TEST(WordEditsAndCharacterEdits, AreThoseOfTheTableOfPrefixes) {
  ASSERT_FALSE(CasesWith("reference").empty());
  for (const Case* one : CasesWith("reference")) {
    for (int side : {0, 1}) {
      const std::string reference = Utf8(one->At("reference")),
                        answer = Utf8(one->At(std::to_string(side) + ".answer"));
      ExpectEdits(WordEdits(reference, answer), one->At(Of("words", side)), one->name());
      ExpectEdits(CharacterEdits(reference, answer), one->At(Of("characters", side)), one->name());
    }
  }
}

}  // namespace
}  // namespace ratchet::gate
