#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pipeline/yaml_tree.h"

// Typed reading of one section of a spec, where every fault is noted and reading goes on.
namespace ratchet::pipeline {

// All faults of one spec; after kMostFaults they are only counted.
class Faults {
 public:
  static constexpr size_t kMostFaults = 50;
  void Add(std::string path, int line, std::string detail);
  bool Empty() const { return count_ == 0; }
  // kInvalid; the faults in the order of their lines, field and line those of the first.
  Error ToError() const;

 private:
  std::vector<FieldError> found_;
  size_t count_ = 0;
};

// One map of the spec. A missing or empty one reads as a map without keys. Each reader returns nothing where the key is
// absent, null, or at fault (then noted). Refers to its node and faults, which must outlive it.
class Section {
 public:
  // `known`: the keys that may stand here. `later`: those of the product's contract that this version does not act on.
  Section(Faults& faults, const YamlNode* node, std::string path, int line, std::vector<std::string> known,
          std::vector<std::string> later = {});

  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  std::string PathOf(std::string_view key) const;
  // `key` may be that of an item of a list, "slices[1]".
  void Fault(std::string_view key, std::string detail);

  // The section under `key`, whether it is there or not.
  Section Child(std::string_view key, std::vector<std::string> known, std::vector<std::string> later = {});
  const YamlNode* Find(std::string_view key) const;  // null where absent or null-valued

  // Notes a fault where the key is absent or null.
  void Require(std::string_view key, std::string_view what);

  using Check = std::function<Status(const std::string&)>;
  std::optional<std::string> Text(std::string_view key, const Check& check = {});
  std::optional<std::string> OneOf(std::string_view key, const std::vector<std::string>& allowed,
                                   const std::vector<std::string>& later = {});
  // `allowed` in words, for the fault: "a number from 0 to below 1".
  std::optional<double> Number(std::string_view key, std::string_view allowed,
                               const std::function<bool(double)>& in_range);
  std::optional<std::int64_t> Whole(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<std::uint64_t> Unsigned(std::string_view key);
  std::optional<bool> Bool(std::string_view key);
  // A whole number, or text that `parse` turns into one; from `least` to `most`, which `allowed` says in words.
  std::optional<std::int64_t> Quantity(std::string_view key, std::int64_t least, std::int64_t most,
                                       std::string_view allowed, Result<std::int64_t> (*parse)(std::string_view));
  // A list of texts, none empty; with `any_scalar`, numbers and such count as their text.
  std::optional<std::vector<std::string>> Texts(std::string_view key, bool any_scalar, std::string_view example);

 private:
  void FaultAt(const YamlNode& node, std::string_view key, std::string detail);
  void CheckKeys(const YamlNode& node, const std::vector<std::string>& known, const std::vector<std::string>& later);

  Faults& faults_;
  const YamlNode* node_;  // null: absent
  std::string path_;
  int line_;
};

// "; did you mean 'model'?", or nothing where no known word is near.
std::string Suggestion(std::string_view word, const std::vector<std::string>& known);

// How a node is named in a fault: "a list", "a map", or its text in quotes.
std::string Describe(const YamlNode& node);

}  // namespace ratchet::pipeline
