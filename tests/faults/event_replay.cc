#include "tests/faults/event_replay.h"

namespace ratchet::faults {

using registry::Event;
using registry::Json;

void Replay::TakeStep(const std::string& run, const Json& data) {
  const std::string step = run + "/" + data.at("step").get<std::string>();
  const std::string attempt = data.contains("attempt") ? step + "-" + std::to_string(data["attempt"].get<std::int64_t>()) : "";
  if (data.contains("attempt_state")) {
    const std::string state = data["attempt_state"];
    if (attempts[attempt] != "running") violation = "attempt " + attempt + " ended twice";
    attempts[attempt] = state;
    if (state == "succeeded" && ++succeeded_[step] > 1) violation = "two attempts of " + step + " succeeded in one try";
    return;
  }
  const std::string state = data.at("state");
  steps[step] = state;
  if (state == "pending") succeeded_[step] = 0;
  if (attempt.empty()) return;
  if (attempts.contains(attempt)) violation = "attempt " + attempt + " was started twice";
  attempts[attempt] = "running";
}

void Replay::Take(const Event& event) {
  const std::string run = event.run ? std::to_string(*event.run) : "";
  const Json& data = event.data;
  if (event.type == "run.created") runs[run] = "queued";
  if (event.type == "run.state") runs[run] = data.at("state");
  if (event.type == "step.state") TakeStep(run, data);
  if (event.type == "version.created")
    versions[*event.model + "@" + std::to_string(data.at("version").get<std::int64_t>())] = "candidate";
  if (event.type == "decision")
    versions[*event.model + "@" + std::to_string(data.at("version").get<std::int64_t>())] =
        data.at("verdict") == "better" ? "passed" : "rejected";
  if (event.type == "pipeline.applied" && data.contains("revision"))
    revisions[*event.pipeline] = std::to_string(data["revision"].get<std::int64_t>());
  if (event.type == "dataset.version")
    datasets[data.at("dataset")] = std::to_string(data.at("version").get<std::int64_t>());
  if (event.type == "release") {
    const std::string release = std::to_string(data.at("release").get<std::int64_t>());
    releases[release] = data.at("state");
    if (data.value("step", std::int64_t{0}) < steps_of_[release]) violation = "release " + release + " went back a step";
    steps_of_[release] = data.value("step", std::int64_t{0});
    if (data["state"] == "done") live[*event.model] = std::to_string(data.at("to").get<std::int64_t>());
  }
}

}  // namespace ratchet::faults
