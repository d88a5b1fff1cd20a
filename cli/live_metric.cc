#include "cli/live_metric.h"

#include <spdlog/fmt/fmt.h>

#include "cli/human.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr size_t kMostVersions = 5;

std::string ValueText(const Json& version) {
  const auto value = NumberField(version, "value");
  if (!value) return Field(version, "higher_is_better").is_null() ? "not of single rows" : kAbsent;
  return ShownScore(value);
}

}  // namespace

Status PrintLiveMetric(Context& context, Client& client, const std::string& model) {
  auto report = client.GetJson("/api/v1/models/" + model + "/live-metric");
  if (!report) {
    if (report.error().code == ErrorCode::kNotFound) return {};
    return std::unexpected(std::move(report).error());
  }
  Table table({{"VERSION", Align::kRight},
               {"METRIC"},
               {"VALUE", Align::kRight},
               {"OVER ROWS", Align::kRight},
               {"PREDICTED", Align::kRight},
               {"WITH OUTCOME", Align::kRight}});
  size_t shown = 0;
  for (const Json& version : Field(*report, "versions")) {
    if (shown++ == kMostVersions) break;
    table.Add({ShownInt(IntField(version, "version")), TextField(version, "metric"), ValueText(version),
               ShownCount(IntField(version, "window_rows").value_or(0)), ShownCount(IntField(version, "rows").value_or(0)),
               ShownCount(IntField(version, "joined").value_or(0))});
  }
  if (table.Empty()) return {};
  context.console.Out("\nLive metric, by feedback\n" + table.Render(context.console));
  if (const auto dropped = IntField(*report, "dropped"); dropped && *dropped > 0)
    context.console.NoteLine(fmt::format("{} predictions were answered but not kept, over all models.", ShownCount(*dropped)));
  return {};
}

}  // namespace ratchet::cli
