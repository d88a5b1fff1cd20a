#include "pipeline/yaml_tree.h"

#include <spdlog/fmt/fmt.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/names.h"
#include "pipeline/spec.h"

namespace ratchet::pipeline {
namespace {

// Bytes of all scalars together once aliases are expanded: a few times what the text itself may hold.
constexpr size_t kMaxExpandedBytes = 4 * kMaxSpecBytes;

std::unexpected<Error> Refuse(int line, std::string cause, std::string hint = {}) {
  Error error{.code = ErrorCode::kInvalid,
              .operation = "read the spec",
              .cause = line > 0 ? fmt::format("line {}: {}", line, cause) : cause,
              .hint = std::move(hint),
              .line = line};
  error.details.push_back({"", line, std::move(cause)});
  return std::unexpected(std::move(error));
}

// What the builder throws through yaml-cpp to stop it at once; caught in ParseYamlTree.
struct Stop {
  int line;
  std::string cause;
};

struct Budget {
  size_t nodes = 0, bytes = 0;

  void Spend(int line, size_t more_nodes, size_t more_bytes) {
    nodes += more_nodes;
    bytes += more_bytes;
    if (nodes > kMaxSpecNodes)
      throw Stop{line, fmt::format("more than {} values, once aliases are expanded", kMaxSpecNodes)};
    if (bytes > kMaxExpandedBytes)
      throw Stop{line, fmt::format("more than {} bytes of values, once aliases are expanded", kMaxExpandedBytes)};
  }
  void SpendTree(int line, const YamlNode& node) {
    Spend(line, 1, node.text.size());
    for (const YamlNode& item : node.items) SpendTree(line, item);
    for (const YamlEntry& entry : node.entries) {
      Spend(line, 1, entry.key.size());
      SpendTree(line, entry.node);
    }
  }
};

int DepthOf(const YamlNode& node) {
  int deepest = 0;
  for (const YamlNode& item : node.items) deepest = std::max(deepest, DepthOf(item));
  for (const YamlEntry& entry : node.entries) deepest = std::max(deepest, DepthOf(entry.node));
  return deepest + 1;
}

// Builds the tree from yaml-cpp's events, so that no node of yaml-cpp's own ever exists and each limit stops the parse.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view text) : text_(text) {}

  YamlNode Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!open_.empty() && open_.back().IsAtKey()) throw Stop{mark.line + 1, "a key is missing before ':'"};
    Scalar({.kind = YamlNode::Kind::kNull, .line = mark.line + 1}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchored_.find(anchor);
    if (found == anchored_.end()) throw Stop{mark.line + 1, "an alias stands inside what it names"};
    CheckDepth(mark.line + 1, DepthOf(found->second));
    budget_.SpendTree(mark.line + 1, found->second);
    Add(found->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (tag != "?" && tag != "!" && !tag.empty()) RefuseTag(mark);
    auto kind = tag == "!" ? YamlNode::Kind::kQuoted : YamlNode::Kind::kPlain;
    CheckQuoteCloses(mark);
    Scalar({.kind = kind, .line = mark.line + 1, .text = text}, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor;
    std::set<std::string> keys = {};
    bool has_key = false;
    std::string key = {};
    int key_line = 0;
    bool IsAtKey() const { return node.kind == YamlNode::Kind::kMap && !has_key; }
  };

  [[noreturn]] static void RefuseTag(const YAML::Mark& mark) {
    throw Stop{mark.line + 1, "tags such as !name are not part of a spec"};
  }

  // yaml-cpp takes the end of the text for the end of a quote, and so a file cut short for a whole one.
  void CheckQuoteCloses(const YAML::Mark& mark) const {
    auto at = static_cast<size_t>(std::max(mark.pos, 0));
    char quote = at < text_.size() ? text_[at] : ' ';
    if (quote != '"' && quote != '\'') return;
    for (++at; at < text_.size() && text_[at] != quote; ++at)
      if (quote == '"' && text_[at] == '\\') ++at;
    if (at >= text_.size()) throw Stop{mark.line + 1, "not valid YAML: a quote is never closed"};
  }

  void CheckDepth(int line, int more) const {
    if (static_cast<int>(open_.size()) + more > kMaxSpecDepth)
      throw Stop{line, fmt::format("nested deeper than {} levels", kMaxSpecDepth)};
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (tag != "?" && !tag.empty()) RefuseTag(mark);
    if (!open_.empty() && open_.back().IsAtKey()) throw Stop{mark.line + 1, "a key is a list or a map, not a word"};
    CheckDepth(mark.line + 1, 1);
    budget_.Spend(mark.line + 1, 1, 0);
    open_.push_back({.node = {.kind = kind, .line = mark.line + 1}, .anchor = anchor});
  }

  void Close() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    if (frame.anchor != YAML::NullAnchor) anchored_[frame.anchor] = frame.node;
    Add(std::move(frame.node));
  }

  void Scalar(YamlNode node, YAML::anchor_t anchor) {
    budget_.Spend(node.line, 1, node.text.size());
    if (anchor != YAML::NullAnchor) anchored_[anchor] = node;
    Add(std::move(node));
  }

  void Add(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = open_.back();
    if (frame.node.kind == YamlNode::Kind::kList) {
      frame.node.items.push_back(std::move(node));
    } else if (frame.has_key) {
      frame.node.entries.push_back({std::move(frame.key), frame.key_line, std::move(node)});
      frame.has_key = false;
    } else {
      AddKey(frame, node);
    }
  }

  static void AddKey(Frame& frame, const YamlNode& node) {
    if (node.kind != YamlNode::Kind::kPlain && node.kind != YamlNode::Kind::kQuoted)
      throw Stop{node.line, "a key is a list or a map, not a word"};
    if (!frame.keys.insert(node.text).second)
      throw Stop{node.line, fmt::format("the key {} stands twice in one place", Quoted(node.text))};
    frame.key = node.text;
    frame.key_line = node.line;
    frame.has_key = true;
  }

  const std::string_view text_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, YamlNode> anchored_;
  Budget budget_;
  YamlNode root_;
};

int LineAt(std::string_view text, size_t at) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

Status CheckBytes(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F)
      return Refuse(LineAt(text, i), fmt::format("the byte 0x{:02X} is a control character", byte), "Send plain text");
  }
  if (IsUtf8Text(text)) return {};
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string_view::npos; begin = end + 1, end = text.find('\n', begin))
    if (!IsUtf8Text(text.substr(begin, end - begin))) break;
  return Refuse(LineAt(text, begin), "the text is not UTF-8", "Save the file as UTF-8");
}

