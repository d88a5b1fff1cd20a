#include "gate/evidence.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/names.h"
#include "gate/sampling.h"

namespace ratchet::gate {
namespace {

// Probabilities come from single precision, so they may lie a little outside of [0, 1].
constexpr double kProbabilitySlack = 1e-5;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Looks at the columns of one piece of evidence, and keeps the first fault.
class Check {
 public:
  Check(std::string_view subject, std::int64_t rows) : subject_(subject), rows_(rows) {}

  void Fault(std::string cause, std::string hint = {}, ErrorCode code = ErrorCode::kInvalid) {
    if (!fault_) fault_ = Fail(code, "evaluate", std::string(subject_), std::move(cause), std::move(hint)).error();
  }

  // True when the column is there and has one entry a row (times `width`).
  template <typename T>
  bool Has(std::string_view name, std::span<const T> column, size_t width = 1) {
    if (fault_) return false;
    if (column.empty()) Fault(fmt::format("the {} of the rows was not kept", name));
    if (column.size() != static_cast<size_t>(rows_) * width)
      Fault(fmt::format("there are {} rows, but the {} has {} entries", rows_, name, column.size()));
    return !fault_;
  }

  // One finite number from `least` to `most` a row.
  template <typename T>
  void Within(std::string_view name, std::span<const T> column, double least, double most, size_t width = 1) {
    if (!Has(name, column, width)) return;
    auto bad = std::ranges::find_if(column, [&](T value) {
      const auto number = static_cast<double>(value);
      return !(number >= least && number <= most && std::isfinite(number));
    });
    if (bad != column.end()) Fault(Wrong(static_cast<size_t>(bad - column.begin()) / width, name, *bad));
  }

  void Finite(std::string_view name, std::span<const double> column, size_t width = 1) {
    Within(name, column, -kInfinity, kInfinity, width);
  }

  void Probability(std::string_view name, std::span<const double> column) {
    Within(name, column, -kProbabilitySlack, 1 + kProbabilitySlack);
  }

  template <typename T>
  static std::string Wrong(size_t row, std::string_view name, T value) {
    return fmt::format("row {} has {} as its {}", row + 1, value, name);
  }

  std::int64_t rows() const { return rows_; }
  bool ok() const { return !fault_; }
  Status Done() { return fault_ ? Status(std::unexpected(std::move(*fault_))) : Status(); }

