// `release`. Declared in pipeline/spec_sections.h.

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "gate/live_metric.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

constexpr size_t kMostSteps = 20;
constexpr std::int64_t kMostWatchSeconds = 30 * 86'400;
constexpr std::int64_t kMostWatchedRequests = 1'000'000'000;
const std::vector<std::string> kWatchKeys{"error_rate", "p99_latency", "metric_drop", "for", "min_requests", "confidence"};

// "5%" or 0.05.
std::optional<double> ShareOf(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kPlain && node.kind != YamlNode::Kind::kQuoted) return std::nullopt;
  std::string_view text = node.text;
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return percent ? value / 100 : value;
}

std::optional<double> ReadShare(Section& section, std::string_view key, std::string_view allowed, bool (*in_range)(double)) {
  const YamlNode* node = section.Find(key);
  if (!node) return std::nullopt;
  const auto share = ShareOf(*node);
  if (share && in_range(*share)) return share;
  section.Fault(key, fmt::format("must be {}, not {}", allowed, Describe(*node)));
  return std::nullopt;
}

bool IsShare(double share) { return share > 0 && share <= 1; }
bool IsPart(double share) { return share > 0 && share < 1; }
bool IsRate(double share) { return share >= 0 && share < 1; }

void ReadSteps(Section& release, std::vector<double>& into) {
  const YamlNode* list = release.Find("steps");
  if (!list) return release.Require("steps", "the shares of traffic that a canary gets in turn, such as [5%, 25%, 100%]");
  if (list->kind != YamlNode::Kind::kList || list->items.empty() || list->items.size() > kMostSteps)
    return release.Fault("steps", fmt::format("must be a list of 1 to {} shares such as [5%, 25%, 100%]", kMostSteps));
  for (size_t i = 0; i < list->items.size(); ++i) {
    const auto share = ShareOf(list->items[i]);
    if (!share || !IsShare(*share))
      release.Fault(fmt::format("steps[{}]", i), fmt::format("must be a share above 0 and at most 100%, not {}", Describe(list->items[i])));
    else if (!into.empty() && *share <= into.back())
      release.Fault(fmt::format("steps[{}]", i), "must be more than the step before it");
    else
      into.push_back(*share);
  }
  if (into.size() == list->items.size() && into.back() != 1)
    release.Fault("steps", "must end with 100%, at which the version is live");
}

void ReadShares(Section& release, std::map<std::string, double>& into) {
  if (!release.Has("shares")) return release.Require("shares", "who gets which share of traffic beside live, such as {candidate: 50%}");
  Section shares = release.Child("shares", {"candidate", "previous"});
  shares.Require("candidate", "the share that the new version gets");
  double sum = 0;
  for (const char* arm : {"candidate", "previous"})
    if (const auto share = ReadShare(shares, arm, "a share above 0 and below 100%", IsPart)) sum += into[arm] = *share;
  if (sum >= 1) release.Fault("shares", "must leave something to the live version: together they are to be below 100%");
}

void ReadWatch(Section watch, WatchSpec& into) {
  Take(into.error_rate, ReadShare(watch, "error_rate", "a share from 0 to below 100% such as 1%", IsRate));
  into.p99_latency_us = ReadLatency(watch, "p99_latency");
  into.metric_drop = watch.Number("metric_drop", "a number of at least 0, in the metric's own unit, such as 0.02",
                                  [](double v) { return v >= 0; });
  Take(into.for_s, watch.Quantity("for", 1, kMostWatchSeconds, "a time from 1s to 30d such as 10m", ParseSeconds));
  Take(into.min_requests, watch.Whole("min_requests", 1, kMostWatchedRequests));
  Take(into.confidence, watch.Number("confidence", "a number from 0.5 to below 1, such as 0.95",
                                     [](double v) { return v >= 0.5 && v < 1; }));
}

// What belongs to another strategy does not stand there for nothing.
void RefuseOthers(Section& release, const ReleaseSpec& spec) {
  const std::pair<const char*, const char*> owners[] = {{"steps", "canary"}, {"share", "shadow"}, {"shares", "ab"}};
  for (const auto& [key, owner] : owners)
    if (spec.strategy != owner && release.Has(key))
      release.Fault(key, fmt::format("belongs to `strategy: {}`; this one is {}", owner, spec.strategy));
  if (spec.strategy == "immediate" && release.Has("watch"))
    release.Fault("watch", "belongs to the strategies shadow, canary and ab; an immediate release is live before anything could be watched");
}

}  // namespace

void ReadRelease(Section& release, ReleaseSpec& into) {
  Take(into.strategy, release.OneOf("strategy", {"immediate", "shadow", "canary", "ab"}));
  Take(into.approval, release.OneOf("approval", {"auto", "manual"}));
  if (into.strategy == "canary") ReadSteps(release, into.steps);
  if (into.strategy == "ab") ReadShares(release, into.shares);
  if (into.strategy == "shadow") Take(into.share, ReadShare(release, "share", "a share above 0 and at most 100%", IsShare));
  if (into.strategy != "immediate") ReadWatch(release.Child("watch", kWatchKeys), into.watch);
  RefuseOthers(release, into);
}

void CheckWatchedMetric(Section& release, const Spec& spec) {
  if (!spec.release.watch.metric_drop) return;
  if (spec.release.strategy == "shadow")
    return release.Fault("watch", "metric_drop needs feedback, and what a shadow answers nobody sees; use canary or ab");
  if (spec.test.metric && *spec.test.metric != "accuracy" && *spec.test.metric != "log_loss")
    release.Fault("watch", fmt::format("metric_drop is proven by scores of single rows within bounds, which {} has not; it can be "
                                       "accuracy or log_loss", *spec.test.metric));
}

nlohmann::json ReleaseToJson(const ReleaseSpec& release) {
  nlohmann::json json = {{"strategy", release.strategy}, {"approval", release.approval}};
  if (release.strategy == "immediate") return json;
  if (release.strategy == "canary") json["steps"] = release.steps;
  if (release.strategy == "shadow") json["share"] = release.share;
  if (release.strategy == "ab") json["shares"] = release.shares;
  nlohmann::json& watch = json["watch"] = {{"error_rate", release.watch.error_rate}, {"for", release.watch.for_s},
                                           {"min_requests", release.watch.min_requests}, {"confidence", release.watch.confidence}};
  if (release.watch.p99_latency_us) watch["p99_latency"] = LatencyText(*release.watch.p99_latency_us);
  if (release.watch.metric_drop) watch["metric_drop"] = *release.watch.metric_drop;
  return json;
}

Result<ReleaseSpec> ReleaseFromJson(const nlohmann::json& json) {
  RATCHET_ASSIGN(const YamlNode tree, TreeFromJson(json));
  Faults faults;
  Section section(faults, &tree, "release", tree.line, kReleaseKeys);
  ReleaseSpec release;
  ReadRelease(section, release);
  if (!faults.Empty()) return std::unexpected(faults.ToError());
  return release;
}

}  // namespace ratchet::pipeline
