#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lake/manifest.h"
#include "registry/events.h"
#include "registry/holdout.h"
#include "tests/daemon/api_fixture.h"

// Worn holdout rows become training rows, over HTTP.
namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;

constexpr char kRotate[] = "/api/v1/datasets/toys/rotate-holdout";

class RotationApi : public ApiFixture {
 protected:
  void Epoch(const std::string& model, std::int64_t number, std::int64_t after, std::int64_t until) {
    ASSERT_TRUE(store_->Write([&](Db& db) {
      return registry::PutEpoch(db, {.dataset = "toys", .model = model, .number = number, .after_push = after, .until_push = until, .rows = 1, .opened_at = 1});
    }));
  }
  RawClient::Answer Rotate(const std::string& body, std::string_view headers = {}) { return Do("POST", kRotate, "application/json", body, headers); }
  lake::Manifest Manifest(std::int64_t version) {
    const std::string digest = Ok("GET", "/api/v1/datasets/toys/versions/" + std::to_string(version)).at("manifest");
    return lake::ManifestFromJson(blobs_->Read(digest).value()).value();
  }
};

TEST_F(RotationApi, RefusesWhatCannotBe) {
  EXPECT_EQ(Rotate("{}").status, 404) << "no dataset";
  PushToys();
  const auto unjudged = Rotate("{}");
  EXPECT_EQ(unjudged.status, 409);
  EXPECT_THAT(unjudged.body, HasSubstr("no candidate has been judged"));
  EXPECT_EQ(Rotate(R"({"model":"No Name"})").status, 400);
  EXPECT_EQ(Rotate(R"({"until":3})").status, 400);
  EXPECT_EQ(Rotate(R"({"current":"yes"})").status, 400);
  Epoch("m", 1, 0, 1);
  EXPECT_EQ(Rotate(R"({"model":"other"})").status, 404);
  const auto in_use = Rotate("{}");
  EXPECT_EQ(in_use.status, 409);
  EXPECT_THAT(in_use.body, HasSubstr("--current"));
  EXPECT_EQ(Ok("GET", "/api/v1/datasets/toys").at("latest_version"), 1);
  EXPECT_EQ(Ok("GET", "/api/v1/datasets/toys").at("spent_rows"), 0);
}

TEST_F(RotationApi, KeepsSealedWhatALaterPushHasSealedToo) {
  PushToys();
  Ok("POST", "/api/v1/datasets/toys/versions", "text/csv", ToysCsv(200));
  Epoch("m", 1, 0, 1);
  Epoch("m", 2, 1, 2);
  const Json before = Ok("GET", "/api/v1/datasets/toys");
  ASSERT_GT(before.at("spent_rows"), 0);
  const auto twins = Rotate("{}");
  EXPECT_EQ(twins.status, 409);
  EXPECT_THAT(twins.body, HasSubstr("stand in later pushes"));
  EXPECT_EQ(Rotate(R"({"current":true})").status, 409) << "nobody has looked at the current epoch";
  EXPECT_EQ(Ok("GET", "/api/v1/datasets/toys").at("latest_version"), 2);
}

TEST_F(RotationApi, DoesOnceWhatIsAskedTwice) {
  PushToys();
  std::string other = "id,size,label\n";
  for (int id = 1'000; id < 1'100; ++id) other += std::to_string(id) + ",0.5,1\n";
  Ok("POST", "/api/v1/datasets/toys/versions", "text/csv", other);
  Epoch("m", 1, 0, 1);
  Epoch("m", 2, 1, 2);
  const Json before = Ok("GET", "/api/v1/datasets/toys");
  const auto first = Rotate(R"({"reason":"worn out"})", "Idempotency-Key: once\r\n");
  ASSERT_EQ(first.status, 201) << first.body;
  const Json made = Json::parse(first.body);
  EXPECT_EQ(made["version"]["version"], 3);
  EXPECT_EQ(made["rows"], before["spent_rows"]);
  EXPECT_EQ(made["version"]["rows_added"]["train"], made["rows"]);
  EXPECT_EQ(made["version"]["rows_added"]["holdout"], -made["rows"].get<std::int64_t>());
  EXPECT_EQ(made["until_push"], 1);
  const auto again = Rotate(R"({"reason":"worn out"})", "Idempotency-Key: once\r\n");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(Ok("GET", "/api/v1/datasets/toys").at("latest_version"), 3);
  EXPECT_EQ(Rotate("{}").status, 409) << "there is nothing more to retire";
  EXPECT_TRUE(Manifest(3).retired);
  const Json audit = Ok("GET", "/api/v1/audit?limit=1");
  EXPECT_EQ(audit["items"][0]["action"], "dataset.rotate-holdout");
  EXPECT_THAT(audit["items"][0]["detail"].get<std::string>(), HasSubstr("worn out"));
  const auto events = store_->Read([](Db& db) -> Result<std::vector<registry::Event>> { return registry::EventsAfter(db, 0, 100); });
  EXPECT_EQ(events->back().type, "holdout.rotated");
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/staging"));
  // A push of the retired keys seals none of them.
  Ok("POST", "/api/v1/datasets/toys/versions", "text/csv", ToysCsv(100));
  for (const lake::Segment& segment : Manifest(4).segments) EXPECT_FALSE(segment.push == 4 && segment.split == lake::Split::kHoldout);
}

}  // namespace
}  // namespace ratchet::daemon
