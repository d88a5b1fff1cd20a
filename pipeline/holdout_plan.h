#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/manifest.h"
#include "registry/holdout.h"

// On which sealed rows the next candidate is judged, and which of them are worn out. Pure.
//
// Every look at the same rows spends a part of α (gate/alpha_ledger.h), so they wear out. Fresh rows, which no decision
// has seen, open a new epoch with a whole α of its own, and from then on candidates are judged on just these.
namespace ratchet::pipeline {

// Holdout rows by the push that brought them; pushes without any may be left out.
using HoldoutRows = std::map<std::int64_t, std::int64_t>;
HoldoutRows HoldoutRowsOf(const lake::Manifest& manifest);
HoldoutRows HoldoutRowsOf(const nlohmann::json& dataset_manifest);  // the same, parsed but not typed
// Those of the pushes in (after, until].
std::int64_t RowsBetween(const HoldoutRows& rows, std::int64_t after, std::int64_t until);
// Sealed rows of the pushes up to this one were made training rows; 0: of none.
std::int64_t RetiredUntil(const nlohmann::json& dataset_manifest);

// - No epoch yet, or a current one that nobody has looked at: all rows that no earlier epoch has.
// - Otherwise a new epoch once `fresh_rows` rows came after the current one; else the current one again.
// - Rows of the pushes up to `retired_until` are training rows now. A current epoch that had some of them goes on with the
//   rest and its ledger; one that had no others ends, and a new one opens on what is there.
// The answer names dataset and model only where `current` does. An epoch with rows = 0: there are none to judge on.
registry::HoldoutEpoch NextEpoch(const std::optional<registry::HoldoutEpoch>& current, const HoldoutRows& rows,
                                 std::int64_t fresh_rows, std::int64_t retired_until = 0);

struct RotationAsk {
  std::string dataset;
  std::optional<std::string> model;  // what this model has used up; none: what all have
  bool current = false;              // also the rows of the current epoch, once it has been looked at
  bool force = false;                // also rows that other models are still judged on
  std::int64_t retired_until = 0;    // pushes whose rows are retired already
};

struct RotationPlan {
  std::int64_t until_push = 0;      // holdout rows of the pushes up to this one go
  std::int64_t rows = 0;            // how many these are
  std::vector<std::string> losing;  // models whose current epoch loses rows by it
};

// Which rows are spent: those of closed epochs, of every model that has epochs on the dataset. `epochs`: the current one of
// each model. kConflict: there are none, or another model needs some of them; kNotFound: the model has no epoch.
Result<RotationPlan> PlanRotation(const std::vector<registry::HoldoutEpoch>& epochs, const HoldoutRows& rows, const RotationAsk& ask);

}  // namespace ratchet::pipeline
