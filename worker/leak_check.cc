#include "worker/leak_check.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace ratchet::worker {
namespace {

using lake::LeakedRows;
using lake::Leaks;
using nlohmann::json;

double ShareOf(const Leaks& leaks, const LeakedRows& found) {
  return static_cast<double>(found.rows) / static_cast<double>(std::max<std::int64_t>(leaks.holdout_rows, 1));
}

json FoundJson(const Leaks& leaks, const LeakedRows& found, const std::string& mode, LeakAction action) {
  json pairs = json::array();
  for (const lake::LeakPair& pair : found.pairs) pairs.push_back({{"holdout", pair.holdout}, {"training", pair.training}});
  return {{"mode", mode}, {"action", LeakActionName(action)}, {"rows", found.rows}, {"share", ShareOf(leaks, found)},
          {"examples", std::move(pairs)}};
}

std::string PairText(const LeakedRows& found) {
  if (found.pairs.empty()) return "";
  return fmt::format("; for one, {} of the holdout is {} of training", found.pairs.front().holdout, found.pairs.front().training);
}

std::unexpected<StepError> Refusal(const Leaks& leaks, const LeakedRows& found, const std::string& which, json report) {
  StepError error = UserFault(
      fmt::format("{} of {} sealed rows ({:.1f} %) have {} as a row of training, so they prove nothing{}", found.rows, leaks.holdout_rows,
                  100 * ShareOf(leaks, found), which == "equal" ? "the same inputs" : "nearly the same inputs", PairText(found)),
      fmt::format("Push the data to a new dataset with a key that copies share (--key), so that they fall into one split; or judge without "
                  "these rows: data.leakage: {{{}: drop, at_most: 1}}, for one run --set data.leakage.{}=drop --set data.leakage.at_most=1",
                  which, which))
                        .error();
  error.details["leakage"] = std::move(report);
  return std::unexpected(std::move(error));
}

void Drop(const LeakedRows& found, LeakCheck& check) {
  check.dropped.resize(found.marks.size());
  for (std::size_t row = 0; row < found.marks.size(); ++row) check.dropped[row] |= found.marks[row];
}

lake::LeakQuestion QuestionOf(const StepSpec& spec, const std::vector<std::string>& columns) {
  lake::LeakQuestion question{.train = spec.train, .holdout = spec.holdout, .columns = {}, .key = spec.data.key, .near = spec.leakage.near != "off"};
  question.train.insert(question.train.end(), spec.validation.begin(), spec.validation.end());
  for (const std::string& column : columns)
    if (column != spec.data.key && column != spec.data.target && std::ranges::count(question.columns, column) == 0)
      question.columns.push_back(column);
  return question;
}

}  // namespace

std::string_view LeakActionName(LeakAction action) {
  switch (action) {
    case LeakAction::kNone:
      return "none";
    case LeakAction::kTold:
      return "told";
    case LeakAction::kDropped:
      return "dropped";
    case LeakAction::kRefused:
      return "refused";
  }
  return "none";
}

LeakAction ActionOn(const std::string& mode, const Leaks& leaks, const LeakedRows& found, std::optional<double> at_most) {
  if (found.rows == 0 || mode == "off") return LeakAction::kNone;
  if (mode == "warn") return LeakAction::kTold;
  const double share = ShareOf(leaks, found);
  if (mode == "auto" && !leaks.telling) {
    const bool rare = share <= kMostPlainDropped && leaks.training_repeats <= kMostPlainDropped;
    return rare ? LeakAction::kDropped : LeakAction::kTold;
  }
  return share > at_most.value_or(mode == "refuse" ? 0 : kMostTellingDropped) ? LeakAction::kRefused : LeakAction::kDropped;
}

std::expected<LeakCheck, StepError> CheckLeaks(const StepSpec& spec, const std::vector<std::string>& columns) {
  LeakCheck check;
  const StepLeakage& rule = spec.leakage;
  const lake::LeakQuestion question = QuestionOf(spec, columns);
  if ((rule.equal == "off" && rule.near == "off") || question.columns.empty() || question.train.empty()) return check;
  RATCHET_STEP_ASSIGN(const Leaks leaks, lake::FindLeaks(question));
  const LeakAction equal = ActionOn(rule.equal, leaks, leaks.equal, rule.at_most);
  const LeakAction near = ActionOn(rule.near, leaks, leaks.near, rule.at_most);
  if (equal == LeakAction::kDropped) Drop(leaks.equal, check);
  if (near == LeakAction::kDropped) Drop(leaks.near, check);
  check.dropped_rows = std::ranges::count(check.dropped, 1);
  check.report = {{"rows", leaks.holdout_rows}, {"training_rows", leaks.training_rows}, {"columns", question.columns},
                  {"training_repeats", leaks.training_repeats}, {"dropped", check.dropped_rows},
                  {"equal", FoundJson(leaks, leaks.equal, rule.equal, equal)}};
  if (!leaks.near_by.empty()) {
    check.report["near"] = FoundJson(leaks, leaks.near, rule.near, near);
    check.report["near"]["by"] = leaks.near_by;
    check.report["near"]["compared"] = leaks.near_compared;
  }
  if (equal == LeakAction::kRefused) return Refusal(leaks, leaks.equal, "equal", check.report);
  if (near == LeakAction::kRefused) return Refusal(leaks, leaks.near, "near", check.report);
  if (check.dropped_rows > 0 && check.dropped_rows == leaks.holdout_rows) return Refusal(leaks, leaks.equal, "equal", check.report);
  return check;
}

}  // namespace ratchet::worker
