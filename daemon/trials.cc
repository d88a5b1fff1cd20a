#include "daemon/trials.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "gate/metrics.h"
#include "pipeline/spec.h"
#include "pipeline/step_folder.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

using pipeline::SearchSpace;
using registry::Run;
using registry::Step;
using registry::StepState;

constexpr size_t kMostPoints = 500;  // of one trial's curve; a longer one keeps every nth

// One line of progress for each epoch that a trial has ended; empty before the first.
std::vector<Json> EpochsOf(const Run& run, const Step& trial, const std::string& data_dir) {
  if (trial.outputs) return trial.outputs->value("epochs", std::vector<Json>());
  if (trial.attempts.empty()) return {};
  return pipeline::EpochProgress(
      pipeline::AttemptFolder(data_dir, run.id, trial.name, trial.attempts.back().number));
}

std::string StateOf(const Step& trial) {
  const bool pruned = trial.state == StepState::kSkipped && !trial.attempts.empty();
  return pruned ? "pruned" : std::string(registry::Name(trial.state));
}

// A sweep's trials as they are read, before they are ranked.
struct Trial {
  const Step* step = nullptr;
  std::vector<Json> epochs;
};

class Trials {
 public:
  Trials(const Run& run, const std::string& data_dir, const std::string& recipe_metric) : run_(run) {
    if (auto spec = pipeline::SpecFromJson(run.spec)) spec_ = std::move(*spec);
    for (const Step& step : run.steps)
      if (step.kind == "trial") trials_.push_back({&step, EpochsOf(run, step, data_dir)});
    metric_ = MetricOf(recipe_metric);
    const auto known = gate::FindMetric(metric_.substr(kPrefix.size()));
    higher_ = !known || known->higher_is_better;
  }

  Json Shape() {
    Json items = Json::array();
    std::int64_t spent = 0;
    for (const Trial& trial : trials_) items.push_back(Item(trial));
    for (const Json& item : items) spent += item["epochs"].get<std::int64_t>();
    Rank(items);
    return {{"run", run_.id},
            {"metric", metric_},
            {"higher_is_better", higher_},
            {"best", Best(items)},
            {"epochs_spent", spent},
            {"axes", trials_.empty() ? Json::array() : Axes(items)},
            {"lines", Lines(items)},
            {"items", std::move(items)}};
  }

 private:
  static constexpr std::string_view kPrefix = "validation_";

  // What the spec says; where the trials tell nothing of that, what the recipe is measured by, else what they tell of.
  std::string MetricOf(const std::string& recipe_metric) const {
    const std::string wanted = std::string(kPrefix) + spec_.test.metric.value_or(recipe_metric.empty() ? "accuracy" : recipe_metric);
    const std::string own = std::string(kPrefix) + recipe_metric;
    std::string other;
    for (const Trial& trial : trials_)
      for (const Json& line : trial.epochs) {
        const Json metrics = line.value("metrics", Json::object());
        if (metrics.contains(wanted)) return wanted;
        for (const auto& [name, value] : metrics.items())
          if (name.starts_with(kPrefix) && (other.empty() || name == own)) other = name;
      }
    return other.empty() ? wanted : other;
  }

  bool Beats(double a, double b) const { return higher_ ? a > b : a < b; }

  Json Item(const Trial& trial) const {
    const Step& step = *trial.step;
    std::map<std::int64_t, double> curve;
    std::int64_t epochs = 0, of = 0;
    for (const Json& line : trial.epochs) {
      const Json epoch = line.value("epoch", Json()), value = line.value("metrics", Json::object()).value(metric_, Json());
      if (!epoch.is_number_integer()) continue;
      epochs = std::max(epochs, epoch.get<std::int64_t>());
      if (const Json all = line.value("of", Json()); all.is_number_integer()) of = all.get<std::int64_t>();
      if (value.is_number() && std::isfinite(value.get<double>())) curve[epoch.get<std::int64_t>()] = value.get<double>();
    }
    // A trainer that says nothing while it trains still says how well it did.
    if (curve.empty() && step.outputs)
      if (const Json last = step.outputs->value("metrics", Json::object()).value(metric_, Json()); last.is_number())
        curve[std::max<std::int64_t>(epochs, 1)] = last.get<double>();
    Json item = {{"name", step.name},
                 {"state", StateOf(step)},
                 {"params", step.params.value_or(Json::object())},
                 {"epochs", epochs},
                 {"of", of > 0 ? Json(of) : Json()},
                 {"started_at", step.started_at ? Json(*step.started_at) : Json()},
                 {"ended_at", step.ended_at ? Json(*step.ended_at) : Json()},
                 {"cached_from", step.cached_from ? Json(*step.cached_from) : Json()},
                 {"reason", ReasonOf(step)}};
    AddCurve(item, curve);
    return item;
  }

