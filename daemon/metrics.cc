#include "daemon/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "registry/events.h"
#include "registry/run_views.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

constexpr int kEventsPerRead = 500;

Family<Counter>& CounterFamily(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Gauge>& GaugeFamily(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

// Kinds of step and classes of failure, so that each is there, with 0, before it happens for the first time.
constexpr const char* kKinds[] = {"validate", "command", "recipe", "train", "trial", "select", "test", "gate", "release"};
constexpr const char* kReasons[] = {"manual", "schedule", "new_rows", "drift", "live_metric_below", "reproduce"};
constexpr const char* kRunStates[] = {"queued", "running", "succeeded", "failed", "cancelled"};

const Histogram::BucketBoundaries kDispatchSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10, 60, 600};
const Histogram::BucketBoundaries kStepSeconds{0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 28800};

Family<Histogram>& HistogramFamily(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

double Seconds(std::int64_t from_us, std::int64_t until_us) { return static_cast<double>(until_us - from_us) / 1e6; }

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  Family<Counter>& requests =
      CounterFamily(registry, "ratchet_http_requests_total", "Answered HTTP requests by route, method and status");
  Family<Histogram>& seconds =
      HistogramFamily(registry, "ratchet_http_request_seconds", "Time to answer, by route, without the time of streams");
  Family<Counter>& created = CounterFamily(registry, "ratchet_runs_created_total", "Runs queued, by what asked for them");
  Family<Counter>& runs = CounterFamily(registry, "ratchet_run_moves_total", "Runs that came into a state");
  Family<Counter>& steps =
      CounterFamily(registry, "ratchet_steps_total", "Steps that ended, by kind and outcome");
  Family<Counter>& attempts = CounterFamily(
      registry, "ratchet_attempts_total", "Attempts that ended, by kind of step, outcome and class of failure");
  Counter& pruned = CounterFamily(registry, "ratchet_trials_pruned_total", "Trials that were stopped early").Add({});
  Family<Counter>& cache = CounterFamily(
      registry, "ratchet_cache_lookups_total", "Steps that succeeded and were looked up in the cache, by result");
  Family<Histogram>& dispatch = HistogramFamily(
      registry, "ratchet_step_dispatch_seconds", "From when a step could start to when it was started, by kind");
  Family<Histogram>& took =
      HistogramFamily(registry, "ratchet_step_seconds", "From a step's start to its end, attempts and pauses, by kind");
  Family<Gauge>& active = GaugeFamily(registry, "ratchet_runs_active", "Runs by state that have not ended");
  Gauge& queue = GaugeFamily(registry, "ratchet_queue_depth", "Runs that wait to be begun").Add({});
  Gauge& running = GaugeFamily(registry, "ratchet_steps_running", "Steps under way").Add({});
  Gauge& ready = GaugeFamily(registry, "ratchet_steps_ready", "Steps that could start but have not").Add({});
  Counter& rows = CounterFamily(registry, "ratchet_ingest_rows_total", "Rows taken into the lake").Add({});
  Counter& bytes = CounterFamily(registry, "ratchet_ingest_bytes_total", "Bytes of packs taken into the lake").Add({});
  Family<Counter>& door =
      CounterFamily(registry, "ratchet_registry_writes_total", "Writes through the one door, by outcome");
  Counter& commits =
      CounterFamily(registry, "ratchet_registry_commits_total", "Commits; writes per commit is the group's mean size")
          .Add({});
  Family<Counter>& predictions =
      CounterFamily(registry, "ratchet_predictions_total", "Predictions that replicas shipped, by what became of them");
  Family<Counter>& feedback = CounterFamily(registry, "ratchet_feedback_total", "Outcomes that were sent, by what became of them");
  Counter& joined = CounterFamily(registry, "ratchet_feedback_joined_total", "Rows of predictions that got an outcome").Add({});
  Counter& deleted =
      CounterFamily(registry, "ratchet_feedback_deleted_total", "Predictions and outcomes deleted for their age or for room").Add({});
  Gauge& dropped = GaugeFamily(registry, "ratchet_predictions_dropped",
                               "Predictions answered that replicas could not keep, as far as they have told").Add({});
  Gauge& replicas = GaugeFamily(registry, "ratchet_replicas", "Replicas heard of lately").Add({});

  Families() {
    for (const char* reason : kReasons) created.Add({{"reason", reason}});
    for (const char* state : kRunStates) runs.Add({{"state", state}});
    for (const char* result : {"taken", "repeated", "refused"}) predictions.Add({{"result", result}});
    for (const char* result : {"taken", "repeated", "replaced"}) feedback.Add({{"result", result}});
    for (const char* result : {"hit", "miss"}) cache.Add({{"result", result}});
    for (const char* kind : kKinds) {
      for (const char* outcome : {"succeeded", "failed"}) steps.Add({{"kind", kind}, {"outcome", outcome}});
      attempts.Add({{"kind", kind}, {"outcome", "succeeded"}, {"class", ""}});
      dispatch.Add({{"kind", kind}}, kDispatchSeconds);
      took.Add({{"kind", kind}}, kStepSeconds);
    }
  }

  void CountAttempt(const std::string& kind, const registry::Event& event);
  void CountStepEnd(const registry::StepFacts& step, const std::string& outcome);
  void Count(registry::Db& db, const registry::Event& event);
};

void Metrics::Families::CountAttempt(const std::string& kind, const registry::Event& event) {
  const registry::Json error = event.data.value("error", registry::Json::object());
  const std::string error_class = error.is_object() ? error.value("class", "") : "";
  attempts.Add({{"kind", kind}, {"outcome", event.data.value("attempt_state", "")}, {"class", error_class}}).Increment();
  if (error_class == "pruned") pruned.Increment();
}

void Metrics::Families::CountStepEnd(const registry::StepFacts& step, const std::string& outcome) {
  steps.Add({{"kind", step.kind}, {"outcome", outcome}}).Increment();
  if (outcome == "succeeded" && step.keyed) cache.Add({{"result", "miss"}}).Increment();
  if (outcome == "succeeded" && step.cached) cache.Add({{"result", "hit"}}).Increment();
  // A row that was put back since, by a retry, says nothing about that time any more.
  if (step.started_at && step.ended_at && !step.cached && *step.ended_at >= *step.started_at)
    took.Add({{"kind", step.kind}}, kStepSeconds).Observe(Seconds(*step.started_at, *step.ended_at));
}

// The labels of a step are its kind's, never its name: names are the users' own and without bound.
void Metrics::Families::Count(registry::Db& db, const registry::Event& event) {
  const std::string state = event.data.value("state", "");
  if (event.type == "run.state") runs.Add({{"state", state}}).Increment();
  if (event.type == "run.created") {
    const registry::Json reason = event.data.value("reason", registry::Json::object());
    created.Add({{"reason", reason.is_object() ? reason.value("kind", "") : ""}}).Increment();
  }
  if (event.type != "step.state" || !event.run) return;
  const auto step = registry::FindStepFacts(db, *event.run, event.data.value("step", ""));
  if (!step) return;
  const std::int64_t attempt = event.data.value("attempt", std::int64_t{0});
  if (event.data.contains("attempt_state")) return CountAttempt(step->kind, event);
  if (state == "running") {
    const bool first = attempt == step->attempts_before + 1 && step->ready_at && event.at >= *step->ready_at;
    if (first) dispatch.Add({{"kind", step->kind}}, kDispatchSeconds).Observe(Seconds(*step->ready_at, event.at));
  } else if (state != "pending") {
    CountStepEnd(*step, state);
  }
}

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::CountRequest(const Served& served) {
  const std::string route = *served.route ? served.route : "none";
  families_->requests.Add({{"route", route}, {"method", served.method}, {"status", std::to_string(served.status)}})
      .Increment();
  families_->seconds.Add({{"route", route}}, Histogram::BucketBoundaries{0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10, 60})
      .Observe(served.seconds);
}

void Metrics::CountIngest(std::int64_t rows, std::int64_t bytes) {
  families_->rows.Increment(static_cast<double>(rows));
  families_->bytes.Increment(static_cast<double>(bytes));
}

Status Metrics::TakeEvents(registry::Store& store) {
  for (;;) {
    size_t taken = 0;
    auto read = store.Read([&](registry::Db& db) -> Status {
      const auto events = registry::EventsAfter(db, last_event_, kEventsPerRead);
      taken = events.size();
      for (const registry::Event& event : events) {
        last_event_ = event.id;
        families_->Count(db, event);
      }
      return {};
    });
    if (!read) return std::unexpected(read.error());
    if (taken < kEventsPerRead) return {};
  }
}

Status Metrics::StartFromNow(registry::Store& store) {
  std::lock_guard lock(scrape_mutex_);
  RATCHET_ASSIGN(last_event_, store.Read([](registry::Db& db) -> Result<std::int64_t> { return registry::LastEventId(db); }));
  return {};
}

Status Metrics::TakeFeedback(pipeline::Feedback& feedback) {
  const pipeline::Feedback::Counts now = feedback.counts(), before = last_feedback_;
  const auto add = [](Family<Counter>& family, const char* result, std::int64_t count) {
    family.Add({{"result", result}}).Increment(static_cast<double>(count));
  };
  add(families_->predictions, "taken", now.predictions - before.predictions);
  add(families_->predictions, "repeated", now.repeated - before.repeated);
  add(families_->predictions, "refused", now.refused - before.refused);
  add(families_->feedback, "taken", now.outcomes - before.outcomes);
  add(families_->feedback, "repeated", now.outcomes_repeated - before.outcomes_repeated);
  add(families_->feedback, "replaced", now.outcomes_replaced - before.outcomes_replaced);
  families_->joined.Increment(static_cast<double>(now.joined - before.joined));
  families_->deleted.Increment(static_cast<double>(now.deleted - before.deleted));
  last_feedback_ = now;
  RATCHET_ASSIGN(const std::int64_t dropped, feedback.Dropped());
  families_->dropped.Set(static_cast<double>(dropped));
  return {};
}

Result<std::string> Metrics::Scrape(registry::Store& store, pipeline::Feedback& feedback, size_t replicas) {
  std::lock_guard lock(scrape_mutex_);
  RATCHET_TRY(TakeEvents(store));
  auto active = store.Read([](registry::Db& db) -> Result<registry::ActiveCounts> { return registry::CountActiveRuns(db); });
  if (!active) return std::unexpected(active.error());
  families_->active.Add({{"state", "queued"}}).Set(static_cast<double>(active->queued));
  families_->active.Add({{"state", "running"}}).Set(static_cast<double>(active->running));
  families_->queue.Set(static_cast<double>(active->queued));
  auto load = store.Read([](registry::Db& db) -> Result<registry::StepLoad> { return registry::CountSteps(db); });
  if (!load) return std::unexpected(load.error());
  families_->running.Set(static_cast<double>(load->running));
  families_->ready.Set(static_cast<double>(load->ready));
  const registry::Store::Stats stats = store.stats();
  families_->door.Add({{"outcome", "done"}}).Increment(static_cast<double>(stats.writes - last_stats_.writes));
  families_->door.Add({{"outcome", "failed"}}).Increment(static_cast<double>(stats.failed - last_stats_.failed));
  families_->commits.Increment(static_cast<double>(stats.commits - last_stats_.commits));
  last_stats_ = stats;
  RATCHET_TRY(TakeFeedback(feedback));
  families_->replicas.Set(static_cast<double>(replicas));
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace ratchet::daemon
