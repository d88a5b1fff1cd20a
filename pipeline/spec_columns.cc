#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include "base/names.h"
#include "lake/expectations.h"
#include "pipeline/spec_sections.h"

namespace ratchet::pipeline {
namespace {

constexpr size_t kMostColumnsNamed = 20;

std::vector<std::string> ColumnsOf(const lake::Expectation& expectation) {
  std::vector<std::string> columns = expectation.unique_together;
  if (!expectation.column.empty()) columns.push_back(expectation.column);
  if (expectation.fresh) columns.push_back(expectation.fresh->column);
  if (expectation.like) columns.insert(columns.end(), expectation.like->columns.begin(), expectation.like->columns.end());
  return columns;
}

// "; did you mean …?" and the columns there are, as far as they can be read at a glance.
std::string Columns(const lake::Schema& schema, const std::string& column) {
  std::vector<std::string> names;
  for (const lake::Column& known : schema.columns) names.push_back(known.name);
  const std::string near = Suggestion(column, names);
  const size_t all = names.size();
  if (all > kMostColumnsNamed) names.resize(kMostColumnsNamed);
  return fmt::format("{} (there are: {}{})", near, fmt::join(names, ", "),
                     all > names.size() ? fmt::format(" and {} more", all - names.size()) : "");
}

}  // namespace

void AddColumnFaults(const Spec& spec, const lake::Schema& schema, const YamlNode& tree, Faults& faults) {
  const auto check = [&](const std::string& path, int line, const std::string& column) {
    if (column.empty() || schema.Find(column) >= 0) return;
    faults.Add(path, line, fmt::format("{} has no column {}{}", spec.data.dataset, Quoted(column), Columns(schema, column)));
  };
  const YamlEntry* data = tree.Find("data");
  const YamlEntry* target = data ? data->node.Find("target") : nullptr;
  check("data.target", target ? target->line : 0, spec.data.target);
  const YamlEntry* test = tree.Find("test");
  for (size_t i = 0; i < spec.test.slices.size(); ++i)
    check(fmt::format("test.slices[{}]", i), test ? test->line : 0, spec.test.slices[i].column);
  check("test.group_by", test ? test->line : 0, spec.test.group_by.value_or(""));
  // A name that is no column would leave nothing out, and nobody would see it.
  const YamlEntry* predictions = tree.Find("predictions");
  for (size_t i = 0; i < spec.predictions.redact.size(); ++i)
    check(fmt::format("predictions.redact[{}]", i), predictions ? predictions->line : 0, spec.predictions.redact[i]);
  const YamlEntry* expect = data ? data->node.Find("expect") : nullptr;
  for (size_t i = 0; i < spec.data.expect.size(); ++i) {
    auto expectation = lake::ExpectationFromJson(spec.data.expect[i].dump(), "");
    if (!expectation) continue;
    // Entries at fault are not among those read, so the line is known only where none is.
    const bool all_read = expect && expect->node.items.size() == spec.data.expect.size();
    const int line = all_read ? expect->node.items[i].line : expect ? expect->line : 0;
    for (const std::string& column : ColumnsOf(*expectation)) check(fmt::format("data.expect[{}]", i), line, column);
  }
}

}  // namespace ratchet::pipeline
