// Releases under way: loaded, watched, waited for, made live or rolled back. Declared in pipeline/orchestrator.h.

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "gate/live_metric.h"
#include "pipeline/orchestrator_run.h"
#include "pipeline/release_counts.h"
#include "pipeline/release_policy.h"

namespace ratchet::pipeline {
namespace {

using registry::Db;
using registry::Json;
using registry::Release;
using registry::ReleaseState;

constexpr double kMostLogLoss = 34.6;  // a little over gate::LogLossScore of the least probability that counts

bool SharesTraffic(const Release& release) { return release.step_at.has_value() && !release.ended_at; }

// What has been told and is not in the registry yet.
std::vector<registry::ReplicaCounts> News(const std::vector<registry::ReplicaCounts>& kept, const std::vector<ArmReport>& told,
                                          const Release& release, double share) {
  std::vector<registry::ReplicaCounts> news;
  for (const ArmReport& report : told) {
    if (report.release != release.id || report.step > release.step) continue;
    registry::ReplicaCounts counts{.step = report.step, .share = share, .replica = report.replica, .instance = report.instance,
                                   .counts = report.counts};
    auto same = std::ranges::find_if(kept, [&](const auto& known) {
      return known.step == counts.step && known.replica == counts.replica && known.instance == counts.instance;
    });
    if (same != kept.end()) counts.share = same->share;
    else if (counts.step != release.step) continue;  // of a step that nobody has told of in its time: its share is not known here
    if (same == kept.end() || same->counts != counts.counts) news.push_back(std::move(counts));
  }
  return news;
}

void Merge(std::vector<registry::ReplicaCounts>& kept, const std::vector<registry::ReplicaCounts>& news) {
  for (const registry::ReplicaCounts& counts : news) {
    auto same = std::ranges::find_if(kept, [&](const auto& known) {
      return known.step == counts.step && known.replica == counts.replica && known.instance == counts.instance;
    });
    if (same != kept.end()) *same = counts;
    else kept.push_back(counts);
  }
}

}  // namespace

// A release with all that its next action follows from.
struct Orchestrator::Looked {
  ReleaseFacts facts;
  WatchClock clock;
  std::vector<registry::ReplicaCounts> news;
  Json evidence;
  ReleaseAction action;
};

void Orchestrator::FollowReleases() {
  auto under_way = store_.Read([](Db& db) -> Result<std::vector<Release>> {
    std::vector<Release> all = registry::LoadingReleases(db);
    for (Release& release : registry::SharedReleases(db)) all.push_back(std::move(release));
    return all;
  });
  if (!under_way) return spdlog::error("{}", under_way.error().Message()), void();
  std::erase_if(looked_at_, [&](const auto& entry) { return std::ranges::count(*under_way, entry.first, &Release::id) == 0; });
  for (const Release& release : *under_way) Follow(release);
}

void Orchestrator::Follow(const Release& release) {
  ReleaseSpec plan;
  if (release.plan) {
    auto read = ReleaseFromJson(*release.plan);
    if (!read) return spdlog::error("release {}: {}", release.id, read.error().Message()), void();
    plan = std::move(*read);
  }
  // Ticks come with every commit; a watch needs a look now and then.
  const auto looked = looked_at_.find(release.id);
  const bool soon = SharesTraffic(release) && !release.approved_at && looked != looked_at_.end() &&
                    !IsOver(looked->second, kWatchTickUs - 1, now_us_);
  if (soon) return WakeAt(looked->second + kWatchTickUs);
  looked_at_[release.id] = now_us_;
  auto found = LookAt(release, plan);
  const Status done = found ? Perform(release, plan, *found) : Status(std::unexpected(found.error()));
  if (done) return;
  spdlog::error("release {}: {}", release.id, done.error().Message());
  WakeAt(now_us_ + kBusyTickUs);
}

Result<Orchestrator::Looked> Orchestrator::LookAt(const Release& release, const ReleaseSpec& plan) {
  Looked looked;
  looked.facts = {.state = release.state, .step = release.step, .has_live = release.from.has_value(),
                  .approved = release.approved_at.has_value(), .load = serving_.Loaded(release.model, release.to), .watch = {}};
  LoadState& load = looked.facts.load;
  if (load.kind == LoadState::Kind::kNoReplica) load.kind = options_.needs_replica ? LoadState::Kind::kLoading : LoadState::Kind::kReady;
  if (release.state == ReleaseState::kLoading && load.kind == LoadState::Kind::kLoading &&
      IsOver(release.created_at, options_.load_timeout_us, now_us_))
    load = {LoadState::Kind::kFailed, "no replica had it ready in " + std::to_string(options_.load_timeout_us / 1'000'000) + " s"};
  if (SharesTraffic(release)) {
    RATCHET_ASSIGN(auto counts, store_.Read([&](Db& db) -> Result<std::vector<registry::ReplicaCounts>> {
      return registry::CountsOf(db, release.id);
    }));
    const auto split = registry::SplitFromJson(release.split.value_or(Json()));
    looked.news = News(counts, serving_.Counts(release.model), release, ComparedShare(plan, split.value_or(registry::TrafficSplit{})));
    Merge(counts, looked.news);
    const bool shadow = plan.strategy == "shadow";
    std::vector<gate::WatchedStep> steps = WatchedSteps(counts, release.to, release.from.value_or(0), shadow);
    looked.facts.watch = gate::JudgeWatch(LimitsOf(plan.watch), steps, ScoresOf(release, plan));
    if (std::ranges::count(counts, release.step, &registry::ReplicaCounts::step) == 0) looked.facts.watch->requests = 0;
    const Json before = release.evidence.value_or(Json::object());
    const bool same_step = before.value("step", std::int64_t{-1}) == release.step;
    looked.clock = AfterLook({.watched_us = release.watched_us, .seen_at = release.watched_at,
                              .requests = same_step ? before.value("requests", std::int64_t{0}) : 0},
                             now_us_, looked.facts.watch->requests);
    looked.facts.watched_us = looked.clock.watched_us;
    looked.facts.paused = IsPaused(looked.clock, *release.step_at, now_us_);
    looked.evidence = EvidenceJson(*looked.facts.watch);
    looked.evidence["step"] = release.step;
    if (shadow) {
      const ShadowFigures figures = ShadowOf(counts);
      looked.evidence["shadow"] = {{"compared", figures.compared}, {"differing", figures.differing}, {"dropped", figures.dropped},
                                   {"largest_difference", figures.largest_difference}};
    }
  }
  looked.action = NextOfRelease(plan, looked.facts);
  return looked;
}

// Of both versions since the release began to share traffic; nothing where the metric is not one of bounded rows.
std::optional<gate::WatchedScores> Orchestrator::ScoresOf(const Release& release, const ReleaseSpec& plan) {
  if (!plan.watch.metric_drop || !live_metrics_ || !release.from) return std::nullopt;
  auto version = store_.Read([&](Db& db) { return registry::GetVersion(db, release.model, release.to); });
  const auto metric = version ? gate::FindLiveMetric(version->metric) : std::nullopt;
  if (!metric || (metric->scoring != gate::RowScoring::kCorrect && metric->scoring != gate::RowScoring::kLogLoss)) return std::nullopt;
  const bool shares = metric->scoring == gate::RowScoring::kCorrect;
  return gate::WatchedScores{.low = 0, .high = shares ? 1 : kMostLogLoss, .higher_is_better = metric->higher_is_better, .shares = shares,
                             .candidate = live_metrics_->ScoresSince(release.model, release.to, release.created_at),
                             .live = live_metrics_->ScoresSince(release.model, *release.from, release.created_at)};
}

// Keeps what was counted and what it says, where that is new.
Status Orchestrator::KeepLook(const Release& release, const Looked& looked) {
  const bool same = release.evidence && *release.evidence == looked.evidence && release.watched_us == looked.clock.watched_us;
  if (looked.news.empty() && same) return {};
  return store_.Write([&](Db& db) -> Status {
    for (const registry::ReplicaCounts& counts : looked.news) registry::KeepCounts(db, release.id, counts);
    registry::NoteWatch(db, release.id, {.evidence = looked.evidence, .watched_us = looked.clock.watched_us,
                                         .watched_at = looked.clock.seen_at});
    return {};
  });
}

Status Orchestrator::Perform(const Release& release, const ReleaseSpec& plan, const Looked& given) {
  Looked looked = given;
  const auto* waiting = std::get_if<KeepWaiting>(&looked.action);
  if (SharesTraffic(release)) {
    if (waiting) looked.evidence["says"] = waiting->why;
    looked.evidence["paused"] = looked.facts.paused;
    RATCHET_TRY(KeepLook(release, looked));
  }
  if (waiting) {
    WakeAt(now_us_ + (release.state == ReleaseState::kLoading ? kWaitingTickUs : kWatchTickUs));
    return {};
  }
  WakeAt(now_us_);
  looked_at_.erase(release.id);
  return store_.Write([&](Db& db) -> Status {
    if (const auto* shift = std::get_if<ShiftTo>(&looked.action)) {
      RATCHET_ASSIGN(const registry::Model model, registry::GetModel(db, release.model));
      return registry::ShiftRelease(db, now_us_, release.id, shift->step, SplitOf(plan, shift->step, release.to, model.previous));
    }
    if (std::holds_alternative<AskApproval>(looked.action)) return registry::AwaitApproval(db, now_us_, release.id);
    if (const auto* failed = std::get_if<GiveUp>(&looked.action)) return registry::FailRelease(db, now_us_, release.id, failed->cause);
    if (const auto* harm = std::get_if<RollBack>(&looked.action))
      return registry::RollBackRelease(db, now_us_, release.id, harm->harm, looked.evidence);
    auto committed = registry::CommitRelease(db, now_us_, release.id);
    if (!committed) return registry::FailRelease(db, now_us_, release.id, committed.error().Message());
    registry::SetReleaseTook(db, release.id, static_cast<double>(now_us_ - release.created_at) / 1000);
    return {};
  });
}

}  // namespace ratchet::pipeline
