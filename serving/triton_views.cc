#include "serving/triton_views.h"

#include <spdlog/fmt/fmt.h>

#include <nlohmann/json.hpp>

#include "base/names.h"
#include "serving/json_body.h"

namespace ratchet::serving::triton {
namespace {

using nlohmann::json;
using Values = VersionStatistics::Values;

std::unexpected<Error> Unknown(std::string cause) {
  return std::unexpected(Error{.code = ErrorCode::kNotFound, .cause = std::move(cause)});
}

json Duration(const DurationCount& duration) { return {{"count", duration.count}, {"ns", duration.us * 1000}}; }

json VersionJson(const ServedVersion& version) {
  const Values values = version.metrics->statistics.Read();
  json batches = json::array();
  // What comes before and after the model belongs to a request, not to a batch.
  for (const auto& [rows, infer] : values.batches) {
    const json none = Duration({.count = infer.count});
    batches.push_back({{"batch_size", rows}, {"compute_input", none}, {"compute_infer", Duration(infer)}, {"compute_output", none}});
  }
  const json none = Duration({});
  return {{"name", version.model},
          {"version", std::to_string(version.ref.version)},
          {"last_inference", values.last_success_us / 1000},
          {"inference_count", values.rows},
          {"execution_count", values.executions},
          {"inference_stats",
           {{"success", Duration(values.success)},
            {"fail", Duration(values.fail)},
            {"queue", Duration(values.queue)},
            {"compute_input", Duration(values.input)},
            {"compute_infer", Duration(values.infer)},
            {"compute_output", Duration(values.output)},
            {"cache_hit", none},
            {"cache_miss", none}}},
          {"batch_stats", batches}};
}

// Whether only ready versions are asked for.
Result<bool> OnlyReady(std::string_view body) {
  bool ready = false;
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return ready;
  JsonBody text(body, body.size());
  RATCHET_ASSIGN(simdjson::ondemand::object root, text.Root());
  RATCHET_TRY(VisitMembers(root, [&](std::string_view key, simdjson::ondemand::value& value) -> Status {
    if (key != "ready") return CheckJson(value);
    if (value.get_bool().get(ready) == simdjson::SUCCESS) return {};
    return Refuse("\"ready\" must be true or false");
  }));
  RATCHET_TRY(text.End());
  return ready;
}

struct Counter {
  const char* name;
  const char* about;
  std::int64_t (*value)(const Values&);
};

std::int64_t Number(std::uint64_t count) { return static_cast<std::int64_t>(count); }

constexpr Counter kCounters[] = {
    {"nv_inference_request_success", "Requests answered", [](const Values& v) { return Number(v.success.count); }},
    {"nv_inference_request_failure", "Requests that failed", [](const Values& v) { return Number(v.fail.count); }},
    {"nv_inference_count", "Rows answered", [](const Values& v) { return Number(v.rows); }},
    {"nv_inference_exec_count", "Calls of the model", [](const Values& v) { return Number(v.executions); }},
    {"nv_inference_request_duration_us", "Time of answered requests", [](const Values& v) { return v.success.us; }},
    {"nv_inference_queue_duration_us", "Time before anything was done", [](const Values& v) { return v.queue.us; }},
    {"nv_inference_compute_input_duration_us", "Time of reading tensors", [](const Values& v) { return v.input.us; }},
    {"nv_inference_compute_infer_duration_us", "Time in the model", [](const Values& v) { return v.infer.us; }},
    {"nv_inference_compute_output_duration_us", "Time of writing answers", [](const Values& v) { return v.output.us; }},
};

}  // namespace

Result<std::string> StatisticsJson(const RouteSnapshot& snapshot, const v2::Target& target) {
  if (!target.model.empty() && !snapshot.models.contains(target.model)) {
    return Unknown("model " + Quoted(target.model) + " is not known here");
  }
  json list = json::array();
  for (const auto& [name, model] : snapshot.models) {
    if (!target.model.empty() && name != target.model) continue;
    for (const auto& [number, version] : model.ready) {
      if (!target.version || *target.version == number) list.push_back(VersionJson(*version));
    }
  }
  if (target.version && list.empty()) {
    return Unknown("version " + std::to_string(*target.version) + " of model " + target.model + " is not served here");
  }
  return json{{"model_stats", std::move(list)}}.dump();
}

Result<std::string> RepositoryIndexJson(const std::map<std::string, ModelState>& states, std::string_view body) {
  RATCHET_ASSIGN(const bool only_ready, OnlyReady(body));
  json list = json::array();
  const auto add = [&](const std::string& name, std::int64_t version, const std::string& reason) {
    if (only_ready && !reason.empty()) return;
    json entry = {{"name", name}, {"state", reason.empty() ? "READY" : "UNAVAILABLE"}, {"reason", reason}};
    if (version > 0) entry["version"] = std::to_string(version);
    list.push_back(std::move(entry));
  };
  for (const auto& [name, state] : states) {
    for (std::int64_t version : state.ready) add(name, version, "");
    for (const auto& [version, why] : state.failed) add(name, version, why.empty() ? "it cannot be loaded" : why);
    if (state.ready.empty() && state.failed.empty()) add(name, 0, "no version is loaded yet");
  }
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string MetricsText(const ServeMetrics& metrics) {
  std::string text;
  const auto versions = metrics.Versions();
  for (const Counter& counter : kCounters) {
    text += fmt::format("# HELP {0} {1}.\n# TYPE {0} counter\n", counter.name, counter.about);
    for (const auto& [key, version] : versions) {
      text += fmt::format("{}{{model=\"{}\",version=\"{}\"}} {}\n", counter.name, key.first, key.second,
                          counter.value(version->statistics.Read()));
    }
  }
  return text;
}

}  // namespace ratchet::serving::triton
