#include "cli/live_metric.h"

#include <spdlog/fmt/fmt.h>

#include <utility>

#include "cli/human.h"
#include "cli/server_url.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr size_t kMostVersions = 5;
constexpr size_t kMostSpans = 24;  // the newest of them

std::string ValueText(const Json& version) {
  const auto value = NumberField(version, "value");
  if (!value) return Field(version, "higher_is_better").is_null() ? "not of single rows" : kAbsent;
  return ShownScore(value);
}

Table VersionTable(const Json& report) {
  Table table({{"VERSION", Align::kRight},
               {"METRIC"},
               {"VALUE", Align::kRight},
               {"OVER ROWS", Align::kRight},
               {"PREDICTED", Align::kRight},
               {"WITH OUTCOME", Align::kRight}});
  size_t shown = 0;
  for (const Json& version : Field(report, "versions")) {
    if (shown++ == kMostVersions) break;
    table.Add({ShownInt(IntField(version, "version")), TextField(version, "metric"), ValueText(version),
               ShownCount(IntField(version, "window_rows").value_or(0)), ShownCount(IntField(version, "rows").value_or(0)),
               ShownCount(IntField(version, "joined").value_or(0))});
  }
  return table;
}

Table SliceTable(const Json& report, const std::string& column) {
  Table table({{"VERSION", Align::kRight}, {column}, {"VALUE", Align::kRight}, {"OVER ROWS", Align::kRight}});
  for (const Json& version : Field(report, "versions"))
    for (const Json& slice : Field(version, "slices"))
      table.Add({ShownInt(IntField(version, "version")), OneLine(TextField(slice, "group")), ShownScore(NumberField(slice, "value")),
                 ShownCount(IntField(slice, "rows").value_or(0))});
  return table;
}

void AddSpans(Table& table, const Json& version, const std::string& group, const Json& series) {
  size_t left = series.size();
  for (const Json& span : series) {
    if (left-- > kMostSpans) continue;
    table.Add({ShownTime(IntField(span, "from_at").value_or(0)), ShownInt(IntField(version, "version")), group,
               ShownScore(NumberField(span, "value")), ShownCount(IntField(span, "rows").value_or(0))});
  }
}

Table SpanTable(const Json& report, const std::string& column) {
  Table table({{"FROM"}, {"VERSION", Align::kRight}, {column.empty() ? "" : column}, {"VALUE", Align::kRight}, {"ROWS", Align::kRight}});
  for (const Json& version : Field(report, "versions")) {
    if (column.empty()) AddSpans(table, version, "", Field(version, "series"));
    for (const Json& slice : Field(version, "slices"))
      AddSpans(table, version, OneLine(TextField(slice, "group")), Field(slice, "series"));
  }
  return table;
}

std::string RowsText(const Json& rows) {
  const auto count = [&](const char* name) { return IntField(rows, name).value_or(0); };
  const std::string dataset = TextField(rows, "dataset");
  std::string text = fmt::format("{} of these rows have been pushed to {}", ShownCount(count("pushed")), dataset);
  if (const auto version = IntField(rows, "version")) text += fmt::format(" (newest {}@{})", dataset, *version);
  text += fmt::format(", {} wait", ShownCount(count("waiting")));
  const std::int64_t left_out = count("unfit") + count("in_holdout") + count("known");
  if (left_out > 0)
    text += fmt::format("; left out: {} unfit, {} whose key is sealed already, {} of a case that is known", ShownCount(count("unfit")),
                        ShownCount(count("in_holdout")), ShownCount(count("known")));
  const std::string why = TextField(rows, "why_unfit");
  return text + "." + (why.empty() ? "" : " Unfit: " + OneLine(why));
}

}  // namespace

std::string LiveMetricPath(const std::string& model, const LiveMetricView& view) {
  std::string path = "/api/v1/models/" + model + "/live-metric", mark = "?";
  if (view.span_s > 0) path += std::exchange(mark, "&") + "span=" + std::to_string(view.span_s);
  if (!view.slice.empty()) path += mark + "slice=" + PercentEncoded(view.slice);
  return path;
}

Status PrintLiveMetric(Context& context, Client& client, const std::string& model, const LiveMetricView& view) {
  auto report = client.GetJson(LiveMetricPath(model, view));
  if (!report) {
    if (report.error().code == ErrorCode::kNotFound) return {};
    return std::unexpected(std::move(report).error());
  }
  const Table versions = VersionTable(*report);
  if (versions.Empty()) return {};
  context.console.Out("\nLive metric, by feedback\n" + versions.Render(context.console));
  if (!view.slice.empty()) context.console.Out("\nBy " + OneLine(view.slice) + "\n" + SliceTable(*report, view.slice).Render(context.console));
  if (view.span_s > 0) context.console.Out("\nOver time\n" + SpanTable(*report, view.slice).Render(context.console));
  if (Field(*report, "rows").is_object()) context.console.NoteLine(RowsText(Field(*report, "rows")));
  if (const auto dropped = IntField(*report, "dropped"); dropped && *dropped > 0)
    context.console.NoteLine(fmt::format("{} predictions were answered but not kept, over all models.", ShownCount(*dropped)));
  return {};
}

}  // namespace ratchet::cli