// Without a byte order mark, and with line feeds alone between lines; lines keep their numbers.
std::string Normalised(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      plain += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      plain += '\n';
    }
  }
  return plain;
}

// A tab in a line's indentation, the commonest reason for a syntax error that names something else.
bool TabIndents(std::string_view text, int line) {
  size_t begin = 0;
  for (int i = 1; i < line && begin != std::string_view::npos; ++i) {
    begin = text.find('\n', begin);
    if (begin != std::string_view::npos) ++begin;
  }
  if (begin == std::string_view::npos) return false;
  size_t first = text.find_first_not_of(" \t", begin);
  return text.substr(begin, first == std::string_view::npos ? first : first - begin).find('\t') !=
         std::string_view::npos;
}

std::unexpected<Error> RefuseSyntax(const std::string& text, const YAML::Exception& exception) {
  int line = exception.mark.is_null() ? 0 : exception.mark.line + 1;
  if (dynamic_cast<const YAML::DeepRecursion*>(&exception))
    return Refuse(line, fmt::format("nested deeper than {} levels", kMaxSpecDepth));
  if (line > 0 && (TabIndents(text, line) || TabIndents(text, line - 1)))
    return Refuse(line, "not valid YAML: a tab indents a line here", "Indent with spaces");
  return Refuse(line, "not valid YAML: " + exception.msg, "Check the indentation, quotes and brackets there");
}

void CountJson(const nlohmann::json& json, int depth, Budget& budget) {
  if (depth > kMaxSpecDepth) throw Stop{0, fmt::format("nested deeper than {} levels", kMaxSpecDepth)};
  budget.Spend(0, 1, json.is_string() ? json.get_ref<const std::string&>().size() : 0);
  for (const auto& [key, value] : json.items()) {
    if (json.is_structured()) CountJson(value, depth + 1, budget);
    if (json.is_object()) budget.Spend(0, 1, key.size());
  }
}

YamlNode NodeOfJson(const nlohmann::json& json) {
  using Kind = YamlNode::Kind;
  if (json.is_null()) return {};
  if (json.is_string()) return {.kind = Kind::kQuoted, .text = json.get<std::string>()};
  if (json.is_number_float() && !std::isfinite(json.get<double>())) return {.kind = Kind::kPlain, .text = ".nan"};
  if (json.is_primitive()) return {.kind = Kind::kPlain, .text = json.dump()};
  YamlNode node{.kind = json.is_array() ? Kind::kList : Kind::kMap};
  if (json.is_array())
    for (const auto& item : json) node.items.push_back(NodeOfJson(item));
  else
    for (const auto& [key, value] : json.items()) node.entries.push_back({key, 0, NodeOfJson(value)});
  return node;
}

