// `test.budgets`. Declared in pipeline/spec_sections.h.

#include <spdlog/fmt/fmt.h>

#include "base/names.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

constexpr std::int64_t kMostLatencyUs = 600'000'000;
constexpr std::int64_t kMostBytes = 1LL << 50;
constexpr std::string_view kByteRange = "a size from 1 byte to 1024TiB such as 50MiB or 500MB";

}  // namespace

std::optional<std::int64_t> ReadLatency(Section& section, std::string_view key) {
  const YamlNode* node = section.Find(key);
  if (!node) return std::nullopt;
  const bool scalar = node->kind == YamlNode::Kind::kPlain || node->kind == YamlNode::Kind::kQuoted;
  const auto parsed = scalar ? ParseMicroseconds(node->text) : Result<std::int64_t>(0);
  if (parsed && *parsed >= 1 && *parsed <= kMostLatencyUs) return *parsed;
  section.Fault(key, fmt::format("must be a time with its unit, from 1us to 10m such as 20ms, not {}{}", Describe(*node),
                                 parsed ? "" : ": " + parsed.error().cause));
  return std::nullopt;
}

std::string LatencyText(std::int64_t us) {
  return us % 1000 == 0 ? fmt::format("{}ms", us / 1000) : fmt::format("{}us", us);
}

void ReadBudgets(Section budgets, BudgetSpec& into) {
  into.p50_latency_us = ReadLatency(budgets, "p50_latency");
  into.p99_latency_us = ReadLatency(budgets, "p99_latency");
  into.bundle_bytes = budgets.Quantity("bundle_size", 1, kMostBytes, kByteRange, ParseBytes);
  into.memory_bytes = budgets.Quantity("memory", 1, kMostBytes, kByteRange, ParseBytes);
}

nlohmann::json BudgetsToJson(const BudgetSpec& budgets) {
  nlohmann::json json = nlohmann::json::object();
  if (budgets.p50_latency_us) json["p50_latency"] = LatencyText(*budgets.p50_latency_us);
  if (budgets.p99_latency_us) json["p99_latency"] = LatencyText(*budgets.p99_latency_us);
  if (budgets.bundle_bytes) json["bundle_size"] = *budgets.bundle_bytes;
  if (budgets.memory_bytes) json["memory"] = *budgets.memory_bytes;
  return json;
}

}  // namespace ratchet::pipeline
