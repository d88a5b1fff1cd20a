#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <optional>

#include "base/files.h"
#include "base/names.h"
#include "lake/expectations.h"
#include "lake/pack.h"
#include "lake/summary.h"
#include "worker/cells.h"
#include "worker/steps.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

// What the training rows hold in the target column.
struct TargetFacts {
  lake::Column column;
  std::int64_t rows = 0;
  std::int64_t missing = 0;
  bool varies = false;  // more than one value
};

Result<TargetFacts> ReadTarget(const StepSpec& spec) {
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(spec.train, {spec.data.target}));
  TargetFacts facts{.column = reader->schema().columns.at(0)};
  std::optional<lake::Value> first;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, reader->Next(4096));
    if (batch.rows == 0) return facts;
    facts.rows += batch.rows;
    const auto& values = batch.columns.at(0);
    for (size_t row = 0; row < values.missing.size(); ++row) {
      if (values.missing[row] != 0) {
        ++facts.missing;
        continue;
      }
      auto value = CellAt(facts.column, values, row);
      if (!first)
        first = std::move(value);
      else
        facts.varies |= value != *first;
    }
  }
}

std::expected<void, StepError> CheckTargetExists(const StepSpec& spec) {
  if (spec.train.empty())
    return UserFault("the dataset has no training rows", "Push more rows, or lower data.split.holdout.");
  RATCHET_STEP_ASSIGN(const auto reader, lake::PackReader::Open(spec.train));
  std::vector<std::string> names;
  for (const auto& column : reader->schema().columns) names.push_back(column.name);
  if (std::ranges::find(names, spec.data.target) != names.end()) return {};
  const auto near = NearestName(spec.data.target, names);
  return UserFault(fmt::format("data.target: the dataset has no column {}", Quoted(spec.data.target)),
                   near.empty() ? "`ratchet dataset show` lists the columns." : "Did you mean " + near + "?");
}

std::expected<void, StepError> CheckTargetSuits(const TargetFacts& facts, const std::string& task) {
  const auto name = Quoted(facts.column.name);
  if (facts.rows - facts.missing < kMinTrainingRows)
    return UserFault(fmt::format("{} training rows have a target, {} are needed at least", facts.rows - facts.missing,
                                 kMinTrainingRows),
                     "Push more rows.");
  if (facts.column.type == lake::ColumnType::kBlob)
    return UserFault(fmt::format("data.target: column {} holds blobs, which cannot be learned", name));
  const bool numeric = facts.column.type == lake::ColumnType::kInteger || facts.column.type == lake::ColumnType::kReal;
  if (task == "regression" && !numeric)
    return UserFault(fmt::format("data.target: column {} holds text, and the recipe predicts numbers", name),
                     "Use a classifier, or another target.");
  if (task == "classification" && !facts.varies)
    return UserFault(fmt::format("data.target: every training row has the same value in column {}", name),
                     "A classifier needs rows of two classes at least.");
  return {};
}

// The packs that the live version was trained on: `inputs.reference` of step.json, there where an expectation asks.
Result<std::vector<std::string>> ReferencePacks(const StepSpec& spec) {
  RATCHET_ASSIGN(const auto text, SystemFiles().Read(spec.folder + "/step.json", kMaxStepSpecBytes));
  const auto step = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto packs = step.is_object() ? step.value("/inputs/reference"_json_pointer, json::array()) : json();
  if (!packs.is_array() || !std::ranges::all_of(packs, &json::is_string))
    return Fail(ErrorCode::kInvalid, "read", "step.json", "inputs.reference: must be a list of packs");
  return packs.get<std::vector<std::string>>();
}

// Nothing where there is no live version, or nothing asks for it.
Result<std::optional<lake::Summary>> SummariseLive(const StepSpec& spec, const std::vector<lake::Expectation>& all) {
  if (std::ranges::none_of(all, [](const auto& one) { return one.like.has_value(); })) return std::nullopt;
  RATCHET_ASSIGN(const auto packs, ReferencePacks(spec));
  if (packs.empty()) return std::nullopt;
  lake::Summary live;
  for (const auto& pack : packs) {
    RATCHET_ASSIGN(const auto summary, lake::Summarise(pack));
    RATCHET_ASSIGN(live, lake::Merge(live, summary));
  }
  return live;
}

StepOutcome CheckExpectationsHold(const StepSpec& spec) {
  RATCHET_STEP_ASSIGN(const auto expectations, lake::ExpectationsFromJson(spec.data.expect.dump()));
  RATCHET_STEP_ASSIGN(const auto live, SummariseLive(spec, expectations));
  auto packs = spec.train;
  packs.insert(packs.end(), spec.validation.begin(), spec.validation.end());
  RATCHET_STEP_ASSIGN(const auto results,
                      lake::Evaluate(expectations, packs, {.live = live ? &*live : nullptr, .scratch = spec.folder}));
  json checks = json::parse(lake::CheckResultsToJson(results));
  std::int64_t failing = 0;
  std::string subjects;
  for (const auto& result : results) {
    if (result.passed) continue;
    ++failing;
    if (failing <= 5) subjects += (subjects.empty() ? "" : ", ") + lake::ExpectationSubject(result.expectation);
  }
  if (failing == 0) return json{{"checks", checks}};
  return std::unexpected(StepError{ErrorClass::kUser,
                                   fmt::format("{} of {} data.expect checks fail ({}{})", failing, results.size(),
                                               subjects, failing > 5 ? ", …" : ""),
                                   "See the failing rows in the step's checks; mend the data or the expectation.",
                                   {{"checks", checks}}});
}

}  // namespace

std::expected<const sdk::Recipe*, StepError> FindRecipe(const StepSpec& spec, const PluginHost& plugins) {
  if (const auto* recipe = plugins.Find(spec.recipe); recipe != nullptr) return recipe;
  const auto near = NearestName(spec.recipe, plugins.Names());
  return UserFault(
      fmt::format("train.recipe: no plugin has {}", Quoted(spec.recipe)),
      near.empty() ? "`ratchet-worker --list-recipes` lists what there is." : "Did you mean " + near + "?");
}

StepOutcome RunValidate(const StepSpec& spec, const PluginHost& plugins) {
  std::string task;
  if (!spec.recipe.empty()) {
    const auto recipe = FindRecipe(spec, plugins);
    if (!recipe) return std::unexpected(recipe.error());
    RATCHET_STEP_TRY(sdk::CompleteParams((*recipe)->Info(), spec.params));
    task = (*recipe)->Info().task;
  }
  if (const auto exists = CheckTargetExists(spec); !exists) return std::unexpected(exists.error());
  RATCHET_STEP_ASSIGN(const auto facts, ReadTarget(spec));
  if (const auto suits = CheckTargetSuits(facts, task); !suits) return std::unexpected(suits.error());
  return CheckExpectationsHold(spec);
}

}  // namespace ratchet::worker