bool IsAll(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";

template <typename Number>
nlohmann::json NumberFrom(std::string_view digits, auto... how) {
  Number value{};
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, how...);
  if (error != std::errc() || end != digits.data() + digits.size()) return nlohmann::json::value_t::discarded;
  return value;
}

// [-+]?digits, 0x…, 0o… → a whole number; nothing when the text is none.
std::optional<nlohmann::json> WholeNumber(std::string_view text) {
  if (text.starts_with("0x") && IsAll(text.substr(2), "0123456789abcdefABCDEF"))
    return NumberFrom<std::uint64_t>(text.substr(2), 16);
  if (text.starts_with("0o") && IsAll(text.substr(2), "01234567")) return NumberFrom<std::uint64_t>(text.substr(2), 8);
  bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative || text.starts_with('+') ? 1 : 0);
  if (!IsAll(digits, kDigits)) return std::nullopt;
  if (negative) return NumberFrom<std::int64_t>(text);
  return NumberFrom<std::uint64_t>(digits);
}

// [-+]?(.digits|digits(.digits?)?)(e[-+]?digits)?, .inf, .nan → a float.
std::optional<nlohmann::json> FloatNumber(std::string_view text) {
  double sign = text.starts_with('-') ? -1 : 1;
  std::string_view body = text.substr(text.starts_with('-') || text.starts_with('+') ? 1 : 0);
  if (body == ".inf" || body == ".Inf" || body == ".INF") return sign * HUGE_VAL;
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return std::nan("");
  size_t e = body.find_first_of("eE");
  std::string_view mantissa = body.substr(0, e), whole = mantissa.substr(0, mantissa.find('.'));
  std::string_view fraction = whole.size() == mantissa.size() ? "" : mantissa.substr(whole.size() + 1);
  bool good = (whole.empty() || IsAll(whole, kDigits)) && (fraction.empty() || IsAll(fraction, kDigits)) &&
              !(whole.empty() && fraction.empty());
  if (e != std::string_view::npos) {
    std::string_view exponent = body.substr(e + 1);
    if (exponent.starts_with('-') || exponent.starts_with('+')) exponent.remove_prefix(1);
    good = good && IsAll(exponent, kDigits);
  }
  if (!good) return std::nullopt;
  return NumberFrom<double>(text.substr(text.starts_with('+') ? 1 : 0));
}

nlohmann::json PlainValue(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (auto whole = WholeNumber(text)) return *whole;
  if (auto number = FloatNumber(text)) return *number;
  return text;
}

}  // namespace

const YamlEntry* YamlNode::Find(std::string_view key) const {
  auto found = std::ranges::find(entries, key, &YamlEntry::key);
  return found == entries.end() ? nullptr : &*found;
}

Result<YamlNode> ParseYamlTree(std::string_view text) {
  if (text.size() > kMaxSpecBytes)
    return Fail(ErrorCode::kTooLarge, "read the spec", "",
                fmt::format("it has {} bytes; a spec has at most {}", text.size(), kMaxSpecBytes),
                "Keep data and code in files of their own");
  std::string plain = Normalised(text);
  RATCHET_TRY(CheckBytes(plain));
  try {
    std::istringstream stream(plain);
    YAML::Parser parser(stream);
    TreeBuilder builder(plain), second(plain);
    if (!parser.HandleNextDocument(builder)) return Refuse(0, "the spec is empty", "Begin with 'model: NAME'");
    if (parser.HandleNextDocument(second)) return Refuse(0, "there is more than one document", "Give one spec a file");
    return builder.Take();
  } catch (const Stop& stop) {
    return Refuse(stop.line, stop.cause);
  } catch (const YAML::Exception& exception) {
    return RefuseSyntax(plain, exception);
  } catch (const std::exception& exception) {
    return Refuse(0, fmt::format("not valid YAML: {}", exception.what()));
  }
}

Result<YamlNode> TreeFromJson(const nlohmann::json& json) {
  try {
    Budget budget;
    CountJson(json, 1, budget);
    return NodeOfJson(json);
  } catch (const Stop& stop) {
    return Refuse(0, stop.cause);
  } catch (const nlohmann::json::exception& exception) {
    return Refuse(0, exception.what());
  }
}

nlohmann::json JsonFromTree(const YamlNode& node) {
  nlohmann::json json;
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kPlain:
      return PlainValue(node.text);
    case YamlNode::Kind::kQuoted:
      return node.text;
    case YamlNode::Kind::kList:
      json = nlohmann::json::array();
      for (const YamlNode& item : node.items) json.push_back(JsonFromTree(item));
      return json;
    case YamlNode::Kind::kMap:
      json = nlohmann::json::object();
      for (const YamlEntry& entry : node.entries) json[entry.key] = JsonFromTree(entry.node);
      return json;
  }
  return json;
}

}  // namespace ratchet::pipeline
