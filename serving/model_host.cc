#include "serving/model_host.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace ratchet::serving {
namespace {

bool Names(const RouteTable& table, const std::string& model, const VersionRef& ref) {
  auto route = table.routes.find(model);
  if (route == table.routes.end()) return false;
  const std::vector<VersionRef> named = route->second.Named();
  return std::find(named.begin(), named.end(), ref) != named.end();
}

}  // namespace

ModelHost::ModelHost(ServeMetrics& metrics) : metrics_(metrics), snapshot_(std::make_shared<const RouteSnapshot>()) {}

ModelHost::Outcome ModelHost::Adopt(const RouteTable& incoming) {
  std::lock_guard lock(mutex_);
  Adoption adoption = AdoptRoutes(wanted_, incoming);
  wanted_ = std::move(adoption.table);
  table_known_ = true;
  std::erase_if(failed_, [&](const auto& entry) { return !Names(wanted_, entry.first.first, entry.first.second); });
  return {.refused = std::move(adoption.refused), .changed = Publish()};
}

bool ModelHost::NextToLoad(std::int64_t retry_failed_before_us, Wanted& wanted) const {
  std::lock_guard lock(mutex_);
  const auto missing = [&](const std::string& model, const VersionRef& ref) {
    if (loaded_.contains({model, ref})) return false;
    auto failure = failed_.find({model, ref});
    return failure == failed_.end() || failure->second.at_us < retry_failed_before_us;
  };
  for (const auto& [model, route] : wanted_.routes) {
    if (route.live && missing(model, *route.live)) {
      wanted = {model, *route.live};
      return true;
    }
  }
  for (const auto& [model, route] : wanted_.routes) {
    for (const VersionRef& ref : route.Named()) {
      if (!missing(model, ref)) continue;
      wanted = {model, ref};
      return true;
    }
  }
  return false;
}

bool ModelHost::Add(const Wanted& wanted, const LocalBundle& bundle, std::shared_ptr<const ModelRunner> runner) {
  auto version =
      std::make_shared<const ServedVersion>(ServedVersion{.model = wanted.model,
                                                          .ref = wanted.ref,
                                                          .signature = bundle.manifest.signature,
                                                          .runner = std::move(runner),
                                                          .metrics = metrics_.Of(wanted.model, wanted.ref.version)});
  std::lock_guard lock(mutex_);
  failed_.erase({wanted.model, wanted.ref});
  if (Names(wanted_, wanted.model, wanted.ref)) loaded_[{wanted.model, wanted.ref}] = std::move(version);
  return Publish();
}

void ModelHost::Fail(const Wanted& wanted, const std::string& why, std::int64_t now_us) {
  ++metrics_.failed_loads;
  std::lock_guard lock(mutex_);
  if (!Names(wanted_, wanted.model, wanted.ref)) return;
  failed_[{wanted.model, wanted.ref}] = {.why = why, .at_us = now_us};
  Publish();
}

// What the route's split needs to be served; the counters of the step go on however often the split is made anew.
static void SettleSplit(ServedModel& model) {
  const auto& split = model.route.split;
  model.split = nullptr;
  if (!split || !model.live) return void(model.counts = nullptr);
  if (!model.counts || model.counts->release() != split->release || model.counts->step() != split->step) {
    std::vector<std::int64_t> versions{model.live->ref.version};
    for (const SplitArm& arm : split->arms) versions.push_back(arm.ref.version);
    model.counts = std::make_shared<SplitCounts>(split->release, split->step, versions, split->mode == SplitMode::kShadow, FreshInstance());
  }
  auto served = std::make_shared<ServedSplit>(ServedSplit{.release = split->release, .mode = split->mode, .arms = {},
                                                          .live_counter = SplitCounts::Arm(model.counts, model.live->ref.version),
                                                          .counts = model.counts});
  for (const SplitArm& arm : split->arms) {
    const auto version = model.ready.find(arm.ref.version);
    if (version == model.ready.end()) return;  // a part of the shares would be none of those asked for
    served->arms.push_back({arm.role, version->second, arm.share, SplitCounts::Arm(model.counts, arm.ref.version)});
  }
  model.split = std::move(served);
}

