#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lake/leakage.h"
#include "worker/step_error.h"
#include "worker/step_spec.h"

// Whether sealed rows stand in training as well, and what follows from it. Runs in the test step's process, which alone may
// open the holdout.
namespace ratchet::worker {

enum class LeakAction {
  kNone,     // nothing was found
  kTold,     // judged with them; the report says so
  kDropped,  // judged without them
  kRefused,  // not judged at all
};
std::string_view LeakActionName(LeakAction action);  // "none", "told", "dropped", "refused"

// Shares of the sealed rows up to which they are dropped where the spec does not say (`at_most`): a fifth of telling rows.
// Of a table of plain numbers and short texts, where rows come out equal by nature, too, a twentieth, and only where rows
// repeat in training as rarely; beyond, nobody can tell copies from coincidence, and `auto` leaves them in and says so.
inline constexpr double kMostTellingDropped = 0.2;
inline constexpr double kMostPlainDropped = 0.05;

// What follows from what was found, for `equal` or `near` of the spec: "auto", "drop", "warn", "refuse". Pure.
LeakAction ActionOn(const std::string& mode, const lake::Leaks& leaks, const lake::LeakedRows& found, std::optional<double> at_most);

struct LeakCheck {
  std::vector<std::uint8_t> dropped;  // one a row of the holdout: 1 where it is not to be judged on; empty: none
  std::int64_t dropped_rows = 0;
  nlohmann::json report;  // `leakage` of result.json (docs/formats.md); null where nothing was looked for
};

// `columns`: what the candidate reads. The target and the key are left out of the comparison. kUser where rows stand in
// both beyond what the spec lets pass, or where no row would be left.
std::expected<LeakCheck, StepError> CheckLeaks(const StepSpec& spec, const std::vector<std::string>& columns);

}  // namespace ratchet::worker
