#include <sqlite3.h>

#include <algorithm>
#include <string_view>

#include "lake/pack.h"
#include "plugins/flow/flow.h"
#include "plugins/flow/sql_result.h"

namespace ratchet::flow {
namespace {

std::string SchemaName(std::string name) {
  constexpr std::string_view kSuffix = ".pack";
  if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
  std::ranges::replace_if(
      name,
      [](char c) { return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'); },
      '_');
  return name;
}

// A query may read, compute and recurse; all else, ATTACH and PRAGMA too, is refused. load_extension is off as it is.
int AllowReading(void*, int action, const char*, const char* function, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      // These name other files, or differ from run to run.
      for (const char* refused : {"load_extension", "readfile", "writefile", "random", "randomblob"})
        if (function != nullptr && sqlite3_stricmp(function, refused) == 0) return SQLITE_DENY;
      return SQLITE_OK;
    default:
      return SQLITE_DENY;
  }
}

// What time it is differs from run to run, while a result may be kept and given again: the clock that the query sees
// fails, and remembers that it was asked.
bool g_asked_the_time = false;

const char* TimelessVfs() {
  static sqlite3_vfs timeless = [] {
    sqlite3_vfs copy = *sqlite3_vfs_find(nullptr);
    copy.zName = "ratchet-timeless";
    copy.xCurrentTimeInt64 = [](sqlite3_vfs*, sqlite3_int64*) {
      g_asked_the_time = true;
      return SQLITE_ERROR;
    };
    return copy;
  }();
  static const int registered = sqlite3_vfs_register(&timeless, 0);
  return registered == SQLITE_OK ? timeless.zName : nullptr;
}

std::string Address(const std::string& path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string address = "file:";
  for (const unsigned char c : path) {
    const bool plain = c > ' ' && c < 127 && c != '%' && c != '?' && c != '#';
    if (plain) address += static_cast<char>(c);
    if (!plain) address += {'%', kDigits[c >> 4], kDigits[c & 15]};
  }
  return address + "?mode=ro&immutable=1";
}

Status Attach(sqlite3* database, const std::string& path, const std::string& schema) {
  sqlite3_stmt* raw = nullptr;
  sqlite3_prepare_v2(database, "ATTACH ?1 AS ?2", -1, &raw, nullptr);
  const Statement attach(raw);
  const auto address = Address(path);
  sqlite3_bind_text(raw, 1, address.data(), static_cast<int>(address.size()), SQLITE_STATIC);
  sqlite3_bind_text(raw, 2, schema.data(), static_cast<int>(schema.size()), SQLITE_STATIC);
  if (sqlite3_step(raw) == SQLITE_DONE) return {};
  return Fail(ErrorCode::kInvalid, "read input", schema, sqlite3_errmsg(database));
}

Result<Database> OpenInputs(const sdk::StepContext& context, InputSchemas& inputs) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(":memory:", &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, TimelessVfs());
  Database database(raw);
  if (code != SQLITE_OK) return Fail(ErrorCode::kInternal, "open", "SQLite", sqlite3_errstr(code));
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  for (const auto& input : context.inputs) {
    const auto name = SchemaName(input.name);
    auto reader = lake::PackReader::Open({input.path});
    if (!reader)
      return Fail(ErrorCode::kInvalid, "read input", input.name, reader.error().Message(),
                  "flow.sql reads packs only.");
    if (!inputs.emplace(name, (*reader)->schema()).second)
      return Fail(ErrorCode::kInvalid, "name input", input.name, "another input is read as " + name + " too");
    RATCHET_TRY(Attach(raw, input.path, name));
  }
  sqlite3_set_authorizer(raw, AllowReading, nullptr);
  return database;
}

}  // namespace

Result<nlohmann::json> Sql::Run(const sdk::StepContext& context) const {
  if (context.outputs.size() != 1)
    return Fail(ErrorCode::kInvalid, "run", info_.name, "it makes just one output", "Name one output: [joined.pack].");
  const auto text = context.params.at("query").get<std::string>();
  InputSchemas inputs;
  g_asked_the_time = false;
  RATCHET_ASSIGN(const auto database, OpenInputs(context, inputs));
  sqlite3_stmt* raw = nullptr;
  const char* rest = nullptr;
  if (sqlite3_prepare_v2(database.get(), text.c_str(), -1, &raw, &rest) != SQLITE_OK)
    return QueryFailed(database.get());
  const Statement query(raw);
  if (raw == nullptr || sqlite3_column_count(raw) == 0)
    return Fail(ErrorCode::kInvalid, "run", info_.name, "params.query is no SELECT", "Write one SELECT.");
  if (std::string_view(rest).find_first_not_of(" \t\r\n;") != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "run", info_.name, "params.query holds more than one statement",
                "Write one SELECT; WITH gives names to parts of it.");
  const auto schema = ResultSchema(database.get(), raw, inputs);
  Result<std::int64_t> rows = 0;
  if (schema) rows = WriteResultPack(database.get(), raw, *schema, context.out_folder + "/" + context.outputs[0]);
  if (g_asked_the_time)  // says more than what came of its having no answer
    return Fail(ErrorCode::kInvalid, "run", info_.name, "the query asks what time it is, which no second run answers alike",
                "Give the time as a literal, or keep it as a column of the data.");
  if (!schema) return std::unexpected(schema.error());
  if (!rows) return std::unexpected(rows.error());
  return nlohmann::json{{"rows", *rows}};
}

}  // namespace ratchet::flow
