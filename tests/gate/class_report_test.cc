// Edges of the class report, of DeLong's variances and of edit distances. Their figures: reference_reports_test.cc.
#include "gate/class_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gate/delong.h"
#include "gate/transcripts.h"
#include "tests/gate/kept_rows.h"

namespace ratchet::gate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Confusion, HasTargetsAsItsRows) {
  const ConfusionMatrix matrix = Confusion(KeptClasses().Kept()).value();
  EXPECT_EQ(matrix.At(0, 1), 1);
  EXPECT_EQ(matrix.At(1, 1), 2);
  EXPECT_THAT(matrix.cells, ElementsAre(2, 1, 1, 2));
}

TEST(Confusion, RefusesMoreClassesThanAnyoneReads) {
  KeptClasses classes;
  classes.classes = kMostMatrixClasses;
  EXPECT_TRUE(Confusion(classes.Kept()));
  ++classes.classes;
  EXPECT_EQ(Confusion(classes.Kept()).error().code, ErrorCode::kTooLarge);
}

TEST(PerClass, SaysNothingWhereThereIsNothingToDivideBy) {
  KeptClasses classes;
  classes.classes = 3;
  classes.target.assign(6, 0);
  const auto figures = PerClass(classes.Kept()).value();
  EXPECT_EQ(figures[0].recall, 0.5);
  EXPECT_EQ(figures[0].precision, 1);
  EXPECT_EQ(figures[1].recall, std::nullopt);
  EXPECT_EQ(figures[1].precision, 0);
  EXPECT_EQ(figures[1].f1, 0);
  EXPECT_EQ(figures[2].precision, std::nullopt);
  EXPECT_EQ(figures[2].f1, std::nullopt);
}

TEST(Calibrate, PutsAProbabilityOnAnEdgeIntoTheBinBelow) {
  KeptClasses classes;
  classes.positive_probability = {0.0, 0.1, 0.3, 0.30000000000000004, 1.0, 0.7};
  const Calibration calibration = Calibrate(classes.Kept(), Confidence::kPositiveClass, 10).value();
  std::vector<double> rows;
  for (const ReliabilityBin& bin : calibration.bins) rows.push_back(bin.rows);
  EXPECT_THAT(rows, ElementsAre(2, 0, 1, 1, 0, 0, 1, 0, 0, 1));
}

TEST(Calibrate, IsPerfectWhenEveryAnswerIsSureAndRight) {
  KeptClasses classes;
  classes.predicted = classes.target;
  classes.predicted_probability.assign(6, 1);
  const Calibration calibration = Calibrate(classes.Kept(), Confidence::kPredictedClass).value();
  EXPECT_EQ(calibration.expected_error, 0);
  EXPECT_EQ(calibration.bins.size(), 15U);
  EXPECT_EQ(calibration.bins.back().rows, 6);
}

TEST(Calibrate, CountsRowsByTheirWeights) {
  KeptClasses classes;
  classes.positive_probability.assign(6, 0.5);
  classes.weight = {1, 3, 0, 0, 0, 0};
  const Calibration calibration = Calibrate(classes.Kept(), Confidence::kPositiveClass, 1).value();
  EXPECT_EQ(calibration.bins[0].rows, 4);
  EXPECT_EQ(calibration.bins[0].share_true, 0.75);
  EXPECT_EQ(calibration.expected_error, 0.25);
}

TEST(Calibrate, RefusesWhatIsNoProbabilityAndNoNumberOfBins) {
  KeptClasses classes;
  classes.positive_probability[2] = 1e300;
  EXPECT_THAT(Calibrate(classes.Kept(), Confidence::kPositiveClass, 10).error().cause,
              HasSubstr("row 3 has 1e+300, which is no probability"));
  for (int bins : {0, -1, kMostBins + 1})
    EXPECT_THAT(Calibrate(KeptClasses().Kept(), Confidence::kPositiveClass, bins).error().cause,
                HasSubstr("it has 1 to 1000 bins"));
}

TEST(Delong, RefusesWeightsAndClassesOfOneRow) {
  KeptClasses classes;
  classes.weight = {1, 2, 1, 1, 1, 1};
  EXPECT_THAT(Delong(classes.Kept(), classes.Kept()).error().cause, HasSubstr("the rows have weights"));
  classes = {};
  classes.target = {0, 0, 0, 0, 0, 1};
  EXPECT_THAT(Delong(classes.Kept(), classes.Kept()).error().cause, HasSubstr("class 1 has one row only"));
  classes.target = {0, 1, 1, 1, 1, 1};
  EXPECT_THAT(Delong(classes.Kept(), classes.Kept()).error().cause, HasSubstr("class 0 has one row only"));
  KeptClasses other;
  EXPECT_THAT(Delong(classes.Kept(), other.Kept()).error().cause, HasSubstr("target class 4 is 1 for the candidate"));
}

TEST(Delong, HasNoDoubtThatAModelIsAsGoodAsItself) {
  const DelongVariances variances = Delong(KeptClasses().Kept(), KeptClasses().Kept()).value();
  EXPECT_GT(variances.candidate, 0);
  EXPECT_NEAR(variances.difference, 0, 1e-15);
}

TEST(WordEdits, CountsInsertionsDeletionsAndSubstitutions) {
  auto edits = WordEdits("the cat sat on the mat", "the cat sit on mat now");
  EXPECT_EQ(edits->edits, 3);
  EXPECT_EQ(edits->reference, 6);
}

TEST(WordEdits, SplitsAtAnyWhiteSpaceAndFoldsNothingElse) {
  EXPECT_EQ(WordEdits("a  b\n\tc", "a\u00A0b\u3000c ")->edits, 0);
  EXPECT_EQ(WordEdits("Hello, World", "hello world")->edits, 2);
}

TEST(CharacterEdits, CountsCodePointsAndNotBytes) {
  auto edits = CharacterEdits("漢字🙂", "漢🙂");
  EXPECT_EQ(edits->edits, 1);
  EXPECT_EQ(edits->reference, 3);
}

TEST(CharacterEdits, MindsWhiteSpaceBetweenWordsOnly) {
  EXPECT_EQ(CharacterEdits(" ab ", "ab")->edits, 0);
  EXPECT_EQ(CharacterEdits("a b", "ab")->edits, 1);
}

TEST(CharacterEdits, TakesEmptyTexts) {
  EXPECT_EQ(CharacterEdits("", "")->edits, 0);
  EXPECT_EQ(CharacterEdits("", "abc")->edits, 3);
  EXPECT_EQ(CharacterEdits("abc", " ")->edits, 3);
}

TEST(CharacterEdits, RefusesWhatIsNotUtf8AndWhatIsTooLong) {
  EXPECT_THAT(CharacterEdits("a", "\xC3").error().cause, HasSubstr("the answer is not UTF-8"));
  EXPECT_THAT(WordEdits("\xFF", "a").error().cause, HasSubstr("the reference is not UTF-8"));
  const std::string longest(kMostTranscriptSymbols, 'a');
  EXPECT_EQ(CharacterEdits(longest, longest)->edits, 0);
  EXPECT_EQ(CharacterEdits(longest + "a", "a").error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace ratchet::gate
