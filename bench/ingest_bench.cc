// How fast a push becomes adopted-ready packs, against SQLite's own bulk insert of the same rows.
//
// Ours: bytes fed in pieces as from a socket, checked as hostile, dealt out to three packs, each synced and digested.
// Baseline: the same rows, already in memory and typed, inserted into one file in one transaction with the same pragmas
// (no journal, synchronous off, exclusive, same page size), then fsync. Median of some repetitions, both in turn.
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "lake/ingest.h"
#include "lake/pack.h"

namespace {

using namespace ratchet::lake;

constexpr std::int64_t kPhotos = 60'000;
constexpr std::int64_t kTableRows = 200'000;
constexpr int kRepetitions = 7;
constexpr std::size_t kPieceBytes = 64 << 10;

struct Data {
  const char* name;
  Schema schema;
  std::vector<Row> rows;
  BodyFormat format;
  std::string body;
};

Data Photos(const std::string& folder) {
  Data data{"photos: id, [1,28,28] blob, label; as a pack"};
  data.schema = {
      {{"id", ColumnType::kText}, {"image", ColumnType::kBlob, {1, 28, 28}}, {"label", ColumnType::kInteger}}};
  std::mt19937_64 random(1);
  auto writer = PackWriter::Create(folder + "/photos.pack", data.schema);
  for (std::int64_t i = 0; i < kPhotos; ++i) {
    std::string image(784, '\0');
    for (char& pixel : image) pixel = static_cast<char>(random());
    data.rows.push_back({"p" + std::to_string(i), std::move(image), static_cast<std::int64_t>(random() % 10)});
    if (!(*writer)->Add(data.rows.back())) std::exit(1);
  }
  if (!(*writer)->Finish()) std::exit(1);
  std::ifstream file(folder + "/photos.pack", std::ios::binary);
  data.format = BodyFormat::kPack;
  data.body.assign(std::istreambuf_iterator<char>(file), {});
  return data;
}

std::string ValueText(const Value& value, const char* quote) {
  if (auto* text = std::get_if<std::string>(&value)) return quote + *text + quote;
  if (auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  char digits[64];
  std::snprintf(digits, sizeof digits, "%.10f", std::get<double>(value));
  return digits;
}

Data Table(BodyFormat format) {
  const bool csv = format == BodyFormat::kCsv;
  Data data{csv ? "table: id, 8 reals, 4 integers, text; as CSV" : "the same table; as JSON Lines"};
  data.format = format;
  std::vector<Column> columns{{"id", ColumnType::kText}};
  for (int i = 0; i < 8; ++i) columns.push_back({"x" + std::to_string(i), ColumnType::kReal});
  for (int i = 0; i < 4; ++i) columns.push_back({"n" + std::to_string(i), ColumnType::kInteger});
  columns.push_back({"kind", ColumnType::kText});
  data.schema = {columns};
  if (csv) {
    for (const Column& column : columns) data.body += (data.body.empty() ? "" : ",") + column.name;
    data.body += "\n";
  }
  std::mt19937_64 random(2);
  const char* kinds[] = {"red", "green", "blue", "a longer kind of thing"};
  for (std::int64_t i = 0; i < kTableRows; ++i) {
    Row row(columns.size());
    row[0] = "k" + std::to_string(i);
    for (std::size_t c = 1; c < 9; ++c) row[c] = static_cast<double>(random() % 1'000'000) / 1024;
    for (std::size_t c = 9; c < 13; ++c) row[c] = static_cast<std::int64_t>(random() % 100'000);
    row[13] = std::string(kinds[random() % 4]);
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string text = ValueText(row[c], csv ? "" : "\"");
      data.body += csv ? (c == 0 ? "" : ",") + text : (c == 0 ? "{\"" : ",\"") + columns[c].name + "\":" + text;
    }
    data.body += csv ? "\n" : "}\n";
    data.rows.push_back(std::move(row));
  }
  return data;
}

double Seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Ingest3(const Data& data, const std::string& folder) {
  auto ingest = Ingest::Start(
      {.format = data.format, .split = {.validation = 0.1, .holdout = 0.2, .key = "id"}, .staging = folder});
  for (std::size_t at = 0; at < data.body.size(); at += kPieceBytes) {
    if (!(*ingest)->Feed(std::string_view(data.body).substr(at, kPieceBytes))) std::exit(1);
  }
  auto result = (*ingest)->Finish();
  if (!result || result->rows != static_cast<std::int64_t>(data.rows.size()) || result->packs.size() != 3) std::exit(1);
}

void BindValue(sqlite3_stmt* insert, int at, const Value& value, bool blob) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) sqlite3_bind_int64(insert, at, *integer);
  if (auto* real = std::get_if<double>(&value)) sqlite3_bind_double(insert, at, *real);
  if (auto* text = std::get_if<std::string>(&value)) {
    if (blob) sqlite3_bind_blob64(insert, at, text->data(), text->size(), SQLITE_STATIC);
    if (!blob) sqlite3_bind_text64(insert, at, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
}

void BulkInsert(const Data& data, const std::string& path) {
  std::filesystem::remove(path);
  sqlite3* database = nullptr;
  sqlite3_open(path.c_str(), &database);
  std::string create = "CREATE TABLE rows(row INTEGER PRIMARY KEY", insert_sql = "INSERT INTO rows VALUES(?";
  for (const Column& column : data.schema.columns) {
    create += ", \"" + column.name + "\" " + std::string(ColumnTypeName(column.type));
    insert_sql += ",?";
  }
  sqlite3_exec(
      database,
      ("PRAGMA page_size=8192; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; "
       "PRAGMA cache_size=-4096; BEGIN; " +
       create + ") STRICT")
          .c_str(),
      nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(database, (insert_sql + ")").c_str(), -1, &insert, nullptr);
  for (const Row& row : data.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      BindValue(insert, static_cast<int>(c) + 2, row[c], data.schema.columns[c].type == ColumnType::kBlob);
    }
    if (sqlite3_step(insert) != SQLITE_DONE) std::exit(1);
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  if (sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK) std::exit(1);
  sqlite3_close(database);
  const int fd = open(path.c_str(), O_RDONLY);
  fsync(fd);
  close(fd);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Compare(const Data& data, const std::string& folder) {
  std::vector<double> ours, baseline;
  for (int i = 0; i < kRepetitions; ++i) {
    baseline.push_back(Seconds([&] { BulkInsert(data, folder + "/bulk.db"); }));
    ours.push_back(Seconds([&] { Ingest3(data, folder); }));
  }
  const double rows = static_cast<double>(data.rows.size()), megabytes = static_cast<double>(data.body.size()) / 1e6;
  std::printf("| %s | %.0f | %.0f MB | %.0f | %.0f | %.2f |\n", data.name, rows, megabytes, rows / Median(ours),
              rows / Median(baseline), Median(baseline) / Median(ours));
  std::fflush(stdout);
}

}  // namespace

// ingest_bench [FOLDER]: works in a folder of its own inside FOLDER (default: the system's temporary folder).
int main(int argc, char** argv) {
  std::string folder =
      std::string(argc > 1 ? argv[1] : std::filesystem::temp_directory_path().c_str()) + "/bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  std::puts("| data | rows | body | ingest rows/s | SQLite bulk insert rows/s | ratio |");
  std::puts("| --- | ---: | ---: | ---: | ---: | ---: |");
  Compare(Photos(folder), folder);
  Compare(Table(BodyFormat::kCsv), folder);
  Compare(Table(BodyFormat::kJsonLines), folder);
  std::filesystem::remove_all(folder);
  return 0;
}
