#include "lake/body_reader.h"

#include <algorithm>

#include "base/names.h"
#include "lake/ingest.h"

namespace ratchet::lake {
namespace {

constexpr std::size_t kMostNamesShown = 5;

std::string NameList(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < kMostNamesShown; ++i) {
    list += (i == 0 ? "" : ", ") + Quoted(names[i]);
  }
  if (names.size() > kMostNamesShown) list += " and " + std::to_string(names.size() - kMostNamesShown) + " more";
  return list;
}

}  // namespace

std::unexpected<Error> DataFault(std::int64_t line, std::string_view column, std::string cause, std::string hint,
                                 ErrorCode code) {
  std::string place = line > 0 ? "line " + std::to_string(line) : "";
  if (!column.empty()) place += (place.empty() ? "column " : ", column ") + Quoted(column);
  auto failure = Fail(code, "take in the data", "", place.empty() ? cause : place + ": " + cause, std::move(hint));
  failure.error().line = static_cast<int>(std::min<std::int64_t>(line, INT32_MAX));
  failure.error().field = std::string(column);
  return failure;
}

Status CheckColumnNames(const std::vector<std::string>& pushed, const Schema& dataset) {
  std::vector<std::string> missing, extra;
  for (const Column& column : dataset.columns) {
    if (std::find(pushed.begin(), pushed.end(), column.name) == pushed.end()) missing.push_back(column.name);
  }
  for (const std::string& name : pushed) {
    if (dataset.Find(name) < 0) extra.push_back(name);
  }
  if (missing.empty() && extra.empty()) return {};
  std::string cause = "the columns differ from the dataset's:";
  if (!missing.empty()) cause += " it lacks " + NameList(missing);
  if (!extra.empty()) cause += std::string(missing.empty() ? "" : ";") + " the dataset has no " + NameList(extra);
  auto failure =
      DataFault(0, "", std::move(cause), "Push just the dataset's columns (in any order), or make a new dataset");
  failure.error().field = missing.empty() ? extra.front() : missing.front();
  return failure;
}

std::string TypeHint(ColumnType type, bool inferred) {
  const std::string name(ColumnTypeName(type));
  if (!inferred) return "The dataset's column holds " + name + " values: correct this one, or make a new dataset";
  return "The first " + std::to_string(kInferenceRows) + " rows made this column " + name +
         ": correct the value, or move a row with such a value among them";
}

}  // namespace ratchet::lake
