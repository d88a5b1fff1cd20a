#include "lake/schema.h"

#include <gtest/gtest.h>

namespace ratchet::lake {
namespace {

TEST(Schema, RoundTripsThroughJson) {
  Schema schema{{{"id", ColumnType::kText},
                 {"image", ColumnType::kBlob, {1, 28, 28}},
                 {"label", ColumnType::kInteger},
                 {"größe \"x\"", ColumnType::kReal}}};
  auto read = SchemaFromJson(SchemaToJson(schema));
  ASSERT_TRUE(read.has_value()) << read.error().Message();
  EXPECT_EQ(*read, schema);
}

TEST(Schema, WritesTheFormOfTheFormatsPage) {
  Schema schema{{{"id", ColumnType::kText}, {"image", ColumnType::kBlob, {1, 28, 28}}}};
  EXPECT_EQ(SchemaToJson(schema), R"([{"name":"id","type":"text"},{"name":"image","type":"blob","shape":[1,28,28]}])");
}

TEST(Schema, RefusesWhatIsNoSchema) {
  for (const char* bad :
       {"", "{", "{}", "[]", "[1]", R"([{"name":"a"}])", R"([{"name":1,"type":"text"}])",
        R"([{"name":"a","type":"bool"}])", R"([{"name":"","type":"text"}])", R"([{"name":"row","type":"text"}])",
        R"([{"name":"ROW","type":"text"}])", R"([{"name":"a","type":"text"},{"name":"A","type":"real"}])",
        R"([{"name":"a\nb","type":"text"}])", R"([{"name":"a","type":"text","shape":[1]}])",
        R"([{"name":"a","type":"blob","shape":[0]}])", R"([{"name":"a","type":"blob","shape":[-1,-1]}])",
        R"([{"name":"a","type":"blob","shape":["x"]}])",
        R"([{"name":"a","type":"blob","shape":[4294967296,4294967296]}])"}) {
    EXPECT_FALSE(SchemaFromJson(bad).has_value()) << bad;
  }
}

TEST(Schema, RefusesMoreColumnsThanATableHolds) {
  Schema schema;
  for (std::size_t i = 0; i < kMaxColumns; ++i) schema.columns.push_back({"c" + std::to_string(i)});
  EXPECT_TRUE(CheckSchema(schema).has_value());
  schema.columns.push_back({"one more"});
  EXPECT_FALSE(CheckSchema(schema).has_value());
}

TEST(Schema, RefusesALongName) {
  EXPECT_TRUE(CheckSchema({{{std::string(128, 'a')}}}).has_value());
  EXPECT_FALSE(CheckSchema({{{std::string(129, 'a')}}}).has_value());
}

}  // namespace
}  // namespace ratchet::lake
