#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lake/ingest.h"
#include "lake/pack.h"

namespace ratchet::lake {

inline constexpr std::monostate kMissing;

// A folder of its own for each test, gone with it.
class LakeTest : public ::testing::Test {
 protected:
  LakeTest() {
    std::string name = (std::filesystem::temp_directory_path() / "lake-test-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~LakeTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  bool StagingIsEmpty() const { return std::filesystem::is_empty(folder_); }

  // Writes a pack and returns its path.
  std::string WritePack(const std::string& name, const Schema& schema, const std::vector<Row>& rows) {
    auto writer = PackWriter::Create(Path(name), schema);
    EXPECT_TRUE(writer.has_value());
    for (const Row& row : rows) {
      auto added = (*writer)->Add(row);
      EXPECT_TRUE(added.has_value()) << added.error().Message();
    }
    EXPECT_TRUE((*writer)->Finish().has_value());
    return Path(name);
  }

  static std::vector<Row> ReadAll(const std::vector<std::string>& paths, std::vector<std::string> columns = {}) {
    auto reader = PackReader::Open(paths, std::move(columns));
    EXPECT_TRUE(reader.has_value()) << reader.error().Message();
    std::vector<Row> rows;
    while (reader) {
      auto row = (*reader)->NextRow();
      EXPECT_TRUE(row.has_value());
      if (!row || !*row) break;
      rows.push_back(std::move(**row));
    }
    return rows;
  }

  // All rows into `train`, so that a test sees them in their order.
  IngestOptions OneSplit(BodyFormat format, std::optional<Schema> schema = std::nullopt) const {
    return {.format = format,
            .schema = std::move(schema),
            .split = {.validation = 0, .holdout = 0, .key = std::nullopt},
            .staging = folder_};
  }

  struct Pushed {
    Schema schema;
    std::vector<Row> rows;
    Error error;
  };

  Pushed Push(std::string_view body, IngestOptions options) {
    auto ingest = Ingest::Start(std::move(options));
    if (!ingest) return {.error = ingest.error()};
    auto fed = (*ingest)->Feed(body);
    auto result = (*ingest)->Finish();
    if (!result) {
      // What Feed refuses, Finish refuses in the same words.
      if (!fed) {
        EXPECT_EQ(fed.error().Message(), result.error().Message());
      }
      return {.error = result.error()};
    }
    EXPECT_EQ(result->packs.size(), 1u);
    return {.schema = result->schema, .rows = ReadAll({result->packs[0].path}), .error = {}};
  }

  std::string folder_;
};

inline std::string ReadBytes(const std::string& path) {
  FILE* file = fopen(path.c_str(), "rb");
  std::string bytes;
  char buffer[65536];
  for (size_t got; file != nullptr && (got = fread(buffer, 1, sizeof buffer, file)) > 0;) bytes.append(buffer, got);
  if (file != nullptr) fclose(file);
  return bytes;
}

inline void WriteBytes(const std::string& path, std::string_view bytes) {
  FILE* file = fopen(path.c_str(), "wb");
  fwrite(bytes.data(), 1, bytes.size(), file);
  fclose(file);
}

}  // namespace ratchet::lake
