#pragma once

#include <memory>
#include <regex>
#include <string>

#include "base/result.h"

namespace ratchet::lake {

// The pattern of `matches`, in time linear in the text: libstdc++'s breadth-first matcher, where the usual one may take
// for ever or overflow the stack. That one knows no back-references, so they are refused.
class Pattern {
 public:
  static Result<Pattern> Compile(const std::string& pattern);
  // Whether the pattern is found in the text; false for a text of more than kMaxMatchedBytes.
  bool FoundIn(const std::string& text) const;

 private:
  explicit Pattern(std::unique_ptr<std::regex> compiled) : compiled_(std::move(compiled)) {}
  std::unique_ptr<std::regex> compiled_;
};

}  // namespace ratchet::lake
