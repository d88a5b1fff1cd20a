#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lake/base64.h"
#include "lake/summary.h"

namespace ratchet::lake {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kSampledBytes = 16;

std::unexpected<Error> Corrupt(std::string cause) {
  return Fail(ErrorCode::kCorrupt, "read the summary of a dataset", "", std::move(cause), "Make it again");
}

void AppendLittleEndian(std::uint64_t word, std::string& to) {
  for (int i = 0; i < 8; ++i) to += static_cast<char>(word >> (8 * i));
}

std::uint64_t FromLittleEndian(const std::string& bytes, std::size_t at) {
  std::uint64_t word = 0;
  for (std::size_t i = 8; i-- > 0;) word = word << 8 | static_cast<unsigned char>(bytes[at + i]);
  return word;
}

std::string SampleToText(const std::vector<SampledValue>& sample) {
  std::string bytes;
  bytes.reserve(sample.size() * kSampledBytes);
  for (const SampledValue& value : sample) {
    AppendLittleEndian(value.hash, bytes);
    AppendLittleEndian(std::bit_cast<std::uint64_t>(value.value), bytes);
  }
  return Base64(bytes);
}

Status ReadSample(const std::string& text, std::vector<SampledValue>& to) {
  std::string bytes;
  if (!FromBase64(text, bytes) || bytes.size() % kSampledBytes != 0) return Corrupt("a sample is no list of values");
  for (std::size_t at = 0; at < bytes.size(); at += kSampledBytes) {
    to.push_back({FromLittleEndian(bytes, at), std::bit_cast<double>(FromLittleEndian(bytes, at + 8))});
    if (std::isnan(to.back().value)) return Corrupt("a sample holds what is no number");
  }
  if (!std::is_sorted(to.begin(), to.end())) return Corrupt("a sample is not in the order of its hashes");
  return {};
}

std::string Hex(std::uint64_t word) {
  char digits[17];
  const auto end = std::to_chars(digits, digits + sizeof digits, word, 16).ptr;
  return std::string(digits, end);
}

Status ReadCategories(const Json& json, std::vector<Category>& to) {
  for (const Json& entry : json) {
    const auto& hex = entry.at(0).get_ref<const std::string&>();
    Category category{.text = entry.at(1).get<std::string>(), .rows = entry.at(2).get<std::int64_t>()};
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), category.hash, 16);
    if (error != std::errc() || end != hex.data() + hex.size()) return Corrupt("the hash of a value is no number");
    if (category.rows < 1) return Corrupt("a value has no rows");
    if (!to.empty() && to.back().hash >= category.hash) return Corrupt("values are not in the order of their hashes");
    to.push_back(std::move(category));
  }
  return {};
}

nlohmann::ordered_json ToJson(const ColumnSummary& summary) {
  nlohmann::ordered_json categories = nlohmann::ordered_json::array();
  for (const Category& category : summary.categories) {
    categories.push_back(nlohmann::ordered_json::array({Hex(category.hash), category.text, category.rows}));
  }
  return {{"rows", summary.rows},     {"missing", summary.missing}, {"finite", summary.finite},
          {"min", summary.min},       {"max", summary.max},         {"mean", summary.mean},
          {"pooled", summary.pooled}, {"categories", categories},   {"sample", SampleToText(summary.sample)}};
}

Result<ColumnSummary> ColumnFromJson(const Json& json, const Column& column, std::int64_t rows) {
  ColumnSummary summary{.column = column, .rows = json.at("rows").get<std::int64_t>()};
  summary.missing = json.at("missing").get<std::int64_t>();
  summary.finite = json.at("finite").get<std::int64_t>();
  summary.min = json.at("min").get<double>();
  summary.max = json.at("max").get<double>();
  summary.mean = json.at("mean").get<double>();
  summary.pooled = json.at("pooled").get<std::int64_t>();
  RATCHET_TRY(ReadSample(json.at("sample").get<std::string>(), summary.sample));
  RATCHET_TRY(ReadCategories(json.at("categories"), summary.categories));
  const std::int64_t present = rows - summary.missing;
  const bool counts = summary.rows == rows && summary.missing >= 0 && present >= 0 && summary.finite >= 0 &&
                      summary.finite <= present && summary.pooled >= 0 && summary.pooled <= present &&
                      static_cast<std::int64_t>(summary.sample.size()) <= present;
  if (!counts) return Corrupt("the counts of a column contradict each other");
  return summary;
}

// Throws where the JSON has another shape.
Result<Summary> Read(const Json& json) {
  if (json.at("format") != 1) return Corrupt("its format is not 1");
  Summary summary{.rows = json.at("rows").get<std::int64_t>(), .columns = {}};
  const Json& columns = json.at("columns");
  if (columns.empty()) return summary;
  auto schema = SchemaFromJson(json.at("schema").dump());
  if (!schema) return Corrupt("its schema is not valid: " + schema.error().Message());
  if (schema->columns.size() != columns.size()) return Corrupt("it has not one column for each of its schema");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    RATCHET_ASSIGN(ColumnSummary column, ColumnFromJson(columns[i], schema->columns[i], summary.rows));
    if (column.sample.size() > SampleLimit(columns.size()) ||
        column.categories.size() > CategoryLimit(columns.size())) {
      return Corrupt("it is larger than a summary can be");
    }
    summary.columns.push_back(std::move(column));
  }
  return summary;
}

}  // namespace

std::string SummaryToJson(const Summary& summary) {
  nlohmann::ordered_json json{{"format", 1}, {"rows", summary.rows}};
  json["schema"] = nlohmann::ordered_json::parse(SchemaToJson(summary.schema()));
  json["columns"] = nlohmann::ordered_json::array();
  for (const ColumnSummary& column : summary.columns) json["columns"].push_back(ToJson(column));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Summary> SummaryFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Corrupt("it is no JSON");
  try {
    return Read(json);
  } catch (const Json::exception& exception) {
    return Corrupt(exception.what());
  }
}

}  // namespace ratchet::lake
