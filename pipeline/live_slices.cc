#include "pipeline/live_slices.h"

#include <algorithm>
#include <string_view>

namespace ratchet::pipeline {
namespace {

using nlohmann::json;

constexpr char kMissing[] = "(missing)", kRedacted[] = "(redacted)", kOthers[] = "(others)";
constexpr size_t kMostGroups = 10'000;  // kept; what comes after them is with the others
constexpr size_t kMostGroupBytes = 80;

void Flatten(const json& value, std::vector<json>& into) {
  if (!value.is_array()) return into.push_back(value);
  for (const json& item : value) Flatten(item, into);
}

std::string TextOf(const json& value) {
  if (value.is_null()) return kMissing;
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  return text.empty() ? kMissing : text.substr(0, kMostGroupBytes);
}

}  // namespace

LiveSlices::LiveSlices(const std::string& column, const json& manifest, gate::LiveMetric metric, std::int64_t span_us)
    : metric_(metric), span_us_(span_us), input_(column) {
  if (!manifest.is_object()) return;
  is_target_ = manifest.value("target", "") == column;
  const json signature = manifest.value("signature", json::object());
  for (const json& input : signature.value("inputs", json::array()))
    if (input.value("column", input.value("name", "")) == column) input_ = input.value("name", "");
}

std::string LiveSlices::GroupOf(const registry::ScoredRow& row) {
  if (is_target_) return row.outcome.substr(0, kMostGroupBytes);
  if (prediction_ != row.prediction) {
    prediction_ = row.prediction;
    values_.clear();
    redacted_ = false;
    const json tensors = json::parse(row.inputs, nullptr, false);
    for (const json& tensor : tensors.is_array() ? tensors : json::array()) {
      if (!tensor.is_object() || tensor.value("name", "") != input_) continue;
      const auto data = tensor.find("data");
      redacted_ = data == tensor.end();
      if (!redacted_) Flatten(*data, values_);
    }
  }
  if (redacted_) return kRedacted;
  // A tensor with several values a row has no one value to group by.
  if (static_cast<std::int64_t>(values_.size()) != row.rows || row.row >= row.rows) return kMissing;
  return TextOf(values_[static_cast<size_t>(row.row)]);
}

void LiveSlices::Add(const registry::ScoredRow& row) {
  std::string name = GroupOf(row);
  if (groups_.size() >= kMostGroups && !groups_.contains(name)) name = kOthers;
  Group& group = groups_[name];
  for (Sum* sum : {&group.all, &group.spans[row.at / span_us_ * span_us_]}) {
    ++sum->rows;
    sum->scores += row.score;
  }
}

LiveSlice LiveSlices::SliceOf(const std::string& name, const Group& group) const {
  const auto figure = [&](const Sum& sum) { return gate::LiveFigureOfMean(metric_, sum.scores / static_cast<double>(sum.rows)); };
  LiveSlice slice{.group = name, .rows = group.all.rows, .value = figure(group.all), .series = {}};
  for (const auto& [from, sum] : group.spans) slice.series.push_back({from, sum.rows, figure(sum)});
  return slice;
}

std::vector<LiveSlice> LiveSlices::Told() const {
  std::vector<std::pair<std::string_view, const Group*>> by_rows;
  for (const auto& [name, group] : groups_)
    if (name != kOthers) by_rows.emplace_back(name, &group);
  std::ranges::stable_sort(by_rows, [](const auto& a, const auto& b) { return a.second->all.rows > b.second->all.rows; });
  Group others;
  if (const auto kept = groups_.find(kOthers); kept != groups_.end()) others = kept->second;
  std::vector<LiveSlice> told;
  for (const auto& [name, group] : by_rows) {
    if (told.size() < kMostSlicesTold) {
      told.push_back(SliceOf(std::string(name), *group));
      continue;
    }
    others.all.rows += group->all.rows;
    others.all.scores += group->all.scores;
    for (const auto& [from, sum] : group->spans) {
      others.spans[from].rows += sum.rows;
      others.spans[from].scores += sum.scores;
    }
  }
  if (others.all.rows > 0) told.push_back(SliceOf(kOthers, others));
  return told;
}

}  // namespace ratchet::pipeline
