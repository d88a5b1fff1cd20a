#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "serving/model_host.h"
#include "serving/serve_metrics.h"
#include "serving/v2_protocol.h"

// What is served, in the words of Triton's extensions. Pure functions; any thread.
namespace ratchet::serving::triton {

// The statistics extension's answer for one version, one model or (`target.model` empty) all. kNotFound where nothing
// of that name is served. The last inference is in ms since the epoch, durations are in ns.
Result<std::string> StatisticsJson(const RouteSnapshot& snapshot, const v2::Target& target);

// The repository index: READY versions, and UNAVAILABLE ones with the reason. `body` is empty or {"ready": bool}; true
// leaves the latter out. kInvalid for any other body.
Result<std::string> RepositoryIndexJson(const std::map<std::string, ModelState>& states, std::string_view body);

// Triton's names for what /metrics has by ours, Prometheus text format 0.0.4:
// nv_inference_request_success, …_request_failure, …_count, …_exec_count, …_request_duration_us, …_queue_duration_us,
// …_compute_input_duration_us, …_compute_infer_duration_us, …_compute_output_duration_us; labels model, version.
std::string MetricsText(const ServeMetrics& metrics);

}  // namespace ratchet::serving::triton
