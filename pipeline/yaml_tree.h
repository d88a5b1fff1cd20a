#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// A spec's text as a tree with line numbers, before anything is known about its meaning.
namespace ratchet::pipeline {

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kPlain, kQuoted, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                         // 1-based; 0 = made from JSON values
  std::string text = {};                // kPlain, kQuoted
  std::vector<YamlNode> items = {};     // kList
  std::vector<YamlEntry> entries = {};  // kMap; keys are distinct, in the text's order

  const YamlEntry* Find(std::string_view key) const;  // null when there is none
};

struct YamlEntry {
  std::string key;
  int line = 0;
  YamlNode node;
};

// One YAML 1.2 document (so JSON too) within the limits of spec.h, aliases expanded. kTooLarge over kMaxSpecBytes;
// kInvalid with the line for: bytes that are not UTF-8 text, control characters, syntax errors, duplicate keys, keys
// that are no scalars, tags, more than one document, and more depth or nodes than the limits. Time and memory are
// bounded whatever the text.
Result<YamlNode> ParseYamlTree(std::string_view text);

// The same tree from JSON values; kInvalid over the same limits.
Result<YamlNode> TreeFromJson(const nlohmann::json& json);

// A scalar by YAML 1.2's core schema: null, true/false, whole numbers, floats; anything else, and all that is quoted,
// is text. A whole number beyond 64 bits or a float beyond a double is `discarded`. Lists and maps of scalars are
// converted likewise.
nlohmann::json JsonFromTree(const YamlNode& node);

}  // namespace ratchet::pipeline
