#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "registry/holdout.h"

// On which sealed rows the next candidate is judged. Pure.
//
// Every look at the same rows spends a part of α (gate/alpha_ledger.h), so they wear out. Fresh rows, which no decision
// has seen, open a new epoch with a whole α of its own, and from then on candidates are judged on just these.
namespace ratchet::pipeline {

// Holdout rows by the push that brought them; pushes without any may be left out.
using HoldoutRows = std::map<std::int64_t, std::int64_t>;
HoldoutRows HoldoutRowsOf(const nlohmann::json& dataset_manifest);

// - No epoch yet, or a current one that nobody has looked at: all rows that no earlier epoch has.
// - Otherwise a new epoch once `fresh_rows` rows came after the current one; else the current one again.
// The answer names dataset and model only where `current` does. An epoch with rows = 0: there are none to judge on.
registry::HoldoutEpoch NextEpoch(const std::optional<registry::HoldoutEpoch>& current, const HoldoutRows& rows,
                                 std::int64_t fresh_rows);

}  // namespace ratchet::pipeline
