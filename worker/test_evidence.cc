#include "worker/test_evidence.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <vector>

#include "base/files.h"
#include "lake/pack.h"
#include "worker/cells.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

lake::Schema EvidenceSchema(const Contest& contest) {
  using lake::ColumnType;
  const bool classifies = contest.Classifies();
  lake::Schema schema{{{kTargetColumn, classifies ? ColumnType::kInteger : ColumnType::kReal, {}}}};
  for (const std::string side : {kCandidateColumns, kOpponentColumns}) {
    if (classifies) schema.columns.push_back({side + "predicted", ColumnType::kInteger, {}});
    else schema.columns.push_back({side + "prediction", ColumnType::kReal, {}});
    if (!classifies) continue;
    for (const char* name : {"p_target", "p_predicted", "square_sum"})
      schema.columns.push_back({side + name, ColumnType::kReal, {}});
    if (contest.classes.size() == 2) schema.columns.push_back({side + "p_positive", ColumnType::kReal, {}});
  }
  schema.columns.insert(schema.columns.end(), contest.slice_columns.begin(), contest.slice_columns.end());
  return schema;
}

void AddCells(const Contest& contest, const Answers& side, size_t scored, lake::Row& cells) {
  if (!contest.Classifies()) return void(cells.emplace_back(side.prediction[scored].value_or(0)));
  cells.emplace_back(std::int64_t{side.predicted[scored]});
  for (const auto* column : {&side.target_probability, &side.predicted_probability, &side.square_sum})
    cells.emplace_back((*column)[scored]);
  if (contest.classes.size() == 2) cells.emplace_back(side.positive_probability[scored]);
}

// The target and both answers of a row, `scored` being its place among those that are judged.
lake::Row CellsOf(const Contest& contest, const Heard& heard, size_t row, size_t scored) {
  lake::Row cells;
  if (contest.Classifies()) cells.emplace_back(std::int64_t{contest.targets.classes[row]});
  else cells.emplace_back(contest.targets.numbers[row]);
  AddCells(contest, heard.candidate, scored, cells);
  AddCells(contest, heard.opponent, scored, cells);
  return cells;
}

json ToJson(const Unscorable& why) { return {{"reason", why.reason}, {"message", why.message}}; }

}  // namespace

Status WriteEvidence(const StepSpec& spec, const Contest& contest, const Heard& heard) {
  const auto path = spec.folder + "/scores.pack";
  RATCHET_TRY(SystemFiles().RemoveAll(path));
  RATCHET_ASSIGN(const auto writer, lake::PackWriter::Create(path, EvidenceSchema(contest)));
  std::vector<std::string> columns{spec.data.target};
  for (const auto& column : contest.slice_columns)
    if (column.name != spec.data.target) columns.push_back(column.name);
  RATCHET_ASSIGN(const auto holdout, lake::PackReader::Open(spec.holdout, columns));
  size_t row = 0, scored = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, holdout->Next(4096));
    if (batch.rows == 0) return writer->Finish();
    for (size_t in_batch = 0; in_batch < static_cast<size_t>(batch.rows); ++in_batch, ++row) {
      if (!contest.HasTarget(row)) continue;
      lake::Row cells = CellsOf(contest, heard, row, scored++);
      for (const auto& column : contest.slice_columns)
        cells.push_back(CellAt(column, batch.columns[static_cast<size_t>(holdout->schema().Find(column.name))], in_batch));
      RATCHET_TRY(writer->Add(cells));
    }
  }
}

void SettleNumbers(const Contest& contest, Heard& heard) {
  std::vector<double> targets;
  std::ranges::copy_if(contest.targets.numbers, std::back_inserter(targets), [](double number) { return std::isfinite(number); });
  Settle(targets, heard.candidate, heard.opponent);
}

json TestSummary(const Contest& contest, const Heard& heard) {
  constexpr size_t kMostNames = 200;
  json summary{{"metric", contest.metric},
               {"evidence", contest.Classifies() ? "classes" : "numbers"},
               {"rows", contest.ScoredRows()},
               {"opponent_kind", contest.live ? "live" : contest.baseline->name()},
               {"metrics",
                {{"non_finite_rows", heard.candidate.non_finite_rows},
                 {"opponent_non_finite_rows", heard.opponent.non_finite_rows},
                 {"rows_without_target", contest.rows_without_target}}}};
  if (contest.unscorable) summary["live_unscorable"] = ToJson(*contest.unscorable);
  if (!contest.Classifies()) return summary;
  summary["classes"] = contest.classes.size();
  if (auto names = contest.classes.Names(); names.size() <= kMostNames) summary["class_names"] = std::move(names);
  return summary;
}

json NotCompared(const Contest& contest) {
  return {{"metric", contest.metric}, {"opponent_kind", "live"}, {"live_unscorable", ToJson(*contest.unscorable)}};
}

}  // namespace ratchet::worker
