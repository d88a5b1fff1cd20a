// What the next look can prove, told when the rows have been checked and before anything trains. Declared in
// pipeline/orchestrator.h.

#include <algorithm>
#include <limits>

#include "pipeline/holdout_plan.h"
#include "pipeline/look_forecast.h"
#include "pipeline/orchestrator_run.h"
#include "registry/events.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::Run;

constexpr int kDecisionsRead = 20;  // newest versions whose reports are looked at

}  // namespace

// Null where nothing is live yet, or nothing is known to go by.
Json Orchestrator::Forecast(const Context& at) {
  const Run& run = at.run();
  const auto data = DataOf(run);
  if (!data || run.reproduces) return {};
  const Json& manifest = (*data)->dataset_manifest;
  const HoldoutRows rows = HoldoutRowsOf(manifest);
  ForecastCase asked{.gate = at.spec->gate};
  Status read = store_.Read([&](Db& db) -> Status {
    asked.live = registry::LiveStateOf(db, run.model).version.value_or(0);
    if (asked.live == 0) return {};
    RATCHET_ASSIGN(const registry::Version live, registry::GetVersion(db, run.model, asked.live));
    asked.metric = at.spec->test.metric.value_or(live.metric);
    const auto current = registry::CurrentEpoch(db, run.dataset, run.model);
    asked.epoch = NextEpoch(current, rows, at.spec->gate.fresh_rows, RetiredUntil(manifest));
    // Another run may have gone on to newer rows.
    if (current && RetiredUntil(manifest) == 0 && current->number == asked.epoch.number) asked.epoch.rows = std::max(asked.epoch.rows, current->rows);
    asked.decided = registry::ListVersions(db, run.model, kDecisionsRead, {}).items;
    if (std::ranges::count(asked.decided, asked.live, &registry::Version::version) == 0) asked.decided.push_back(live);
    return {};
  });
  if (!read || asked.live == 0) return {};
  asked.unseen_rows = RowsBetween(rows, asked.epoch.until_push, std::numeric_limits<std::int64_t>::max());
  if (const Json share = manifest.value(Json::json_pointer("/split/holdout"), Json()); share.is_number()) asked.holdout_share = share;
  return ForecastLook(asked);
}

// Keeps the forecast with the validation; called inside the transaction that ends it.
void Orchestrator::NoteForecast(Db& db, const Context& at, const Json& forecast) {
  if (!forecast.is_object()) return;
  const Run& run = at.run();
  Json outputs = registry::OutputsOf(db, run.id, "validate").value_or(Json::object());
  outputs["forecast"] = forecast;
  registry::SetOutputs(db, run.id, "validate", outputs);
  registry::AppendEvent(db, {.type = "gate.forecast", .run = run.id, .pipeline = run.pipeline, .model = run.model, .data = forecast,
                             .at = now_us_});
}

}  // namespace ratchet::pipeline
