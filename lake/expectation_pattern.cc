#include "lake/expectation_pattern.h"

#include "base/names.h"
#include "lake/expectations.h"

namespace ratchet::lake {
namespace {

#ifdef __GLIBCXX__
constexpr auto kPatternFlags = std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto kPatternFlags = std::regex::ECMAScript;
#endif

}  // namespace

Result<Pattern> Pattern::Compile(const std::string& pattern) {
  try {
    return Pattern(std::make_unique<std::regex>(pattern, kPatternFlags));
  } catch (const std::regex_error&) {
    return Fail(ErrorCode::kInvalid, "read the pattern", Quoted(pattern), "is no valid pattern, or too large a one",
                "use an ECMAScript pattern without back-references, with small {repetitions}");
  }
}

bool Pattern::FoundIn(const std::string& text) const {
  return text.size() <= kMaxMatchedBytes && std::regex_search(text, *compiled_);
}

}  // namespace ratchet::lake
