// What trains or prepares: recipe or command, params, limits, retry. Declared in pipeline/spec_sections.h.

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

constexpr std::int64_t kLeastStepBytes = 1LL << 20;
constexpr std::int64_t kMostStepBytes = 1LL << 50;
constexpr std::int64_t kMostStepSeconds = 30LL * 86'400;
constexpr double kMostDelaySeconds = 86'400;
constexpr int kMostCpus = 1024;
constexpr int kMostAttempts = 100;
constexpr size_t kMaxCommandWords = 256;
constexpr std::string_view kByteRange = "a size from 1MiB to 1024TiB such as 500MB or 2GiB";
const std::vector<std::string> kRetryClasses{"signal", "timeout", "out_of_memory", "disk_quota", "internal"};

Status Refuse(std::string_view text, std::string cause, std::string hint = {}) {
  return Fail(ErrorCode::kInvalid, "check the spec", Quoted(text), std::move(cause), std::move(hint));
}

bool IsWord(std::string_view word) {
  return !word.empty() && word.size() <= kMaxNameLength && word[0] >= 'a' && word[0] <= 'z' &&
         std::ranges::all_of(
             word, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
}

Status CheckRecipeName(const std::string& name) {
  size_t dot = name.find('.');
  if (dot != std::string::npos && IsWord(std::string_view(name).substr(0, dot)) &&
      IsWord(std::string_view(name).substr(dot + 1)))
    return {};
  return Refuse(name, "a recipe is written plugin.recipe", "For example vision.classifier");
}

void ReadLimits(Section limits, LimitSpec& into) {
  Take(into.cpus, limits.Whole("cpus", 1, kMostCpus));
  Take(into.memory_bytes, limits.Quantity("memory", kLeastStepBytes, kMostStepBytes, kByteRange, ParseBytes));
  Take(into.disk_bytes, limits.Quantity("disk", kLeastStepBytes, kMostStepBytes, kByteRange, ParseBytes));
  Take(into.time_s,
       limits.Quantity("time", 1, kMostStepSeconds, "a time from 1s to 30d such as 90s, 30m or 2h", ParseSeconds));
  Take(into.attempts, limits.Whole("attempts", 1, kMostAttempts));
}

// Numbers must be finite and within their type, whatever the trainer makes of them.
void CheckParam(Section& train, const YamlNode& node, const std::string& path, Faults& faults) {
  for (size_t i = 0; i < node.items.size(); ++i)
    CheckParam(train, node.items[i], fmt::format("{}[{}]", path, i), faults);
  for (const YamlEntry& entry : node.entries)
    CheckParam(train, entry.node, fmt::format("{}.{}", path, entry.key), faults);
  if (node.kind != YamlNode::Kind::kPlain) return;
  nlohmann::json value = JsonFromTree(node);
  if (value.is_discarded() || (value.is_number_float() && !std::isfinite(value.get<double>())))
    faults.Add(path, node.line, fmt::format("must be a finite number that fits 64 bits, not {}", Describe(node)));
  if (path == "train.params.epochs" && value.is_number() && value.get<double>() < 0)
    faults.Add(path, node.line, fmt::format("must be at least 1, not {}", Describe(node)));
}

void ReadParams(Section& train, Faults& faults, nlohmann::json& into) {
  const YamlNode* params = train.Find("params");
  if (!params) return;
  if (params->kind != YamlNode::Kind::kMap)
    return train.Fault("params", fmt::format("must be a map such as {{epochs: 3}}, not {}", Describe(*params)));
  CheckParam(train, *params, train.PathOf("params"), faults);
  into = JsonFromTree(*params);
}

void ReadRetry(Section retry, RetrySpec& into) {
  if (auto on = retry.Texts("on", false, "[signal, timeout]")) {
    for (size_t i = 0; i < on->size(); ++i)
      if (!std::ranges::count(kRetryClasses, (*on)[i]))
        retry.Fault(fmt::format("on[{}]", i), fmt::format("must be one of signal, timeout, out_of_memory, disk_quota, internal{}",
                                                          Suggestion((*on)[i], kRetryClasses)));
    into.on = std::move(*on);
  }
  auto delay = [](double v) { return v >= 0 && v <= kMostDelaySeconds; };
  Take(into.delay_s, retry.Number("delay", "seconds from 0 to 86400", delay));
  Take(into.max_delay_s, retry.Number("max_delay", "seconds from 0 to 86400", delay));
  Take(into.factor, retry.Number("factor", "a number from 1 to 100", [](double v) { return v >= 1 && v <= 100; }));
  Take(into.jitter, retry.Number("jitter", "a share from 0 to 1", [](double v) { return v >= 0 && v <= 1; }));
}

}  // namespace

void ReadWork(Section& section, Faults& faults, WorkSpec& into) {
  if (section.Has("recipe") == section.Has("command"))
    section.Fault(section.Has("recipe") ? "command" : "recipe",
                  section.Has("recipe") ? "stands beside recipe; keep one of the two"
                                        : "is missing; name a recipe such as vision.classifier, or give a command");
  into.recipe = section.Text("recipe", CheckRecipeName);
  into.command = section.Texts("command", true, "[python3, train.py]");
  if (into.command && (into.command->empty() || into.command->size() > kMaxCommandWords))
    section.Fault("command", fmt::format("must have 1 to {} words", kMaxCommandWords));
  ReadParams(section, faults, into.params);
  Take(into.seed, section.Unsigned("seed"));
  Take(into.inputs, section.Texts("inputs", false, "[join.rows.csv]"));
  Take(into.cache, section.Bool("cache"));
  ReadLimits(section.Child("limits", {"cpus", "memory", "time", "disk", "attempts"}), into.limits);
  ReadRetry(section.Child("retry", {"on", "delay", "factor", "max_delay", "jitter"}), into.retry);
}

}  // namespace ratchet::pipeline