 private:
  std::string_view subject_;
  std::int64_t rows_;
  std::optional<Error> fault_;
};

void CheckClass(std::string_view name, std::span<const std::int32_t> column, std::int64_t classes, Check& check) {
  check.Within(name, column, 0, static_cast<double>(classes - 1));
}

void CheckClasses(Needs needs, const ClassColumns& columns, Check& check) {
  if (columns.classes < 1) check.Fault("there are no classes");
  if (columns.classes > kMostClasses)
    check.Fault(fmt::format("there are {} classes; the most is {}", columns.classes, kMostClasses), {},
                ErrorCode::kTooLarge);
  CheckClass("target class", columns.target, columns.classes, check);
  if (needs == Needs::kClasses || needs == Needs::kConfidence)
    CheckClass("predicted class", columns.predicted, columns.classes, check);
  if (needs == Needs::kConfidence) check.Probability("predicted class's probability", columns.predicted_probability);
  if (needs == Needs::kTargetProbability || needs == Needs::kSquareSum)
    check.Probability("true class's probability", columns.target_probability);
  if (needs == Needs::kSquareSum) check.Probability("sum of squared probabilities", columns.square_sum);
  if (needs == Needs::kPositiveProbability) {
    if (columns.classes != 2) check.Fault(fmt::format("it is for two classes, and there are {}", columns.classes));
    check.Finite("positive class's probability", columns.positive_probability);
  }
}

void CheckLevels(std::span<const double> levels, Check& check) {
  const auto falls = [](double a, double b) { return !(a < b); };
  if (levels.empty()) check.Fault("the levels of the quantiles were not kept");
  if (!std::ranges::all_of(levels, [](double level) { return level > 0 && level < 1; }))
    check.Fault("the quantile levels are not all above 0 and below 1");
  if (std::ranges::adjacent_find(levels, falls) != levels.end()) check.Fault("the quantile levels do not ascend");
}

void CheckNumbers(Needs needs, const NumberColumns& columns, Check& check) {
  check.Finite("target", columns.target);
  if (needs == Needs::kPredictions || needs == Needs::kScales) check.Finite("prediction", columns.prediction);
  if (needs == Needs::kScales)
    check.Within("scale", columns.scale, std::numeric_limits<double>::denorm_min(), kInfinity);
  if (needs == Needs::kQuantiles) {
    CheckLevels(columns.levels, check);
    check.Finite("predicted quantile", columns.quantiles, columns.levels.size());
  }
}

void CheckLists(std::string_view name, const Lists& lists, Check& check) {
  if (!check.Has(name, lists.ends)) return;
  std::int64_t begin = 0;
  for (std::int64_t end : lists.ends) {
    if (end < begin) return check.Fault(fmt::format("the {} ends before it begins", name));
    begin = end;
  }
  if (begin != static_cast<std::int64_t>(lists.values.size()))
    return check.Fault(fmt::format("the {} holds {} relevances instead of {}", name, lists.values.size(), begin));
  auto bad = std::ranges::find_if(lists.values, [](float value) { return !(value >= 0 && std::isfinite(value)); });
  if (bad == lists.values.end()) return;
  const auto row = std::ranges::upper_bound(lists.ends, bad - lists.values.begin()) - lists.ends.begin();
  check.Fault(Check::Wrong(static_cast<size_t>(row), "relevance", *bad));
}

void CheckTranscripts(Needs needs, const TranscriptColumns& columns, Check& check) {
  constexpr double kMost = std::numeric_limits<std::int32_t>::max();
  const bool words = needs == Needs::kWordEdits;
  check.Within(words ? "number of wrong words" : "number of wrong characters",
               words ? columns.word_edits : columns.character_edits, 0, kMost);
  check.Within(words ? "number of words" : "number of characters", words ? columns.words : columns.characters, 0,
               kMost);
}

void CheckWeights(std::span<const double> weight, Check& check) {
  if (weight.empty()) return;
  check.Within("weight", weight, 0, kInfinity);
  if (std::ranges::none_of(weight, [](double one) { return one > 0; })) check.Fault("the weights are all 0");
  if (!check.ok()) return;
  if (std::string fault = FaultOfWeights(weight); !fault.empty()) check.Fault(std::move(fault));
}

// The index in Evidence::columns of what a metric needs.
size_t KindOf(Needs needs) {
  switch (needs) {
    case Needs::kClasses:
    case Needs::kTargetProbability:
    case Needs::kSquareSum:
    case Needs::kPositiveProbability:
    case Needs::kConfidence:
      return 0;
    case Needs::kPredictions:
    case Needs::kScales:
    case Needs::kQuantiles:
      return 1;
    case Needs::kRankedLists:
      return 2;
    case Needs::kWordEdits:
    case Needs::kCharacterEdits:
      return 3;
  }
  return 0;
}

constexpr std::string_view kKinds[] = {"classes", "numbers", "ranked lists", "transcripts"};

// Holds the columns that both sides must have alike against each other, and keeps the first difference.
class Pairing {
 public:
  explicit Pairing(std::string_view subject) : subject_(subject) {}

  template <typename T>
  void Same(std::string_view name, std::span<const T> candidate, std::span<const T> opponent) {
    auto [a, b] = std::ranges::mismatch(candidate, opponent);
    if (a == candidate.end() && b == opponent.end()) return;
    if (candidate.size() != opponent.size())
      return Fault(fmt::format("the {} has {} entries for the candidate and {} for the opponent", name,
                               candidate.size(), opponent.size()));
    Fault(
        fmt::format("{} {} is {} for the candidate and {} for the opponent", name, a - candidate.begin() + 1, *a, *b));
  }

  void Fault(std::string cause) {
    if (done_)
      done_ = Fail(ErrorCode::kInvalid, "compare by", std::string(subject_), std::move(cause),
                   "Score both versions on the same rows, in the same order.");
  }

  Status Done() { return std::move(done_); }