// The model as it can be served now: the wanted route if its live version is loaded, else the one served before.
ServedModel ModelHost::Settle(const Route& wanted, const RouteSnapshot& before) const {
  ServedModel model;
  if (auto old = before.models.find(wanted.model); old != before.models.end()) model = old->second;
  model.name = wanted.model;
  if (!model.load) model.load = std::make_shared<ModelLoad>();
  model.ready.clear();
  for (const VersionRef& ref : wanted.Named()) {
    if (auto found = loaded_.find({wanted.model, ref}); found != loaded_.end())
      model.ready[ref.version] = found->second;
  }
  auto live = wanted.live ? loaded_.find({wanted.model, *wanted.live}) : loaded_.end();
  if (!wanted.live || live != loaded_.end()) {
    model.route = wanted;
    model.live = wanted.live ? live->second : nullptr;
  } else if (model.live) {
    model.ready[model.live->ref.version] = model.live;
  }
  SettleSplit(model);
  model.route.log = wanted.log;  // at once: what is to be left out must not wait for a version to load
  if (!model.log || *model.log != wanted.log) model.log = std::make_shared<const LogSettings>(wanted.log);
  return model;
}

bool ModelHost::Publish() {
  const std::shared_ptr<const RouteSnapshot> before = snapshot_.load();
  auto after = std::make_shared<RouteSnapshot>();
  after->settled = table_known_;
  for (const auto& [name, route] : wanted_.routes) {
    ServedModel model = Settle(route, *before);
    if (route.live && !loaded_.contains({name, *route.live}) && !failed_.contains({name, *route.live})) {
      after->settled = false;
    }
    auto old = before->models.find(name);
    const bool swapped = (old == before->models.end() ? nullptr : old->second.live) != model.live;
    if (swapped && model.live) {
      ++metrics_.swaps;
      spdlog::info("{} now answers with version {} (route epoch {})", name, model.live->ref.version, model.route.epoch);
    }
    after->models.emplace(name, std::move(model));
  }
  std::erase_if(loaded_, [&](const auto& entry) {
    if (Names(wanted_, entry.first.first, entry.first.second)) return false;
    auto model = after->models.find(entry.first.first);
    return model == after->models.end() || model->second.live != entry.second;
  });
  const bool changed = TableOf(*before) != TableOf(*after);
  snapshot_.store(std::move(after));
  return changed;
}

RouteTable ModelHost::TableOf(const RouteSnapshot& snapshot) const {
  RouteTable table{.revision = wanted_.revision};
  for (const auto& [name, model] : snapshot.models) {
    if (model.route.epoch > 0 || model.live) table.routes.emplace(name, model.route);
  }
  return table;
}

RouteTable ModelHost::Table() const {
  std::lock_guard lock(mutex_);
  return TableOf(*snapshot_.load());
}

std::map<std::string, ModelState> ModelHost::State() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, ModelState> states;
  for (const auto& [name, model] : snapshot_.load()->models) {
    ModelState& state = states[name];
    state.epoch = model.route.epoch;
    if (model.counts) state.arms = model.counts->Told();
    for (const auto& [version, served] : model.ready) state.ready.insert(version);
  }
  for (const auto& [key, failure] : failed_) states[key.first].failed[key.second.version] = failure.why;
  return states;
}

std::set<std::string> ModelHost::BundlesInUse() const {
  std::lock_guard lock(mutex_);
  std::set<std::string> digests;
  for (const auto& [key, version] : loaded_) digests.insert(version->ref.bundle);
  for (const auto& [name, route] : wanted_.routes) {
    for (const VersionRef& ref : route.Named()) digests.insert(ref.bundle);
  }
  return digests;
}

}  // namespace ratchet::serving
