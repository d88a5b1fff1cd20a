#include "worker/serving_probe.h"

#include <httplib.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "worker/confined_call.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

constexpr char kPath[] = "/v2/models/candidate/infer";
constexpr std::int64_t kWantedUs = 1'000'000;  // of the model's own time, a round
constexpr size_t kMostQuoted = 500;
constexpr int kEndingMs = 500;  // of a process that has closed its connection

// The figures of one round.
struct Round {
  std::vector<std::int64_t> latencies_us;

  std::int64_t Quantile(double share) const {
    auto sorted = latencies_us;
    std::ranges::sort(sorted);
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted.empty() ? 0 : sorted[std::max<size_t>(rank, 1) - 1];
  }
};

class Probe {
 public:
  Probe(const ProbePlan& plan, const registry::Signature& signature, std::span<const ProbedRow> rows, ScratchServe& serve,
        const Clock& clock)
      : plan_(plan), signature_(signature), rows_(rows), serve_(serve), clock_(clock), client_("127.0.0.1", serve.port()) {
    client_.set_keep_alive(true);
    client_.set_tcp_nodelay(true);
    client_.set_connection_timeout(5);
    client_.set_read_timeout(plan.answer_ms / 1000, (plan.answer_ms % 1000) * 1000);
  }

  // Every round asks for the rows that the first had time for, so that they can be compared.
  std::expected<void, StepError> Measure() {
    const std::int64_t deadline_us = clock_.MonotonicUs() + plan_.rounds_ms * 1000;
    for (int number = 0; number < kProbeRounds && !rows_.empty(); ++number) {
      Round round;
      if (auto asked = Ask(round, deadline_us); !asked) return asked;
      const bool whole = round.latencies_us.size() == rows_.size();
      if (number > 0 && !whole) return {};
      rows_ = rows_.first(round.latencies_us.size());
      rounds_.push_back(std::move(round));
      if (clock_.MonotonicUs() >= deadline_us) return {};
    }
    return {};
  }

  size_t rows() const { return rows_.size(); }
  size_t rounds() const { return rounds_.size(); }
  double largest() const { return largest_; }
  // Of the round that was disturbed least: other work on the machine makes a round slower, and never faster.
  const Round& Quietest() const {
    return *std::ranges::min_element(rounds_, {}, [](const Round& round) { return round.Quantile(0.99); });
  }

 private:
  std::expected<void, StepError> Ask(Round& round, std::int64_t deadline_us) {
    for (const ProbedRow& row : rows_) {
      const bool enough = static_cast<std::int64_t>(round.latencies_us.size()) >= kLeastProbedRows;
      if (enough && clock_.MonotonicUs() >= deadline_us) return {};
      const std::int64_t begun_us = clock_.MonotonicUs();
      const auto answer = client_.Post(kPath, row.body, "application/json");
      round.latencies_us.push_back(clock_.MonotonicUs() - begun_us);
      if (!answer) return std::unexpected(Unanswered(row, answer.error()));
      if (auto checked = Check(row, *answer); !checked) return checked;
    }
    return {};
  }

  StepError Unanswered(const ProbedRow& row, httplib::Error why) {
    if (const std::string ended = serve_.Ended(kEndingMs); !ended.empty()) {
      const std::string message = fmt::format("the scratch ratchet-serve ended {} over holdout row {}", ended, row.row + 1);
      const bool crashed = IsOwnDoing(serve_.ended_signal());
      return {crashed ? ErrorClass::kUser : ErrorClass::kSignal, crashed ? "the candidate crashes what serves it: " + message : message,
              "Its last words are in the step's log.", json::object()};
    }
    if (why == httplib::Error::Read)
      return {ErrorClass::kTimeout,
              fmt::format("the served candidate has not answered holdout row {} within {} ms", row.row + 1, plan_.answer_ms), "",
              json::object()};
    return {ErrorClass::kInternal, fmt::format("holdout row {} could not be sent to the scratch ratchet-serve: {}", row.row + 1,
                                               httplib::to_string(why)), "", json::object()};
  }