 private:
  std::string_view subject_;
  Status done_;
};

void Pair(Needs, const ClassColumns& a, const ClassColumns& b, Pairing& pairing) {
  if (a.classes != b.classes)
    pairing.Fault(fmt::format("the candidate has {} classes and the opponent {}", a.classes, b.classes));
  pairing.Same("target class", a.target, b.target);
}

void Pair(Needs needs, const NumberColumns& a, const NumberColumns& b, Pairing& pairing) {
  pairing.Same("target", a.target, b.target);
  if (needs == Needs::kScales) pairing.Same("scale", a.scale, b.scale);
  if (needs == Needs::kQuantiles) pairing.Same("quantile level", a.levels, b.levels);
}

void Pair(Needs, const RankedColumns& a, const RankedColumns& b, Pairing& pairing) {
  pairing.Same("end of the query's relevances", a.relevant.ends, b.relevant.ends);
  pairing.Same("relevance", a.relevant.values, b.relevant.values);
}

void Pair(Needs needs, const TranscriptColumns& a, const TranscriptColumns& b, Pairing& pairing) {
  if (needs == Needs::kWordEdits) pairing.Same("number of words", a.words, b.words);
  if (needs == Needs::kCharacterEdits) pairing.Same("number of characters", a.characters, b.characters);
}

}  // namespace

std::int64_t RowCount(const Evidence& evidence) {
  struct Count {
    size_t operator()(const ClassColumns& columns) const { return columns.target.size(); }
    size_t operator()(const NumberColumns& columns) const { return columns.target.size(); }
    size_t operator()(const RankedColumns& columns) const { return columns.relevant.ends.size(); }
    size_t operator()(const TranscriptColumns& columns) const {
      return std::max(columns.words.size(), columns.characters.size());
    }
  };
  return static_cast<std::int64_t>(std::visit(Count{}, evidence.columns));
}

std::span<const double> UnequalWeights(const Evidence& evidence) {
  const auto weight = evidence.weight;
  const bool same = std::ranges::adjacent_find(weight, std::ranges::not_equal_to{}) == weight.end();
  return same ? std::span<const double>() : weight;
}

Status CheckEvidence(std::string_view subject, Needs needs, const Evidence& evidence) {
  Check check(subject, RowCount(evidence));
  if (evidence.columns.index() != KindOf(needs)) {
    check.Fault(
        fmt::format("it needs {}, and what was kept are {}", kKinds[KindOf(needs)], kKinds[evidence.columns.index()]));
    return check.Done();
  }
  if (check.rows() == 0) check.Fault("there are no rows", "Push rows that fall into the holdout.");
  if (const auto* classes = std::get_if<ClassColumns>(&evidence.columns)) CheckClasses(needs, *classes, check);
  if (const auto* numbers = std::get_if<NumberColumns>(&evidence.columns)) CheckNumbers(needs, *numbers, check);
  if (const auto* ranked = std::get_if<RankedColumns>(&evidence.columns)) {
    CheckLists("list of ranked relevances", ranked->ranked, check);
    CheckLists("list of the query's relevances", ranked->relevant, check);
  }
  if (const auto* texts = std::get_if<TranscriptColumns>(&evidence.columns)) CheckTranscripts(needs, *texts, check);
  CheckWeights(evidence.weight, check);
  return check.Done();
}

Status CheckPaired(std::string_view subject, Needs needs, const Evidence& candidate, const Evidence& opponent) {
  Pairing pairing(subject);
  if (RowCount(candidate) != RowCount(opponent))
    pairing.Fault(
        fmt::format("the candidate has {} rows and the opponent {}", RowCount(candidate), RowCount(opponent)));
  if (candidate.weight.size() != opponent.weight.size()) pairing.Fault("one side has weights and the other has none");
  pairing.Same("weight", candidate.weight, opponent.weight);
  std::visit(
      [&](const auto& columns) {
        if (const auto* other = std::get_if<std::decay_t<decltype(columns)>>(&opponent.columns))
          Pair(needs, columns, *other, pairing);
      },
      candidate.columns);
  return pairing.Done();
}

}  // namespace ratchet::gate
