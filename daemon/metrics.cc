#include "daemon/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "registry/events.h"
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

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  Family<Counter>& requests =
      CounterFamily(registry, "ratchet_http_requests_total", "Answered HTTP requests by route, method and status");
  Family<Histogram>& seconds = prometheus::BuildHistogram()
                                   .Name("ratchet_http_request_seconds")
                                   .Help("Time to answer, by route, without the time of streams")
                                   .Register(registry);
  Family<Counter>& runs = CounterFamily(registry, "ratchet_run_moves_total", "Runs that came into a state");
  Family<Counter>& steps = CounterFamily(registry, "ratchet_step_moves_total", "Steps that came into a state");
  Family<Gauge>& active = GaugeFamily(registry, "ratchet_runs_active", "Runs by state that have not ended");
  Counter& rows = CounterFamily(registry, "ratchet_ingest_rows_total", "Rows taken into the lake").Add({});
  Counter& bytes = CounterFamily(registry, "ratchet_ingest_bytes_total", "Bytes of packs taken into the lake").Add({});
  Family<Counter>& door =
      CounterFamily(registry, "ratchet_registry_writes_total", "Writes through the one door, by outcome");
  Counter& commits =
      CounterFamily(registry, "ratchet_registry_commits_total", "Commits; writes per commit is the group's mean size")
          .Add({});
  Gauge& replicas = GaugeFamily(registry, "ratchet_replicas", "Replicas heard of lately").Add({});
};

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
    auto events = store.Read([&](registry::Db& db) -> Result<std::vector<registry::Event>> {
      return registry::EventsAfter(db, last_event_, kEventsPerRead);
    });
    if (!events) return std::unexpected(events.error());
    for (const registry::Event& event : *events) {
      last_event_ = event.id;
      const std::string state = event.data.value("state", "");
      if (event.type == "run.state") families_->runs.Add({{"state", state}}).Increment();
      if (event.type == "step.state")
        families_->steps.Add({{"step", event.data.value("step", "")}, {"state", state}}).Increment();
    }
    if (events->size() < kEventsPerRead) return {};
  }
}

Result<std::string> Metrics::Scrape(registry::Store& store, size_t replicas) {
  std::lock_guard lock(scrape_mutex_);
  RATCHET_TRY(TakeEvents(store));
  auto active = store.Read([](registry::Db& db) -> Result<registry::ActiveCounts> { return registry::CountActiveRuns(db); });
  if (!active) return std::unexpected(active.error());
  families_->active.Add({{"state", "queued"}}).Set(static_cast<double>(active->queued));
  families_->active.Add({{"state", "running"}}).Set(static_cast<double>(active->running));
  const registry::Store::Stats stats = store.stats();
  families_->door.Add({{"outcome", "done"}}).Increment(static_cast<double>(stats.writes - last_stats_.writes));
  families_->door.Add({{"outcome", "failed"}}).Increment(static_cast<double>(stats.failed - last_stats_.failed));
  families_->commits.Increment(static_cast<double>(stats.commits - last_stats_.commits));
  last_stats_ = stats;
  families_->replicas.Set(static_cast<double>(replicas));
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace ratchet::daemon
