#include "worker/probed_rows.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace ratchet::worker {
namespace {

constexpr std::int64_t kBatchRows = 256;
constexpr std::int64_t kMostValues = 1'000'000;
constexpr std::uint64_t kMostBodyBytes = 64ull << 20;
constexpr int kTrials = 3;  // the first calls for a new shape take longer

// One scored row of the holdout, where the sample has it.
struct Visited {
  const lake::Schema& schema;
  const lake::Batch& batch;
  size_t in_batch;
  size_t row;     // in the holdout
  size_t scored;  // among those that have a target
};

// Goes through the scored rows in order, until `visit` says that it is enough.
Status VisitScored(const TestedHoldout& holdout, const std::vector<std::string>& columns,
                   const std::function<Result<bool>(const Visited&)>& visit) {
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(holdout.packs, columns));
  size_t row = 0, scored = 0;
  for (;;) {
    RATCHET_ASSIGN(const auto batch, reader->Next(kBatchRows));
    if (batch.rows == 0) return {};
    for (size_t in_batch = 0; in_batch < static_cast<size_t>(batch.rows); ++in_batch, ++row) {
      if (!holdout.has_target(row)) continue;
      RATCHET_ASSIGN(const bool more, visit({reader->schema(), batch, in_batch, row, scored++}));
      if (!more) return {};
    }
  }
}

Result<std::int64_t> OneRowUs(const AnswerBatch& answer, const lake::Schema& schema, const lake::Batch& one, const Clock& clock) {
  std::int64_t took_us = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::int64_t begun_us = clock.MonotonicUs();
    RATCHET_TRY(answer(schema, one));
    took_us = clock.MonotonicUs() - begun_us;
  }
  return took_us;
}

std::vector<std::string> ColumnsOf(const registry::Signature& signature) {
  std::vector<std::string> columns;
  for (const auto& input : signature.inputs) {
    const auto& column = input.column.empty() ? input.name : input.column;
    if (std::ranges::count(columns, column) == 0) columns.push_back(column);
  }
  return columns;
}

bool AreAnswers(const TestedHoldout& holdout, const registry::Signature& signature, const std::vector<std::vector<double>>& alone) {
  const size_t width = signature.task == registry::Task::kClassification ? registry::ClassCount(signature.classes) : 1;
  return !alone.empty() && static_cast<std::int64_t>(alone.size()) <= holdout.scored_rows &&
         std::ranges::all_of(alone, [&](const auto& values) { return values.size() == width; });
}

std::unexpected<StepError> DiffersAlone(size_t row, const std::string& how) {
  return UserFault(fmt::format("the candidate answers holdout row {} otherwise alone than among others: {}", row + 1, how),
                   "Requests of one row are what it will serve; its forward must depend on the row alone: not on chance, on "
                   "calls before, or on how many rows come together.");
}

}  // namespace

Status AnswerAlone(const TestedHoldout& holdout, const registry::Signature& signature, const AnswerBatch& answer,
                   const Clock& clock, const Tell& tell) {
  std::vector<size_t> places;
  size_t next = 0;
  return VisitScored(holdout, ColumnsOf(signature), [&](const Visited& at) -> Result<bool> {
    if (!places.empty() && at.scored != places[next]) return true;
    const auto one = OneRow(at.batch, at.in_batch);
    RATCHET_ASSIGN(const auto values, answer(at.schema, one));
    if (places.empty()) {
      RATCHET_ASSIGN(const std::int64_t one_row_us, OneRowUs(answer, at.schema, one, clock));
      const auto most = std::max<std::int64_t>(1, kMostValues / static_cast<std::int64_t>(std::max<size_t>(values.size(), 1)));
      places = SpreadPlaces(holdout.scored_rows, std::min(most, ProbedRowCount(holdout.scored_rows, one_row_us)));
    }
    tell({{"alone", values}});
    return ++next < places.size();
  });
}

std::expected<std::vector<ProbedRow>, StepError> ProbedRows(const TestedHoldout& holdout, const registry::Signature& signature,
                                                            const std::vector<std::vector<double>>& alone,
                                                            const ScoredSide& scored) {
  if (!AreAnswers(holdout, signature, alone)) return InternalFault("the models' process told no answers to single rows");
  const auto places = SpreadPlaces(holdout.scored_rows, static_cast<std::int64_t>(alone.size()));
  std::vector<ProbedRow> rows;
  std::optional<StepError> fault;
  size_t next = 0, thinning = 0;
  const auto visited = VisitScored(holdout, ColumnsOf(signature), [&](const Visited& at) -> Result<bool> {
    if (at.scored != places[next]) return true;
    const auto& values = alone[next++];
    const auto skew = scored.targets.empty() ? NumberSkew(scored.answers, at.scored, values)
                                             : ClassSkew(scored.answers, at.scored, values, scored.map, scored.targets[at.row]);
    if (skew) fault = DiffersAlone(at.row, *skew).error();
    const bool more = !fault && next < places.size();
    if (thinning != 0 && (next - 1) % thinning != 0) return more;
    auto body = InferBody(signature, at.schema, at.batch, at.in_batch);
    if (!body) return more;
    if (thinning == 0) thinning = 1 + body->size() * places.size() / kMostBodyBytes;
    rows.push_back({.row = static_cast<std::int64_t>(at.row), .scored = at.scored, .alone = values, .body = std::move(*body)});
    return more;
  });
  RATCHET_STEP_TRY(visited);
  if (fault) return std::unexpected(*fault);
  return rows;
}

}  // namespace ratchet::worker
