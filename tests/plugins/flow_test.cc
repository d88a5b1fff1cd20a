#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "lake/pack.h"
#include "plugins/sdk/step_recipe.h"

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3();

namespace ratchet::sdk {
namespace {

using lake::ColumnType;
using ::testing::HasSubstr;

class Flow : public ::testing::Test {
 protected:
  Flow() {
    folder_ = (std::filesystem::temp_directory_path() / "ratchet-flow-XXXXXX").string();
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    std::filesystem::create_directories(folder_ + "/out");
    context_.out_folder = folder_ + "/out";
    context_.outputs = {"joined.pack"};
    context_.params = nlohmann::json::object();
  }
  ~Flow() override { std::filesystem::remove_all(folder_); }

  void AddPack(const std::string& name, const lake::Schema& schema, const std::vector<lake::Row>& rows) {
    const auto path = folder_ + "/" + name;
    auto writer = lake::PackWriter::Create(path, schema).value();
    for (const auto& row : rows) EXPECT_TRUE(writer->Add(row).has_value());
    EXPECT_TRUE(writer->Finish().has_value());
    context_.inputs.push_back({name, path});
  }

  void AddParcels() {
    AddPack("data.train", {{{"id", ColumnType::kText, {}}, {"image", ColumnType::kBlob, {1, 1, 2}}}},
            {{std::string("a"), std::string("\1\2")}, {std::string("b"), std::string("\3\4")}});
    AddPack("labels.labels.pack", {{{"id", ColumnType::kText, {}}, {"label", ColumnType::kInteger, {}}}},
            {{std::string("b"), std::int64_t{7}}, {std::string("c"), std::int64_t{9}}});
  }

  Result<nlohmann::json> Run(const std::string& recipe) {
    for (const StepRecipe* step : ratchet_plugin_v3()->steps)
      if (step->Info().name == recipe) return step->Run(context_);
    return Fail(ErrorCode::kNotFound, "find", recipe, "none");
  }
  Result<nlohmann::json> Query(const std::string& query) {
    context_.params["query"] = query;
    return Run("flow.sql");
  }

  std::unique_ptr<lake::PackReader> Joined() { return lake::PackReader::Open({folder_ + "/out/joined.pack"}).value(); }

  std::string folder_;
  StepContext context_;
};

TEST_F(Flow, JoinsPacksAndKeepsTypesAndShapes) {
  AddParcels();
  const auto metrics = Query(
      "SELECT t.id, t.image, l.label, l.label / 2.0 AS half, upper(t.id) AS name FROM data_train.rows t "
      "LEFT JOIN labels_labels.rows l ON l.id = t.id ORDER BY t.id;");
  ASSERT_TRUE(metrics.has_value()) << metrics.error().Message();
  EXPECT_EQ((*metrics)["rows"], 2);
  const auto joined = Joined();
  const lake::Schema expected{{{"id", ColumnType::kText, {}},
                               {"image", ColumnType::kBlob, {1, 1, 2}},
                               {"label", ColumnType::kInteger, {}},
                               {"half", ColumnType::kReal, {}},
                               {"name", ColumnType::kText, {}}}};
  EXPECT_EQ(joined->schema(), expected);
  const lake::Row first{std::string("a"), std::string("\1\2"), {}, {}, std::string("A")};
  const lake::Row second{std::string("b"), std::string("\3\4"), std::int64_t{7}, 3.5, std::string("B")};
  EXPECT_EQ(joined->NextRow().value(), first);
  EXPECT_EQ(joined->NextRow().value(), second);
}

TEST_F(Flow, GivesTheSameBytesForTheSameQuery) {
  AddParcels();
  const auto bytes = [&] {
    std::filesystem::remove(folder_ + "/out/joined.pack");
    EXPECT_TRUE(Query("SELECT id, count(*) AS n FROM data_train.rows GROUP BY id").has_value());
    std::ifstream file(folder_ + "/out/joined.pack", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto first = bytes();
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(first, bytes());
}

TEST_F(Flow, RefusesAllButReading) {
  AddParcels();
  for (const char* query :
       {"DELETE FROM data_train.rows", "INSERT INTO data_train.rows(id) VALUES ('x') RETURNING id", "CREATE TABLE t(x)",
        "ATTACH '/etc/passwd' AS p", "PRAGMA data_train.table_info(rows)", "SELECT random() AS r",
        "SELECT load_extension('x') AS r", "SELECT 1 AS a; SELECT 2 AS b", "", "VACUUM"}) {
    const auto refused = Query(query);
    ASSERT_FALSE(refused.has_value()) << query;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid) << query;
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/out/joined.pack")) << query;
  }
}

TEST_F(Flow, DoesNotTellTheTime) {
  AddParcels();
  for (const char* query : {"SELECT current_timestamp AS t", "SELECT date('now') AS t", "SELECT unixepoch() AS t",
                            "SELECT id, julianday('now') AS t FROM data_train.rows"}) {
    const auto refused = Query(query);
    ASSERT_FALSE(refused.has_value()) << query;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid) << query;
  }
  std::filesystem::remove(folder_ + "/out/joined.pack");
  const auto told = Query("SELECT id, date('2026-01-31', '+1 day') AS t FROM data_train.rows");
  EXPECT_TRUE(told.has_value()) << told.error().Message();
}

TEST_F(Flow, TellsWhatIsWrongWithAQuery) {
  AddParcels();
  EXPECT_THAT(Query("SELECT prize FROM data_train.rows").error().Message(), HasSubstr("no such column: prize"));
  EXPECT_THAT(Query("SELECT CASE id WHEN 'a' THEN 1 ELSE 'x' END AS mixed FROM data_train.rows").error().Message(),
              HasSubstr("mixed"));
}

TEST_F(Flow, ReadsPacksOnly) {
  std::ofstream(folder_ + "/joined.csv") << "id,x\n1,2\n";
  context_.inputs = {{"join.joined.csv", folder_ + "/joined.csv"}};
  const auto refused = Query("SELECT 1 AS one");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().Message(), HasSubstr("packs only"));
}

TEST_F(Flow, PassesInputsOnByTheirPositions) {
  AddParcels();
  context_.outputs = {"x.pack", "y.pack"};
  ASSERT_TRUE(Run("flow.pass").has_value());
  EXPECT_EQ(lake::PackReader::Open({folder_ + "/out/x.pack"}).value()->schema().columns[1].name, "image");
  EXPECT_EQ(lake::PackReader::Open({folder_ + "/out/y.pack"}).value()->schema().columns[1].name, "label");
  context_.outputs = {"x.pack"};
  EXPECT_FALSE(Run("flow.pass").has_value());
}

TEST_F(Flow, DoesNothingWhereThereIsNothingToPassOn) {
  context_.outputs.clear();
  EXPECT_TRUE(Run("flow.pass").has_value());
}

}  // namespace
}  // namespace ratchet::sdk
