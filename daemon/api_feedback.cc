// Predictions that replicas ship, outcomes that users send, and the live metric that follows from both.

#include <algorithm>
#include <charconv>
#include <string>

#include "base/names.h"
#include "daemon/api_handlers.h"
#include "gate/live_metric.h"
#include "pipeline/feedback_lines.h"
#include "registry/feedback_batches.h"
#include "registry/models.h"
#include "registry/pipelines.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kMaxReplicaIdBytes = 128;
constexpr size_t kMaxSpoolIdBytes = 64;
constexpr std::int64_t kLeastSpanS = 60;
constexpr std::int64_t kMostSpanS = 366LL * 86'400;
constexpr std::int64_t kSpanS = 3600;
constexpr size_t kMaxColumnBytes = 128;
constexpr std::int64_t kMostWaitingCounted = 1'000'000;

std::unexpected<Error> BadParameter(const char* name, std::string cause) {
  Error error{.code = ErrorCode::kInvalid, .operation = "read", .subject = name, .cause = std::move(cause), .hint = {}};
  error.field = name;
  return std::unexpected(std::move(error));
}

Result<std::int64_t> NumberQuery(const Request& request, const char* name, std::int64_t least, std::int64_t most,
                                 std::int64_t otherwise) {
  const auto text = request.Query(name);
  if (!text) return otherwise;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (!text->empty() && error == std::errc() && end == text->data() + text->size() && number >= least && number <= most)
    return number;
  return BadParameter(name, "it is no whole number from " + std::to_string(least) + " to " + std::to_string(most));
}

Json SeriesJson(const std::vector<registry::ScoreSpan>& series) {
  Json items = Json::array();
  for (const registry::ScoreSpan& span : series)
    items.push_back({{"from_at", span.from}, {"rows", span.rows}, {"value", span.mean}});
  return items;
}

Json SlicesJson(const std::vector<pipeline::LiveSlice>& slices) {
  Json items = Json::array();
  for (const pipeline::LiveSlice& slice : slices)
    items.push_back({{"group", slice.group}, {"rows", slice.rows}, {"value", slice.value}, {"series", SeriesJson(slice.series)}});
  return items;
}

// What has become of joined rows, where the model's pipeline makes rows of them.
Result<Json> FeedbackRowsJson(Api& api, const std::string& model) {
  RATCHET_ASSIGN(const auto plans, api.store.Read([](Db& db) -> Result<std::vector<registry::FeedbackPlan>> {
    return registry::FeedbackPlans(db);
  }));
  const auto plan = std::ranges::find(plans, model, &registry::FeedbackPlan::model);
  if (plan == plans.end()) return Json();
  return api.feedback.events().Read([&](Db& db) -> Result<Json> {
    const auto waiting = registry::WaitingFeedback(db, model, plan->to, kMostWaitingCounted);
    const auto totals = registry::BatchTotalsOf(db, model, plan->to);
    return Json{{"dataset", plan->to}, {"every", plan->every}, {"within_s", plan->within_s}, {"waiting", waiting.rows},
                {"pushed", totals.rows}, {"unfit", totals.unfit}, {"in_holdout", totals.in_holdout}, {"known", totals.known},
                {"version", totals.version ? Json(*totals.version) : Json()},
                {"pushed_at", totals.ended_at ? Json(*totals.ended_at) : Json()},
                {"why_unfit", totals.why.empty() ? Json() : Json(totals.why)}};
  });
}

Json LiveVersionJson(const pipeline::LiveReport& report, bool sliced) {
  const registry::VersionTotals& totals = report.totals;
  Json json = {{"version", totals.version},
          {"metric", report.metric},
          {"higher_is_better", report.higher_is_better ? Json(*report.higher_is_better) : Json()},
          {"predictions", totals.predictions},
          {"rows", totals.rows},
          {"joined", totals.joined},
          {"unscored", totals.unscored},
          {"value", report.value ? Json(*report.value) : Json()},
          {"window_rows", report.window_rows},
          {"series", SeriesJson(report.series)}};
  if (sliced) json["slices"] = SlicesJson(report.slices);
  return json;
}

}  // namespace

Result<Response> PostPredictions(Api& api, const Request& request) {
  pipeline::ShippedLines shipped{.replica = request.Param("id"), .spool = request.Query("spool").value_or(""),
                                 .lines = request.body};
  if (shipped.replica.size() > kMaxReplicaIdBytes)
    return Fail(ErrorCode::kInvalid, "take in replica", Quoted(shipped.replica), "its id is too long");
  if (shipped.spool.empty() || shipped.spool.size() > kMaxSpoolIdBytes)
    return BadParameter("spool", "it must be the spool's id, of 1 to 64 bytes");
  RATCHET_ASSIGN(shipped.started_at, NumberQuery(request, "started", 0, INT64_MAX, 0));
  RATCHET_ASSIGN(shipped.dropped, NumberQuery(request, "dropped", 0, INT64_MAX, 0));
  RATCHET_ASSIGN(const auto taken, api.feedback.TakeBatch(shipped));
  return JsonResponse({{"taken", taken.batch.taken},
                       {"repeated", taken.batch.repeated},
                       {"refused", taken.refused},
                       {"joined", taken.batch.joined}});
}

Result<Response> PostFeedback(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  const bool lines = IsAccepted(request.Header("Content-Type"), "application/x-ndjson");
  RATCHET_ASSIGN(const auto outcomes,
                 pipeline::ParseOutcomes(request.body, lines ? pipeline::FeedbackText::kJsonLines : pipeline::FeedbackText::kJson));
  RATCHET_ASSIGN(const auto taken, api.feedback.TakeOutcomes(model, outcomes));
  return JsonResponse({{"taken", taken.taken},
                       {"repeated", taken.repeated},
                       {"replaced", taken.replaced},
                       {"joined", taken.joined},
                       {"waiting", taken.waiting}});
}

Result<Response> GetLiveMetric(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const std::int64_t span_s, NumberQuery(request, "span", kLeastSpanS, kMostSpanS, kSpanS));
  RATCHET_ASSIGN(const registry::Model model, api.store.Read([&](Db& db) { return registry::GetModel(db, name); }));
  const auto slice = request.Query("slice");
  if (slice && (slice->empty() || slice->size() > kMaxColumnBytes)) return BadParameter("slice", "it must be a column's name");
  RATCHET_ASSIGN(const auto reports, api.feedback.Report(name, span_s * 1'000'000, slice));
  RATCHET_ASSIGN(const std::int64_t dropped, api.feedback.Dropped());
  Json versions = Json::array();
  for (const pipeline::LiveReport& report : reports) versions.push_back(LiveVersionJson(report, slice.has_value()));
  RATCHET_ASSIGN(Json rows, FeedbackRowsJson(api, name));
  return JsonResponse({{"model", name},
                       {"live", model.live ? Json(*model.live) : Json()},
                       {"window", gate::kLiveWindowRows},
                       {"least_rows", gate::kLeastLiveRows},
                       {"span_s", span_s},
                       {"dropped", dropped},
                       {"slice", slice ? Json(*slice) : Json()},
                       {"rows", std::move(rows)},
                       {"versions", std::move(versions)}});
}

}  // namespace ratchet::daemon
