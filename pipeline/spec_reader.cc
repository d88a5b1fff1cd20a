#include "pipeline/spec_reader.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"

namespace ratchet::pipeline {
namespace {

bool IsScalar(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kPlain || node.kind == YamlNode::Kind::kQuoted;
}

// Key names come from the text: printable and short in paths.
std::string ShownKey(std::string_view key) {
  std::string quoted = Quoted(key);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kPlain:
    case YamlNode::Kind::kQuoted:
      return Quoted(node.text);
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

std::string Suggestion(std::string_view word, const std::vector<std::string>& known) {
  std::string near = NearestName(word, known);
  for (size_t i = 0; near.empty() && i < known.size(); ++i)
    if (word.size() == known[i].size() && EditDistance(word, known[i]) <= 2 &&
        std::ranges::is_permutation(word, known[i]))
      near = known[i];  // two letters changed places: two edits, but one slip
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

void Faults::Add(std::string path, int line, std::string detail) {
  if (++count_ <= kMostFaults) found_.push_back({std::move(path), line, std::move(detail)});
}

Error Faults::ToError() const {
  std::vector<FieldError> sorted = found_;
  std::ranges::stable_sort(sorted, {}, &FieldError::line);
  const FieldError& first = sorted.front();
  std::string place = first.field;
  if (first.line > 0) place += fmt::format("{}(line {})", place.empty() ? "" : " ", first.line);
  std::string more = count_ > 1 ? fmt::format(" (and {} more fault{})", count_ - 1, count_ == 2 ? "" : "s") : "";
  return {.code = ErrorCode::kInvalid,
          .operation = "check the spec",
          .cause = fmt::format("{}{}{}{}", place, place.empty() ? "" : " ", first.detail, more),
          .hint = {},
          .field = first.field,
          .line = first.line,
          .details = sorted};
}

Section::Section(Faults& faults, const YamlNode* node, std::string path, int line, std::vector<std::string> known,
                 std::vector<std::string> later)
    : faults_(faults), node_(node), path_(std::move(path)), line_(node && node->line > 0 ? node->line : line) {
  if (!node_ || node_->kind == YamlNode::Kind::kNull) {
    node_ = nullptr;
  } else if (node_->kind != YamlNode::Kind::kMap) {
    faults_.Add(path_, line_,
                fmt::format("must be a map with the keys {}, not {}", fmt::join(known, ", "), Describe(*node_)));
    node_ = nullptr;
  } else {
    CheckKeys(*node_, known, later);
  }
}

void Section::CheckKeys(const YamlNode& node, const std::vector<std::string>& known,
                        const std::vector<std::string>& later) {
  for (const YamlEntry& entry : node.entries) {
    if (std::ranges::count(known, entry.key)) continue;
    std::string path = PathOf(ShownKey(entry.key));
    if (std::ranges::count(later, entry.key))
      faults_.Add(path, entry.line, "is not available in this version; leave it out");
    else
      faults_.Add(path, entry.line,
                  fmt::format("is not a key that is known here{}{}", Suggestion(entry.key, known),
                              fmt::format(" (allowed: {})", fmt::join(known, ", "))));
  }
}

std::string Section::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const YamlNode* Section::Find(std::string_view key) const {
  const YamlEntry* entry = node_ ? node_->Find(key) : nullptr;
  return entry && entry->node.kind != YamlNode::Kind::kNull ? &entry->node : nullptr;
}

void Section::Fault(std::string_view key, std::string detail) {
  const YamlEntry* entry = node_ ? node_->Find(key.substr(0, key.find('['))) : nullptr;
  faults_.Add(PathOf(key), entry ? entry->line : line_, std::move(detail));
}

void Section::FaultAt(const YamlNode& node, std::string_view key, std::string detail) {
  faults_.Add(PathOf(key), node.line, std::move(detail));
}

Section Section::Child(std::string_view key, std::vector<std::string> known, std::vector<std::string> later) {
  return Section(faults_, Find(key), PathOf(key), line_, std::move(known), std::move(later));
}

void Section::Require(std::string_view key, std::string_view what) {
  if (!Has(key)) Fault(key, fmt::format("is missing; it is {}", what));
}

std::optional<std::string> Section::Text(std::string_view key, const Check& check) {
  const YamlNode* node = Find(key);
  if (!node) return std::nullopt;
  nlohmann::json value = IsScalar(*node) ? JsonFromTree(*node) : nlohmann::json();
  if (!value.is_string()) {
    bool number = IsScalar(*node);
    FaultAt(*node, key, fmt::format("must be text, not {}{}", Describe(*node), number ? "; put it in quotes" : ""));
    return std::nullopt;
  }
  if (check) {
    if (Status status = check(node->text); !status) {
      const Error& error = status.error();
      FaultAt(*node, key,
              fmt::format("{}: {}{}{}", error.subject, error.cause, error.hint.empty() ? "" : ". ", error.hint));
      return std::nullopt;
    }
  }
  return node->text;
}

std::optional<std::string> Section::OneOf(std::string_view key, const std::vector<std::string>& allowed,
                                          const std::vector<std::string>& later) {
  auto text = Text(key);
  if (!text || std::ranges::count(allowed, *text)) return text;
  if (std::ranges::count(later, *text))
    FaultAt(*Find(key), key,
            fmt::format("{} is not available in this version; use {}", Quoted(*text), fmt::join(allowed, " or ")));
  else
    FaultAt(*Find(key), key,
            fmt::format("must be {}, not {}{}", fmt::join(allowed, " or "), Quoted(*text), Suggestion(*text, allowed)));
  return std::nullopt;
}

std::optional<double> Section::Number(std::string_view key, std::string_view allowed,
                                      const std::function<bool(double)>& in_range) {
  const YamlNode* node = Find(key);
  if (!node) return std::nullopt;
  nlohmann::json value = IsScalar(*node) ? JsonFromTree(*node) : nlohmann::json();
  if (value.is_number() && std::isfinite(value.get<double>()) && in_range(value.get<double>()))
    return value.get<double>();
  FaultAt(*node, key, fmt::format("must be {}, not {}", allowed, Describe(*node)));
  return std::nullopt;
}

std::optional<std::int64_t> Section::Whole(std::string_view key, std::int64_t least, std::int64_t most) {
  return Quantity(key, least, most, fmt::format("a whole number from {} to {}", least, most), nullptr);
}

std::optional<std::uint64_t> Section::Unsigned(std::string_view key) {
  const YamlNode* node = Find(key);
  if (!node) return std::nullopt;
  nlohmann::json value = IsScalar(*node) ? JsonFromTree(*node) : nlohmann::json();
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  FaultAt(*node, key, fmt::format("must be a whole number from 0 to 18446744073709551615, not {}", Describe(*node)));
  return std::nullopt;
}

std::optional<bool> Section::Bool(std::string_view key) {
  const YamlNode* node = Find(key);
  if (!node) return std::nullopt;
  nlohmann::json value = IsScalar(*node) ? JsonFromTree(*node) : nlohmann::json();
  if (value.is_boolean()) return value.get<bool>();
  FaultAt(*node, key, fmt::format("must be true or false, not {}", Describe(*node)));
  return std::nullopt;
}

std::optional<std::int64_t> Section::Quantity(std::string_view key, std::int64_t least, std::int64_t most,
                                              std::string_view allowed,
                                              Result<std::int64_t> (*parse)(std::string_view)) {
  const YamlNode* node = Find(key);
  if (!node) return std::nullopt;
  nlohmann::json value = IsScalar(*node) ? JsonFromTree(*node) : nlohmann::json();
  std::string why;
  std::optional<std::int64_t> number;
  if (value.is_number_unsigned() ? value.get<std::uint64_t>() <= INT64_MAX : value.is_number_integer()) {
    number = value.get<std::int64_t>();
  } else if (value.is_string() && parse) {
    if (auto parsed = parse(node->text))
      number = *parsed;
    else
      why = fmt::format(": {}", parsed.error().cause);
  }
  if (number && *number >= least && *number <= most) return number;
  FaultAt(*node, key, fmt::format("must be {}, not {}{}", allowed, Describe(*node), why));
  return std::nullopt;
}

std::optional<std::vector<std::string>> Section::Texts(std::string_view key, bool any_scalar,
                                                       std::string_view example) {
  const YamlNode* node = Find(key);
  if (!node) return std::nullopt;
  if (node->kind != YamlNode::Kind::kList) {
    FaultAt(*node, key, fmt::format("must be a list such as {}, not {}", example, Describe(*node)));
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < node->items.size(); ++i) {
    const YamlNode& item = node->items[i];
    bool fits = IsScalar(item) && !item.text.empty() && (any_scalar || JsonFromTree(item).is_string());
    if (fits)
      texts.push_back(item.text);
    else
      FaultAt(item, fmt::format("{}[{}]", key, i),
              fmt::format("must be text that is not empty, not {}", Describe(item)));
  }
  return texts;
}

}  // namespace ratchet::pipeline
