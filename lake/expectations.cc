#include "lake/expectations.h"

#include <algorithm>
#include <memory>
#include <regex>
#include <unordered_map>
#include <unordered_set>

#include "base/names.h"
#include "lake/split.h"

namespace ratchet::lake {
namespace {

constexpr std::size_t kExampleBytes = 200;

// The breadth-first matcher of libstdc++: linear in the text, where the usual one may take for ever or overflow the
// stack.
#ifdef __GLIBCXX__
constexpr auto kPatternFlags = std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto kPatternFlags = std::regex::ECMAScript;
#endif

std::unexpected<Error> Refuse(std::size_t index, const std::string& key, std::string cause, std::string hint) {
  const std::string field = "expect[" + std::to_string(index) + "]." + key;
  auto failure = Fail(ErrorCode::kInvalid, "check the expectations", field, std::move(cause), std::move(hint));
  failure.error().field = field;
  return failure;
}

Result<std::unique_ptr<std::regex>> CompilePattern(const std::string& pattern) {
  try {
    return std::make_unique<std::regex>(pattern, kPatternFlags);
  } catch (const std::regex_error&) {
    return Fail(ErrorCode::kInvalid, "read the pattern", Quoted(pattern), "it is not valid",
                "Use an ECMAScript pattern without back-references");
  }
}

bool IsNumeric(ColumnType type) { return type == ColumnType::kInteger || type == ColumnType::kReal; }

Status CheckOne(const Expectation& expectation, std::size_t index, const Schema& schema) {
  const int at = schema.Find(expectation.column);
  if (at < 0) {
    std::vector<std::string> known;
    for (const Column& column : schema.columns) known.push_back(column.name);
    const std::string near = NearestName(expectation.column, known);
    return Refuse(index, "column", "the dataset has no column " + Quoted(expectation.column),
                  near.empty() ? "Name one of its columns" : "Did you mean " + Quoted(near) + "?");
  }
  const ColumnType type = schema.columns[static_cast<std::size_t>(at)].type;
  const std::string holds = "the column holds " + std::string(ColumnTypeName(type)) + " values";
  if ((expectation.min || expectation.max) && !IsNumeric(type)) {
    return Refuse(index, expectation.min ? "min" : "max", holds, "min and max are for columns of numbers");
  }
  if (expectation.matches && type != ColumnType::kText) {
    return Refuse(index, "matches", holds, "matches is for columns of text");
  }
  for (const Value& value : expectation.in) {
    const bool text = std::holds_alternative<std::string>(value);
    if (text == IsNumeric(type) || type == ColumnType::kBlob) {
      return Refuse(index, "in", holds, "List values of the column's type");
    }
  }
  if (expectation.matches) {
    auto pattern = CompilePattern(*expectation.matches);
    if (!pattern) return Refuse(index, "matches", pattern.error().cause, pattern.error().hint);
  }
  return {};
}

std::optional<double> AsNumber(const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

// Integers compare exactly, all other numbers as reals.
bool Equal(const Value& a, const Value& b) {
  if (a.index() == b.index()) return a == b;
  auto left = AsNumber(a), right = AsNumber(b);
  return left && right && *left == *right;
}

std::string KeyText(const Value& value) {
  std::string text;
  std::visit([&](const auto& inner) { AppendKeyText(Cell(inner), text); }, value);
  return text;
}

Value Example(const Value& value) {
  auto* text = std::get_if<std::string>(&value);
  return text != nullptr && text->size() > kExampleBytes ? Value(Quoted(*text)) : value;
}

// One expectation while the rows go by.
class Check {
 public:
  Check(const Expectation& expectation, std::size_t column, std::unique_ptr<std::regex> pattern)
      : column_(column), pattern_(std::move(pattern)) {
    result_.expectation = expectation;
  }

  void Add(const Row& row) {
    const Value& value = row[column_];
    ++rows_;
    const bool missing = std::holds_alternative<std::monostate>(value);
    if (missing) ++missing_;
    const bool fails = missing ? result_.expectation.not_null : !Fits(value);
    if (fails) Fault(value);
    if (!missing && result_.expectation.unique) hashes_.push_back(std::hash<std::string>()(KeyText(value)));
  }

  // Hashes that came twice: their rows have to be looked at again. True when there are any.
  bool FindRepeats() {
    std::sort(hashes_.begin(), hashes_.end());
    for (std::size_t i = 1; i < hashes_.size(); ++i) {
      if (hashes_[i] == hashes_[i - 1]) repeats_.insert(hashes_[i]);
    }
    hashes_ = {};
    return !repeats_.empty();
  }

  void AddAgain(const Row& row) {
    const Value& value = row[column_];
    if (repeats_.empty() || std::holds_alternative<std::monostate>(value)) return;
    std::string text = KeyText(value);
    if (!repeats_.contains(std::hash<std::string>()(text))) return;
    if (seen_.insert(std::move(text)).second || !Fits(value)) return;  // the first, or counted already
    Fault(value);
  }

  CheckResult Finish() {
    const Expectation& expectation = result_.expectation;
    const bool too_many = expectation.missing_at_most &&
                          static_cast<double>(missing_) > *expectation.missing_at_most * static_cast<double>(rows_);
    if (too_many && !expectation.not_null) result_.failing_rows += missing_;
    result_.passed = result_.failing_rows == 0;
    return std::move(result_);
  }

 private:
  bool Fits(const Value& value) const {
    const Expectation& expectation = result_.expectation;
    if (auto number = AsNumber(value)) {
      if (expectation.min && *number < *expectation.min) return false;
      if (expectation.max && *number > *expectation.max) return false;
    }
    if (pattern_) {
      const std::string& text = std::get<std::string>(value);
      if (text.size() > kMaxMatchedBytes || !std::regex_search(text, *pattern_)) return false;
    }
    return expectation.in.empty() || std::any_of(expectation.in.begin(), expectation.in.end(),
                                                 [&](const Value& allowed) { return Equal(allowed, value); });
  }

  void Fault(const Value& value) {
    ++result_.failing_rows;
    if (result_.examples.size() < kExpectationExamples) result_.examples.push_back(Example(value));
  }

  const std::size_t column_;
  std::unique_ptr<std::regex> pattern_;
  CheckResult result_;
  std::int64_t rows_ = 0, missing_ = 0;
  std::vector<std::size_t> hashes_;          // of the values so far, for `unique`
  std::unordered_set<std::size_t> repeats_;  // hashes that came more than once
  std::unordered_set<std::string> seen_;     // values with such a hash, in the second reading
};

template <typename Visit>
Status ForEachRow(PackReader& reader, Visit visit) {
  RATCHET_TRY(reader.Rewind());
  while (true) {
    RATCHET_ASSIGN(std::optional<Row> row, reader.NextRow());
    if (!row) return {};
    visit(*row);
  }
}

}  // namespace

Status CheckExpectations(const std::vector<Expectation>& expectations, const Schema& schema) {
  for (std::size_t i = 0; i < expectations.size(); ++i) RATCHET_TRY(CheckOne(expectations[i], i, schema));
  return {};
}

Result<std::vector<CheckResult>> Evaluate(const std::vector<Expectation>& expectations,
                                          const std::vector<std::string>& packs) {
  if (expectations.empty()) return std::vector<CheckResult>{};
  {
    RATCHET_ASSIGN(auto whole, PackReader::Open(packs));
    RATCHET_TRY(CheckExpectations(expectations, whole->schema()));
  }
  std::vector<std::string> columns;
  std::vector<Check> checks;
  for (const Expectation& expectation : expectations) {
    auto at = std::find(columns.begin(), columns.end(), expectation.column);
    const auto column = static_cast<std::size_t>(at - columns.begin());
    if (at == columns.end()) columns.push_back(expectation.column);
    std::unique_ptr<std::regex> pattern;
    if (expectation.matches) {
      RATCHET_ASSIGN(pattern, CompilePattern(*expectation.matches));
    }
    checks.emplace_back(expectation, column, std::move(pattern));
  }
  RATCHET_ASSIGN(auto reader, PackReader::Open(packs, columns));
  RATCHET_TRY(ForEachRow(*reader, [&](const Row& row) {
    for (Check& check : checks) check.Add(row);
  }));
  bool again = false;
  for (Check& check : checks) again |= check.FindRepeats();
  if (again) {
    RATCHET_TRY(ForEachRow(*reader, [&](const Row& row) {
      for (Check& check : checks) check.AddAgain(row);
    }));
  }
  std::vector<CheckResult> results;
  for (Check& check : checks) results.push_back(check.Finish());
  return results;
}

}  // namespace ratchet::lake
