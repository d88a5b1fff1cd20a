#include "lake/preview.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lake/base64.h"

namespace ratchet::lake {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t SizeOf(const Row& row) {
  std::int64_t bytes = 0;
  for (const Value& value : row) {
    auto* text = std::get_if<std::string>(&value);
    bytes += text != nullptr ? static_cast<std::int64_t>(text->size()) : 8;
  }
  return bytes;
}

Json CellJson(const Column& column, const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (auto* real = std::get_if<double>(&value)) return *real;
  auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return nullptr;
  return column.type == ColumnType::kBlob ? Base64(*text) : *text;
}

}  // namespace

Result<Preview> PreviewRows(const std::vector<std::string>& paths, std::int64_t after, std::int64_t limit) {
  if (after < 0 || limit < 1 || limit > kMaxPreviewRows) {
    return Fail(ErrorCode::kInvalid, "preview rows", "", "the page is not valid",
                "Ask for 1 to " + std::to_string(kMaxPreviewRows) + " rows after row 0 or a later one");
  }
  RATCHET_ASSIGN(auto reader, PackReader::Open(paths));
  RATCHET_TRY(reader->Skip(std::min(after, reader->rows())));
  Preview preview{.schema = reader->schema()};
  std::int64_t bytes = 0;
  while (static_cast<std::int64_t>(preview.rows.size()) < limit && bytes < kMaxPreviewBytes) {
    RATCHET_ASSIGN(std::optional<Row> row, reader->NextRow());
    if (!row) return preview;
    bytes += SizeOf(*row);
    preview.rows.push_back(std::move(*row));
  }
  const std::int64_t read = after + static_cast<std::int64_t>(preview.rows.size());
  if (read < reader->rows()) preview.next = read;
  return preview;
}

std::string PreviewToJson(const Preview& preview) {
  Json json{{"columns", Json::array()}, {"items", Json::array()}};
  for (const Column& column : preview.schema.columns) json["columns"].push_back(column.name);
  for (const Row& row : preview.rows) {
    Json item = Json::array();
    for (std::size_t i = 0; i < row.size(); ++i) item.push_back(CellJson(preview.schema.columns[i], row[i]));
    json["items"].push_back(std::move(item));
  }
  json["next"] = preview.next ? Json(std::to_string(*preview.next)) : Json(nullptr);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ratchet::lake
