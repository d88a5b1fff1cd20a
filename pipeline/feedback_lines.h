#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "registry/feedback.h"
#include "registry/predictions.h"

// Predictions and outcomes as text (docs/formats.md, "Predictions" and "Feedback"). Pure; any thread.
namespace ratchet::pipeline {

inline constexpr size_t kMaxOutcomes = 200'000;  // of one request
inline constexpr size_t kMaxReferenceBytes = 256;
inline constexpr size_t kMaxOutcomeBytes = 4096;
inline constexpr std::int64_t kMaxPredictionRows = 1LL << 24;

// One line that a replica ships. kInvalid says what is wrong with it.
Result<registry::LoggedPrediction> ParsePredictionLine(std::string_view line);

enum class FeedbackText { kJson, kJsonLines };
// Outcomes, each {"prediction": ID or "key": KEY, "outcome": text or number, "row": 0, "at": time}: in JSON one of them or a
// list, in JSON Lines one a line. All or nothing: kInvalid has one fault for each that is wrong, with its line (in a list,
// its place from 1) and field.
Result<std::vector<registry::OutcomeInput>> ParseOutcomes(std::string_view body, FeedbackText text);

}  // namespace ratchet::pipeline