  void AddCurve(Json& item, const std::map<std::int64_t, double>& curve) const {
    Json points = Json::array();
    std::optional<std::pair<std::int64_t, double>> best;
    const size_t every = curve.size() / kMostPoints + 1;
    size_t index = 0;
    for (const auto& [epoch, value] : curve) {
      if (!best || Beats(value, best->second)) best = {epoch, value};
      if (++index % every == 0 || index == curve.size()) points.push_back({{"epoch", epoch}, {"value", value}});
    }
    item["curve"] = std::move(points);
    item["best"] = best ? Json(best->second) : Json();
    item["best_epoch"] = best ? Json(best->first) : Json();
    item["rank"] = nullptr;
  }

  // Why it was pruned or failed.
  static Json ReasonOf(const Step& step) {
    if (step.attempts.empty() || !step.attempts.back().error || step.state == StepState::kSucceeded) return nullptr;
    return step.attempts.back().error->value("message", Json());
  }

  // 1 is the best; trials without a value have no rank.
  void Rank(Json& items) const {
    std::vector<Json*> ranked;
    for (Json& item : items)
      if (item["best"].is_number()) ranked.push_back(&item);
    std::ranges::stable_sort(ranked, [&](const Json* a, const Json* b) {
      return Beats((*a)["best"].get<double>(), (*b)["best"].get<double>());
    });
    for (size_t i = 0; i < ranked.size(); ++i) (*ranked[i])["rank"] = i + 1;
  }

  // The trial that the run chose; while it has not, the best so far.
  Json Best(const Json& items) const {
    const Step* select = run_.FindStep("train");
    if (select && select->outputs && select->outputs->contains("trial")) return (*select->outputs)["trial"];
    for (const Json& item : items)
      if (item["rank"] == 1) return item["name"];
    return nullptr;
  }

  static Json Axis(const std::string& name, const SearchSpace& space) {
    const bool log = space.kind == SearchSpace::Kind::kLog || space.kind == SearchSpace::Kind::kLogInt;
    if (space.kind != SearchSpace::Kind::kList)
      return {{"name", name}, {"kind", log ? "log" : "linear"}, {"domain", {space.low, space.high}}};
    const bool numbers = std::ranges::all_of(space.list, [](const Json& value) { return value.is_number(); });
    if (!numbers) return {{"name", name}, {"kind", "category"}, {"domain", space.list}};
    const auto [low, high] = std::ranges::minmax_element(
        space.list, {}, [](const Json& value) { return value.get<double>(); });
    return {{"name", name}, {"kind", "linear"}, {"domain", {*low, *high}}};
  }

  Json Axes(const Json& items) const {
    Json axes = Json::array();
    if (spec_.train.sweep)
      for (const auto& [name, space] : spec_.train.sweep->params) axes.push_back(Axis(name, space));
    std::vector<double> values;
    for (const Json& item : items)
      if (item["best"].is_number()) values.push_back(item["best"]);
    const auto [low, high] = std::ranges::minmax_element(values);
    axes.push_back({{"name", metric_}, {"kind", "linear"}, {"domain", values.empty() ? Json::array({0, 1}) : Json::array({*low, *high})}});
    return axes;
  }

  // In the order of the axes; null where a trial has no value yet.
  Json Lines(const Json& items) const {
    Json lines = Json::array();
    for (const Json& item : items) {
      Json values = Json::array();
      if (spec_.train.sweep)
        for (const auto& [name, space] : spec_.train.sweep->params) values.push_back(item["params"].value(name, Json()));
      values.push_back(item["best"]);
      lines.push_back({{"trial", item["name"]}, {"values", std::move(values)}});
    }
    return lines;
  }

  const Run& run_;
  pipeline::Spec spec_;
  std::vector<Trial> trials_;
  std::string metric_;
  bool higher_ = true;
};

}  // namespace

Json TrialsJson(const Run& run, const std::string& data_dir, const std::string& recipe_metric) {
  return Trials(run, data_dir, recipe_metric).Shape();
}

}  // namespace ratchet::daemon
