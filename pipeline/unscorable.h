#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/judge.h"

// The live version that cannot be scored any more: a verdict of its own, `live_unscorable`, with the ways out. Pure.
namespace ratchet::pipeline {

inline constexpr char kLiveUnscorable[] = "live_unscorable";

// What the words name.
struct UnscorableNames {
  std::string model, pipeline;
  std::int64_t candidate = 0, live = 0;
};

// The report's member "live_unscorable" (docs/formats.md, "Decision") for a result of `test` that says so; null for another.
// "reset" tells whether `gate.baseline: reset` had the candidate judged against its baseline instead; else there are
// "ways_out".
registry::Json UnscorablePart(const registry::Json& tested, const UnscorableNames& names);

// The decision on a candidate whose test has no scores, `at.unscorable` being the part above: it does not promote, nobody
// has looked at a sealed row, and so nothing is spent. The same case gives the same report, bit for bit.
Judged JudgeUnscorable(const Case& at);

// What a report says after its reason where the baseline stood in for the live version.
std::string ResetSentence(const registry::Json& unscorable);

}  // namespace ratchet::pipeline