  std::expected<void, StepError> Check(const ProbedRow& row, const httplib::Response& answer) {
    if (answer.status != 200)
      return UserFault(fmt::format("the served candidate refuses holdout row {}, which the test could score: {}", row.row + 1,
                                   answer.body.substr(0, kMostQuoted)),
                       "What clients send is what the signature says; make the column and the input's datatype agree.");
    const auto served = ReadInferAnswer(signature_, answer.body);
    if (!served)
      return InternalFault(fmt::format("the scratch ratchet-serve's answer to holdout row {} is not understood", row.row + 1));
    if (const auto skew = ServedSkew(signature_, row.alone, *served, largest_))
      return UserFault(fmt::format("the served candidate answers holdout row {} otherwise than the test scored it: {}", row.row + 1, *skew),
                       "Its forward must depend on the row alone: not on chance, on calls before, or on what is optimised for serving.");
    return {};
  }

  const ProbePlan& plan_;
  const registry::Signature& signature_;
  std::span<const ProbedRow> rows_;
  ScratchServe& serve_;
  const Clock& clock_;
  httplib::Client client_;
  std::vector<Round> rounds_;
  double largest_ = 0;
};

std::uint64_t BundleBytes(const BundleFiles& bundle) {
  std::error_code ignored;
  std::uint64_t bytes = 0;
  for (const auto& path : {bundle.manifest, bundle.model})
    if (const auto size = std::filesystem::file_size(path, ignored); !ignored) bytes += size;
  return bytes;
}

bool InputsDiffer(std::span<const ProbedRow> rows) {
  return std::ranges::any_of(rows, [&](const ProbedRow& row) { return row.body != rows.front().body; });
}

}  // namespace

ProbePlan ProbePlanOf(const StepSpec& spec, SandboxMeans means) {
  const StepServing& serving = *spec.serving;
  return {.scratch = {.means = means, .step_folder = spec.folder, .program = serving.program, .bundle = *spec.candidate,
                      .start_ms = serving.start_ms, .load_ms = serving.load_ms},
          .answer_ms = serving.answer_ms};
}

std::int64_t ProbedRowCount(std::int64_t rows, std::int64_t one_row_us) {
  const std::int64_t wanted = kWantedUs / std::max<std::int64_t>(one_row_us, 1);
  return std::min(rows, std::clamp(wanted, kLeastProbedRows, kMostProbedRows));
}

std::vector<size_t> SpreadPlaces(std::int64_t rows, std::int64_t count) {
  std::vector<size_t> places;
  for (std::int64_t i = 0; i < count; ++i) places.push_back(static_cast<size_t>(i * rows / count));
  return places;
}

StepOutcome ProbeServing(const ProbePlan& plan, const registry::Signature& signature, std::span<const ProbedRow> rows,
                         const Clock& clock) {
  const std::int64_t begun_us = clock.MonotonicUs();
  auto serve = ScratchServe::Start(plan.scratch);
  if (!serve) return std::unexpected(serve.error());
  Probe probe(plan, signature, rows, **serve, clock);
  if (auto measured = probe.Measure(); !measured) return std::unexpected(measured.error());
  const std::uint64_t peak = (*serve)->PeakBytes(), empty = (*serve)->empty_bytes();
  if (!(*serve)->Stop()) return InternalFault("the processes of the scratch ratchet-serve cannot be ended");
  json serving{{"rows", probe.rows()},
               {"rounds", probe.rounds()},
               {"load_us", (*serve)->load_us()},
               {"memory_bytes", peak},
               {"memory_growth_bytes", peak > empty ? peak - empty : 0},
               {"bundle_bytes", BundleBytes(plan.scratch.bundle)},
               {"largest_difference", probe.largest()},
               {"inputs_differ", InputsDiffer(rows)}};
  if (probe.rounds() > 0) {
    serving["p50_latency_us"] = probe.Quietest().Quantile(0.5);
    serving["p99_latency_us"] = probe.Quietest().Quantile(0.99);
  }
  serving["took_ms"] = (clock.MonotonicUs() - begun_us) / 1000;
  return serving;
}

}  // namespace ratchet::worker
