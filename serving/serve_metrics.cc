#include "serving/serve_metrics.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace ratchet::serving {
namespace {

std::string Single(const char* name, const char* type, const char* about, std::int64_t value) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, about, type, value);
}

// `bounds` and `sum` are in units of 1 / `scale`.
template <typename Bounds, typename Buckets>
std::string Histogram(const char* name, const std::string& labels, const Bounds& bounds, const Buckets& buckets,
                      std::int64_t sum, double scale) {
  std::string text;
  std::uint64_t total = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    total += buckets[i];
    const std::string bound = i < bounds.size() ? fmt::format("{}", static_cast<double>(bounds[i]) / scale) : "+Inf";
    text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, total);
  }
  text += fmt::format("{}_sum{{{}}} {}\n", name, labels, static_cast<double>(sum) / scale);
  return text + fmt::format("{}_count{{{}}} {}\n", name, labels, total);
}

// What the model was called for, by version.
std::string CallsText(const std::map<std::pair<std::string, std::int64_t>, std::shared_ptr<VersionMetrics>>& versions) {
  std::string waiting =
      "# HELP ratchet_serve_waiting_requests Requests that wait for the model now.\n"
      "# TYPE ratchet_serve_waiting_requests gauge\n";
  std::string rows =
      "# HELP ratchet_serve_batch_rows Rows of one call of the model.\n# TYPE ratchet_serve_batch_rows histogram\n";
  std::string computed =
      "# HELP ratchet_serve_compute_seconds_total Time spent in calls of the model.\n"
      "# TYPE ratchet_serve_compute_seconds_total counter\n";
  for (const auto& [key, metrics] : versions) {
    const std::string labels = fmt::format("model=\"{}\",version=\"{}\"", key.first, key.second);
    const VersionMetrics::Values values = metrics->Read();
    waiting += fmt::format("ratchet_serve_waiting_requests{{{}}} {}\n", labels, metrics->waiting.load());
    rows += Histogram("ratchet_serve_batch_rows", labels, kBatchBounds, values.batches, values.rows, 1);
    computed += fmt::format("ratchet_serve_compute_seconds_total{{{}}} {}\n", labels,
                            static_cast<double>(values.computed_us) / 1e6);
  }
  return waiting + rows + computed;
}

std::string PredictionsText(const PredictionCounts& counts) {
  const auto value = [](const std::atomic<std::uint64_t>& count) { return static_cast<std::int64_t>(count.load()); };
  std::string text = Single("ratchet_serve_predictions_logged_total", "counter",
                            "Predictions put into the spool for the control plane.", value(counts.logged));
  text += Single("ratchet_serve_predictions_shipped_total", "counter", "Predictions that the control plane has taken.",
                 value(counts.shipped));
  text += "# HELP ratchet_serve_predictions_dropped_total Predictions that were answered but not kept, by where.\n"
          "# TYPE ratchet_serve_predictions_dropped_total counter\n";
  const std::pair<const char*, std::int64_t> dropped[] = {{"queue", value(counts.dropped_queue)},
                                                          {"spool", value(counts.dropped_spool)},
                                                          {"refused", value(counts.dropped_refused)}};
  for (const auto& [where, count] : dropped)
    text += fmt::format("ratchet_serve_predictions_dropped_total{{where=\"{}\"}} {}\n", where, count);
  return text + Single("ratchet_serve_spool_bytes", "gauge", "Bytes of predictions that wait to be shipped.",
                       counts.spool_bytes);
}

}  // namespace

void VersionMetrics::Count(int http_status, std::int64_t latency_us) {
  ++requests_;
  if (http_status >= 500)
    ++server_errors_;
  else if (http_status >= 400)
    ++client_errors_;
  latency_sum_us_ += latency_us;
  const auto bucket = std::lower_bound(kLatencyBoundsUs.begin(), kLatencyBoundsUs.end(), latency_us);
  ++buckets_[static_cast<size_t>(bucket - kLatencyBoundsUs.begin())];
}

void VersionMetrics::CountCall(std::int64_t rows, std::int64_t took_us) {
  computed_us_ += took_us;
  rows_ += rows;
  const auto bucket = std::lower_bound(kBatchBounds.begin(), kBatchBounds.end(), rows);
  ++batches_[static_cast<size_t>(bucket - kBatchBounds.begin())];
}

VersionMetrics::Values VersionMetrics::Read() const {
  Values values{.requests = requests_,
                .client_errors = client_errors_,
                .server_errors = server_errors_,
                .latency_sum_us = latency_sum_us_};
  for (size_t i = 0; i < buckets_.size(); ++i) values.buckets[i] = buckets_[i];
  values.computed_us = computed_us_;
  values.rows = rows_;
  for (size_t i = 0; i < batches_.size(); ++i) values.batches[i] = batches_[i];
  return values;
}

std::shared_ptr<VersionMetrics> ServeMetrics::Of(const std::string& model, std::int64_t version) {
  std::lock_guard lock(mutex_);
  auto& metrics = versions_[{model, version}];
  if (!metrics) metrics = std::make_shared<VersionMetrics>();
  return metrics;
}

std::vector<ServeMetrics::Version> ServeMetrics::Versions() const {
  std::lock_guard lock(mutex_);
  return {versions_.begin(), versions_.end()};
}

std::string ServeMetrics::PrometheusText() const {
  std::string text = Single("ratchet_serve_connections", "gauge", "Connections open now.", connections);
  text += Single("ratchet_serve_shed_total", "counter", "Requests refused for want of room.",
                 static_cast<std::int64_t>(shed.load()));
  text += Single("ratchet_serve_swaps_total", "counter", "Changes of a model's live version.",
                 static_cast<std::int64_t>(swaps.load()));
  text += Single("ratchet_serve_failed_loads_total", "counter", "Versions that could not be loaded.",
                 static_cast<std::int64_t>(failed_loads.load()));
  text += PredictionsText(predictions);
  std::string requests =
      "# HELP ratchet_serve_requests_total Infer requests.\n# TYPE ratchet_serve_requests_total counter\n";
  std::string errors =
      "# HELP ratchet_serve_errors_total Infer requests that failed, by fault.\n"
      "# TYPE ratchet_serve_errors_total counter\n";
  std::string latencies =
      "# HELP ratchet_serve_request_duration_seconds Time from the read body to the made answer.\n"
      "# TYPE ratchet_serve_request_duration_seconds histogram\n";
  std::lock_guard lock(mutex_);
  for (const auto& [key, metrics] : versions_) {
    const std::string labels = fmt::format("model=\"{}\",version=\"{}\"", key.first, key.second);
    const VersionMetrics::Values values = metrics->Read();
    requests += fmt::format("ratchet_serve_requests_total{{{}}} {}\n", labels, values.requests);
    errors += fmt::format("ratchet_serve_errors_total{{{},fault=\"client\"}} {}\n", labels, values.client_errors);
    errors += fmt::format("ratchet_serve_errors_total{{{},fault=\"server\"}} {}\n", labels, values.server_errors);
    latencies += Histogram("ratchet_serve_request_duration_seconds", labels, kLatencyBoundsUs, values.buckets,
                           values.latency_sum_us, 1e6);
  }
  return text + requests + errors + latencies + CallsText(versions_);
}

}  // namespace ratchet::serving
