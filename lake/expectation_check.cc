#include "lake/expectation_check.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "base/names.h"
#include "lake/expectation_pattern.h"
#include "lake/repeat_finder.h"
#include "lake/split.h"
#include "lake/time_text.h"

namespace ratchet::lake {
namespace {

constexpr std::size_t kExampleBytes = 200;

std::optional<double> AsNumber(const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

bool IsMissing(const Value& value) { return std::holds_alternative<std::monostate>(value); }

// Integers compare exactly, all other numbers as reals.
bool Equal(const Value& a, const Value& b) {
  if (a.index() == b.index()) return a == b;
  auto left = AsNumber(a), right = AsNumber(b);
  return left && right && *left == *right;
}

Value Shown(const Value& value, ColumnType type) {
  auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return value;
  if (type == ColumnType::kBlob) return fmt::format("{} bytes", text->size());
  return text->size() > kExampleBytes || !IsUtf8Text(*text) ? Value(Quoted(*text)) : value;
}

std::string RowsText(std::int64_t rows) { return rows == 1 ? "1 row" : fmt::format("{} rows", rows); }

// Rows at fault: their count and the first few.
class Faults {
 public:
  explicit Faults(const Schema& columns) : columns_(columns) {}

  void Add(std::int64_t number, const Row& row, const std::vector<std::size_t>& at) {
    ++rows;
    if (examples.size() < kExpectationExamples) examples.push_back(Example(number, row, at));
  }
  RowExample Example(std::int64_t number, const Row& row, const std::vector<std::size_t>& at) const {
    RowExample example{.row = number, .values = {}};
    for (std::size_t column : at) {
      example.values.emplace_back(columns_.columns[column].name, Shown(row[column], columns_.columns[column].type));
    }
    return example;
  }

  // Rows found to be at fault once all had gone by.
  void AddMore(std::int64_t count, const std::vector<RowExample>& first) {
    rows += count;
    examples.insert(examples.end(), first.begin(), first.end());
    std::sort(examples.begin(), examples.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
    if (examples.size() > kExpectationExamples) examples.resize(kExpectationExamples);
  }
  Status AddRepeats(const Repeats& repeats, PackReader& reader, const std::vector<std::size_t>& at) {
    std::vector<RowExample> first;
    for (std::int64_t number : repeats.first) {
      RATCHET_TRY(reader.Skip(number - 1));
      RATCHET_ASSIGN(const std::optional<Row> row, reader.NextRow());
      if (row) first.push_back(Example(number, *row, at));
    }
    AddMore(repeats.rows, first);
    return {};
  }

  std::int64_t rows = 0;
  std::vector<RowExample> examples;

 private:
  const Schema& columns_;
};

std::size_t IndexOf(const Schema& schema, const std::string& name) {
  const int at = schema.Find(name);
  RATCHET_CHECK(at >= 0);
  return static_cast<std::size_t>(at);
}

// What can be wrong with a value.
enum class Flaw { kNone, kMissing, kBelow, kAbove, kNoMatch, kNotIn, kRepeated, kCount };

class ColumnCheck final : public RowCheck {
 public:
  ColumnCheck(const Expectation& expectation, const CheckSetting& setting, std::optional<Pattern> pattern)
      : expectation_(expectation),
        at_{IndexOf(setting.columns, expectation.column)},
        pattern_(std::move(pattern)),
        faults_(setting.columns),
        missing_(setting.columns) {
    if (expectation.unique) repeats_.emplace(setting.scratch, setting.unique_checks);
  }

  Status Add(std::int64_t number, const Row& row) override {
    const Value& value = row[at_[0]];
    Flaw flaw = Flaw::kNone;
    if (IsMissing(value)) {
      missing_.Add(number, row, at_);
      if (expectation_.not_null) flaw = Flaw::kMissing;
    } else {
      flaw = FlawOf(value);
      if (repeats_) RATCHET_TRY(AddKey(value, number, flaw == Flaw::kNone));
    }
    if (flaw == Flaw::kNone) return {};
    ++flaws_[static_cast<std::size_t>(flaw)];
    faults_.Add(number, row, at_);
    return {};
  }

  Result<CheckResult> Finish(const WholeData& whole) override {
    CheckResult result{.expectation = expectation_};
    if (repeats_) {
      RATCHET_ASSIGN(const Repeats repeats, repeats_->Finish());
      RATCHET_TRY(faults_.AddRepeats(repeats, whole.reader, at_));
      flaws_[static_cast<std::size_t>(Flaw::kRepeated)] = repeats.rows;
    }
    std::string reasons = Reasons();
    const auto& most = expectation_.missing_at_most;
    if (most && static_cast<double>(missing_.rows) > *most * static_cast<double>(whole.reader.rows())) {
      if (!expectation_.not_null) faults_.AddMore(missing_.rows, missing_.examples);
      reasons += fmt::format("{}a share of {:.4g} is missing, {} at most may be", reasons.empty() ? "" : "; ",
                             static_cast<double>(missing_.rows) / static_cast<double>(whole.reader.rows()), *most);
    }
    result.failing_rows = faults_.rows;
    result.examples = std::move(faults_.examples);
    result.passed = faults_.rows == 0;
    if (!result.passed) {
      result.message = fmt::format("{} of {} at fault in column {}: {}", faults_.rows, RowsText(whole.reader.rows()),
                                   Quoted(expectation_.column), reasons);
    }
    return result;
  }

 private:
  Flaw FlawOf(const Value& value) const {
    if (auto number = AsNumber(value)) {
      if (expectation_.min && *number < *expectation_.min) return Flaw::kBelow;
      if (expectation_.max && *number > *expectation_.max) return Flaw::kAbove;
    }
    if (pattern_ && !pattern_->FoundIn(std::get<std::string>(value))) return Flaw::kNoMatch;
    const bool allowed = expectation_.in.empty() || std::any_of(expectation_.in.begin(), expectation_.in.end(),
                                                                [&](const Value& one) { return Equal(one, value); });
    return allowed ? Flaw::kNone : Flaw::kNotIn;
  }

  Status AddKey(const Value& value, std::int64_t number, bool counts) {
    key_.clear();
    std::visit([&](const auto& inner) { AppendKeyText(Cell(inner), key_); }, value);
    return repeats_->Add(key_, number, counts);
  }

  std::string Reasons() const {
    std::string text;
    for (std::size_t i = 0; i < flaws_.size(); ++i) {
      if (flaws_[i] == 0) continue;
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", flaws_[i], FlawText(static_cast<Flaw>(i)));
    }
    return text;
  }

  std::string FlawText(Flaw flaw) const {
    switch (flaw) {
      case Flaw::kMissing:
        return "without a value";
      case Flaw::kBelow:
        return fmt::format("below {}", *expectation_.min);
      case Flaw::kAbove:
        return fmt::format("above {}", *expectation_.max);
      case Flaw::kNoMatch:
        return "that do not match " + Quoted(*expectation_.matches);
      case Flaw::kNotIn:
        return "not in the list of allowed values";
      case Flaw::kRepeated:
        return "with a value that came before";
      case Flaw::kNone:
      case Flaw::kCount:
        break;
    }
    return "";
  }

  const Expectation expectation_;
  const std::vector<std::size_t> at_;
  const std::optional<Pattern> pattern_;
  std::optional<RepeatFinder> repeats_;
  std::string key_;
  Faults faults_, missing_;
  std::array<std::int64_t, static_cast<std::size_t>(Flaw::kCount)> flaws_{};
};

// A column of another type than was expected: its values need not be looked at.
class TypeCheck final : public RowCheck {
 public:
  TypeCheck(const Expectation& expectation, const Column& column) {
    result_.expectation = expectation;
    result_.passed = false;
    result_.message = fmt::format("column {} holds {} values, not {}", Quoted(column.name), ColumnTypeName(column.type),
                                  ColumnTypeName(*expectation.type));
  }
  Status Add(std::int64_t, const Row&) override { return {}; }
  Result<CheckResult> Finish(const WholeData&) override { return std::move(result_); }

 private:
  CheckResult result_;
};

class TogetherCheck final : public RowCheck {
 public:
  TogetherCheck(const Expectation& expectation, const CheckSetting& setting)
      : repeats_(setting.scratch, setting.unique_checks), faults_(setting.columns) {
    result_.expectation = expectation;
    for (const std::string& name : expectation.unique_together) at_.push_back(IndexOf(setting.columns, name));
  }

  Status Add(std::int64_t number, const Row& row) override {
    key_.clear();
    for (std::size_t column : at_) {
      if (IsMissing(row[column])) return {};
      // The length in front keeps ("a", "bc") apart from ("ab", "c").
      text_.clear();
      std::visit([&](const auto& inner) { AppendKeyText(Cell(inner), text_); }, row[column]);
      key_ += std::to_string(text_.size()) + ':' + text_;
    }
    return repeats_.Add(key_, number);
  }

  Result<CheckResult> Finish(const WholeData& whole) override {
    RATCHET_ASSIGN(const Repeats repeats, repeats_.Finish());
    RATCHET_TRY(faults_.AddRepeats(repeats, whole.reader, at_));
    result_.passed = faults_.rows == 0;
    result_.failing_rows = faults_.rows;
    result_.examples = std::move(faults_.examples);
    if (!result_.passed) {
      result_.message = fmt::format("{} of {} with values that came before: {}", faults_.rows,
                                    RowsText(whole.reader.rows()), ExpectationSubject(result_.expectation));
    }
    return std::move(result_);
  }

 private:
  CheckResult result_;
  std::vector<std::size_t> at_;
  RepeatFinder repeats_;
  Faults faults_;
  std::string key_, text_;
};

class RowCountCheck final : public RowCheck {
 public:
  explicit RowCountCheck(const Expectation& expectation) { result_.expectation = expectation; }
  Status Add(std::int64_t, const Row&) override { return {}; }

  Result<CheckResult> Finish(const WholeData& whole) override {
    const RowCount& count = *result_.expectation.rows;
    if (count.min && whole.reader.rows() < *count.min) {
      result_.message = fmt::format("there are {}, {} are needed at least", RowsText(whole.reader.rows()), *count.min);
    } else if (count.max && whole.reader.rows() > *count.max) {
      result_.message = fmt::format("there are {}, {} are allowed at most", RowsText(whole.reader.rows()), *count.max);
    }
    result_.passed = result_.message.empty();
    return std::move(result_);
  }

 private:
  CheckResult result_;
};

class FreshCheck final : public RowCheck {
 public:
  FreshCheck(const Expectation& expectation, const CheckSetting& setting)
      : at_{IndexOf(setting.columns, expectation.fresh->column)},
        oldest_us_(setting.now_us - expectation.fresh->within_s * 1'000'000),
        latest_us_(setting.now_us + kFutureLeewayUs),
        now_us_(setting.now_us),
        faults_(setting.columns) {
    result_.expectation = expectation;
  }

  Status Add(std::int64_t number, const Row& row) override {
    if (IsMissing(row[at_[0]])) return {};
    const auto time = TimeOfCell(row[at_[0]]);
    if (!time || *time > latest_us_) {
      faults_.Add(number, row, at_);
    } else if (!newest_us_ || *time > *newest_us_) {
      newest_us_ = time;
      newest_ = faults_.Example(number, row, at_);
    }
    return {};
  }

  Result<CheckResult> Finish(const WholeData& whole) override {
    const std::string column = Quoted(result_.expectation.fresh->column);
    if (faults_.rows > 0) {
      result_.failing_rows = faults_.rows;
      result_.examples = std::move(faults_.examples);
      result_.message = fmt::format("{} of {} where column {} holds no time, or one in the future", faults_.rows,
                                    RowsText(whole.reader.rows()), column);
    } else if (!newest_us_) {
      result_.message = fmt::format("no row has a time in column {}", column);
    } else if (*newest_us_ < oldest_us_) {
      result_.examples = {newest_};
      result_.message = fmt::format("the newest time in column {} is {}, {} ago; {} is allowed", column,
                                    TimeText(*newest_us_), DurationText((now_us_ - *newest_us_) / 1'000'000),
                                    DurationText(result_.expectation.fresh->within_s));
    }
    result_.passed = result_.message.empty();
    return std::move(result_);
  }

 private:
  CheckResult result_;
  const std::vector<std::size_t> at_;
  const std::int64_t oldest_us_, latest_us_, now_us_;
  std::optional<std::int64_t> newest_us_;
  RowExample newest_;
  Faults faults_;
};

class LikeCheck final : public RowCheck {
 public:
  LikeCheck(const Expectation& expectation, const CheckSetting& setting) : live_(setting.live) {
    result_.expectation = expectation;
  }
  Status Add(std::int64_t, const Row&) override { return {}; }

  Result<CheckResult> Finish(const WholeData& whole) override {
    if (live_ == nullptr) {
      result_.message = "there is no live version to compare with";
      return std::move(result_);
    }
    RATCHET_CHECK(whole.summary != nullptr);
    const Drift drift = CompareSummaries(*live_, *whole.summary, result_.expectation.like->columns);
    std::string reasons;
    for (const std::string& difference : drift.schema_differences) AddReason(difference, reasons);
    for (const ColumnDrift& column : drift.columns) {
      if (Moved(column)) result_.drift.push_back(column);
    }
    std::stable_sort(result_.drift.begin(), result_.drift.end(),
                     [](const auto& a, const auto& b) { return a.psi > b.psi; });
    if (result_.drift.size() > kDriftsTold) result_.drift.resize(kDriftsTold);
    for (const ColumnDrift& column : result_.drift) AddReason(Reason(column), reasons);
    result_.passed = reasons.empty();
    if (!result_.passed) result_.message = "unlike the live version's training data: " + reasons;
    return std::move(result_);
  }

 private:
  bool PsiExceeds(const ColumnDrift& column) const {
    return column.psi > result_.expectation.like->psi_at_most && column.psi > column.psi_noise;
  }
  bool KsExceeds(const ColumnDrift& column) const {
    const auto& most = result_.expectation.like->ks_at_most;
    return most && column.ks && *column.ks > *most;
  }
  bool Moved(const ColumnDrift& column) const { return PsiExceeds(column) || KsExceeds(column); }

  std::string Reason(const ColumnDrift& column) const {
    const LikeLive& like = *result_.expectation.like;
    std::string text = "column " + Quoted(column.column);
    if (PsiExceeds(column)) text += fmt::format(" has PSI {:.3g}, {} at most is allowed", column.psi, like.psi_at_most);
    if (KsExceeds(column)) text += fmt::format(" has KS {:.3g}, {} at most is allowed", *column.ks, *like.ks_at_most);
    if (!column.new_categories.empty()) text += fmt::format(" (new: {})", Quoted(column.new_categories.front()));
    return text;
  }

  static void AddReason(const std::string& reason, std::string& to) {
    constexpr std::size_t kLongest = 600;
    if (to.size() > kLongest) return;
    to += (to.empty() ? "" : "; ") + reason;
    if (to.size() > kLongest) to += "; …";
  }

  CheckResult result_;
  const Summary* live_;
};

}  // namespace

Result<std::unique_ptr<RowCheck>> MakeRowCheck(const Expectation& expectation, const CheckSetting& setting) {
  if (expectation.rows) return std::make_unique<RowCountCheck>(expectation);
  if (expectation.like) return std::make_unique<LikeCheck>(expectation, setting);
  if (expectation.fresh) return std::make_unique<FreshCheck>(expectation, setting);
  if (!expectation.unique_together.empty()) return std::make_unique<TogetherCheck>(expectation, setting);
  const Column& column = setting.columns.columns[IndexOf(setting.columns, expectation.column)];
  if (expectation.type && *expectation.type != column.type) return std::make_unique<TypeCheck>(expectation, column);
  std::optional<Pattern> pattern;
  if (expectation.matches) {
    RATCHET_ASSIGN(pattern, Pattern::Compile(*expectation.matches));
  }
  return std::make_unique<ColumnCheck>(expectation, setting, std::move(pattern));
}

}  // namespace ratchet::lake
