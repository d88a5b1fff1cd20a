#include "pipeline/cron_fields.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/names.h"

namespace ratchet::pipeline {
namespace {

struct FieldRule {
  std::string_view name;
  int least, most;
  std::vector<std::string> words;  // stand for `least`, `least` + 1, …
  std::string_view allowed;
};

const FieldRule kRules[] = {
    {"minute", 0, 59, {}, "0-59"},
    {"hour", 0, 23, {}, "0-23"},
    {"day of month", 1, 31, {}, "1-31"},
    {"month",
     1,
     12,
     {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"},
     "1-12 or jan-dec"},
    {"day of week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, "0-7 (0 and 7 are Sunday) or sun-sat"},
};
constexpr int kSunday = 0, kSundayAgain = 7;

struct Nickname {
  std::string_view name, fields;
};
constexpr Nickname kNicknames[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
                                   {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
                                   {"@hourly", "0 * * * *"}};

std::unexpected<Error> Refuse(std::string_view subject, std::string cause, std::string hint) {
  Error error{.code = ErrorCode::kInvalid, .operation = "read the schedule", .subject = Quoted(subject)};
  error.cause = std::move(cause);
  error.hint = std::move(hint);
  error.field = "cron";
  return std::unexpected(std::move(error));
}

std::unexpected<Error> RefuseField(const FieldRule& rule, std::string_view subject, std::string_view cause) {
  return Refuse(subject, fmt::format("in the {} field {}", rule.name, cause),
                fmt::format("Allowed are {}, *, ranges a-b, steps */n and a-b/n, and lists with commas", rule.allowed));
}

std::vector<std::string_view> SplitAt(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> SplitAtBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  std::vector<std::string_view> parts;
  for (size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(kBlanks, end);
  }
  return parts;
}

std::optional<int> WholeNumber(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool digits = !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<int> ParseValue(const FieldRule& rule, std::string_view text, std::string_view item) {
  auto word = std::ranges::find(rule.words, text);
  if (word != rule.words.end()) return rule.least + static_cast<int>(word - rule.words.begin());
  if (text.empty()) return RefuseField(rule, item, "a value is missing");
  auto value = WholeNumber(text);
  if (value && *value >= rule.least && *value <= rule.most) return *value;
  return RefuseField(rule, item, fmt::format("{} is not {}", Quoted(text), rule.allowed));
}

struct Range {
  int first, last;
};

Result<Range> ParseRange(const FieldRule& rule, std::string_view text, std::string_view item) {
  if (text == "*") return Range{rule.least, rule.most};
  size_t dash = text.find('-');
  RATCHET_ASSIGN(int first, ParseValue(rule, text.substr(0, dash), item));
  if (dash == std::string_view::npos) return Range{first, first};
  RATCHET_ASSIGN(int last, ParseValue(rule, text.substr(dash + 1), item));
  // A week may end with Sunday: "sat-sun".
  if (rule.most == kSundayAgain && last == kSunday && first > last) last = kSundayAgain;
  if (first > last) return RefuseField(rule, item, "the range ends before it begins; write it as two, with a comma");
  return Range{first, last};
}

Result<std::uint64_t> ParseItem(const FieldRule& rule, std::string_view item) {
  size_t slash = item.find('/');
  std::string_view span = item.substr(0, slash);
  RATCHET_ASSIGN(Range range, ParseRange(rule, span, item));
  int step = 1;
  if (slash != std::string_view::npos) {
    auto given = WholeNumber(item.substr(slash + 1));
    if (!given || *given < 1 || *given > rule.most)
      return RefuseField(rule, item, fmt::format("a step is a whole number from 1 to {}", rule.most));
    if (span != "*" && span.find('-') == std::string_view::npos)
      return RefuseField(rule, item,
                         fmt::format("a step follows * or a range; write {}-{}/{}", span, rule.most, *given));
    step = *given;
  }
  std::uint64_t values = 0;
  for (int value = range.first; value <= range.last; value += step) values |= std::uint64_t{1} << value;
  return values;
}

Result<std::uint64_t> ParseField(const FieldRule& rule, std::string_view text) {
  std::uint64_t values = 0;
  for (std::string_view item : SplitAt(text, ',')) {
    RATCHET_ASSIGN(std::uint64_t more, ParseItem(rule, item));
    values |= more;
  }
  return values;
}

Result<std::string> WithoutNickname(const std::string& text) {
  if (!text.starts_with('@')) return text;
  std::vector<std::string> known;
  for (const Nickname& nickname : kNicknames) {
    if (text == nickname.name) return std::string(nickname.fields);
    known.emplace_back(nickname.name);
  }
  std::string near = NearestName(text, known);
  return Refuse(text, "it is not one of the words with @",
                fmt::format("{}There are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
                            near.empty() ? "" : fmt::format("Did you mean {}? ", near)));
}

}  // namespace

Result<Schedule::Fields> ParseCronFields(std::string_view text) {
  constexpr std::string_view kShape =
      "Write five fields: minute, hour, day of month, month, day of week; as \"0 3 * * *\"";
  if (text.size() > kMaxScheduleBytes)
    return Refuse(text, fmt::format("it is longer than {} bytes", kMaxScheduleBytes), std::string(kShape));
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  lower.erase(0, lower.find_first_not_of(" \t"));
  lower.erase(lower.find_last_not_of(" \t") + 1);
  RATCHET_ASSIGN(std::string plain, WithoutNickname(lower));
  std::vector<std::string_view> parts = SplitAtBlanks(plain);
  if (parts.size() != std::size(kRules))
    return Refuse(text,
                  fmt::format("it has {} fields{}", parts.size(), parts.size() == 6 ? "; there are no seconds" : ""),
                  std::string(kShape));
  std::uint64_t values[std::size(kRules)] = {};
  for (size_t i = 0; i < parts.size(); ++i) {
    RATCHET_ASSIGN(values[i], ParseField(kRules[i], parts[i]));
  }
  if (values[4] >> kSundayAgain & 1) values[4] |= 1 << kSunday;
  return Schedule::Fields{.minutes = values[0],
                          .hours = values[1],
                          .days = values[2],
                          .months = values[3],
                          .weekdays = values[4],
                          .any_day = parts[2].starts_with('*'),
                          .any_weekday = parts[4].starts_with('*'),
                          .interval = parts[0].starts_with('*') || parts[1].starts_with('*')};
}

}  // namespace ratchet::pipeline
