#include "daemon/report_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "registry/holdout.h"
#include "registry/models.h"
#include "tests/daemon/api_fixture.h"
#include "web/embedded.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTemplate[] = "<title>@TITLE@</title><h1>@HEADING@</h1><p>@SUMMARY@</p><script type=x>@DATA@</script><script>@</script>";
// All that could end a script element, a title or an attribute, or open another.
constexpr char kHostile[] = "</script><script>alert(1)</script><!-- & \"quoted\" 'x' @DATA@ @SUMMARY@ \xe2\x80\xa8";

// What stands in the page between two marks.
std::string Between(const std::string& page, const std::string& before, const std::string& after) {
  const size_t from = page.find(before) + before.size();
  return page.substr(from, page.find(after, from) - from);
}

TEST(HtmlText, LeavesNoSignThatMeansSomethingToHtml) {
  EXPECT_EQ(HtmlText("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(HtmlText("zwölf → α"), "zwölf → α");
  EXPECT_EQ(HtmlText(""), "");
}

TEST(ScriptJson, CannotEndAScriptAndReadsAsItWas) {
  const nlohmann::json data = {{"</script>", {"<!--<script>", "a & b", "\u2028", 0.1, nullptr}}};
  const std::string text = ScriptJson(data);
  EXPECT_EQ(text.find_first_of("<>&"), std::string::npos) << text;
  EXPECT_EQ(nlohmann::json::parse(text), data);
}

TEST(ScriptJson, MakesTextOfBytesThatAreNone) {
  EXPECT_EQ(nlohmann::json::parse(ScriptJson("a\xff z")), "a\ufffd z");
}

TEST(FilledReport, PutsEachPartInItsPlaceAndFillsNoPlaceThatAPartBrought) {
  const auto page = FilledReport(kTemplate, {.title = "@DATA@", .heading = kHostile, .summary = "@DATA@"}, {{"name", kHostile}});
  ASSERT_TRUE(page) << page.error().Message();
  EXPECT_THAT(*page, HasSubstr("<title>@DATA@</title>"));
  EXPECT_THAT(*page, HasSubstr("<p>@DATA@</p>"));
  EXPECT_THAT(*page, HasSubstr("<h1>&lt;/script&gt;&lt;script&gt;alert(1)"));
  EXPECT_THAT(*page, Not(HasSubstr("<script>alert")));
  const auto read = nlohmann::json::parse(Between(*page, "<script type=x>", "</script>"));
  EXPECT_THAT(read.at("name").get<std::string>(), HasSubstr("</script><script>alert(1)</script><!-- & \"quoted\" 'x' @DATA@"));
  EXPECT_TRUE(page->ends_with("</script><script>@</script>"));
}

TEST(FilledReport, RefusesATemplateThatLacksAPlace) {
  const auto page = FilledReport("<title>@TITLE@</title>@DATA@", {}, {});
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::kInternal);
  EXPECT_THAT(page.error().Message(), HasSubstr("@HEADING@"));
}

// The report's route on a real registry. Without the page there is nothing to fill in.
class ReportRouteTest : public ApiFixture {
 protected:
  void SetUp() override {
    if (web::DecisionReport().html.empty()) GTEST_SKIP() << "built without the web page";
    ApplyToys();
    PushToys();
    version_ = MakePassedVersion("weights");
  }

  RawClient::Answer Report() { return Do("GET", "/api/v1/models/toys/versions/" + std::to_string(version_) + "/decision/report"); }
  Json DataOf(const RawClient::Answer& answer) {
    return Json::parse(Between(answer.body, "<script type=\"application/json\" id=\"data\">", "</script>"), nullptr, false);
  }
  // Decides anew, as look `look` at epoch 1, at the time `at`.
  void Decide(Json report, std::int64_t look, std::int64_t at) {
    report["decided_at"] = at;
    const auto recorded = store_->Write([&](Db& db) -> Status {
      if (look == 1) RATCHET_TRY(registry::PutEpoch(db, {.dataset = "toys", .model = "toys", .number = 1, .until_push = 1, .rows = 20, .opened_at = 1}));
      return registry::RecordDecision(db, at, "toys", version_,
                                      {.report = report, .verdict = "better", .score = 0.9, .opponent = 0.5, .opponent_kind = "majority", .rows = 20,
                                       .scores = std::string(64, 'c'), .promotes = true,
                                       .look = registry::HoldoutLook{.epoch = 1, .look = look, .alpha = 0.03 / static_cast<double>(look), .budget = 0.05}});
    });
    ASSERT_TRUE(recorded) << recorded.error().Message();
  }

  std::int64_t version_ = 0;
};

TEST_F(ReportRouteTest, IsOneFileThatObeysItsOwnScriptOnly) {
  const auto answer = Report();
  ASSERT_EQ(answer.status, 200) << answer.body.substr(0, 500);
  EXPECT_EQ(answer.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(answer.headers.at("content-disposition"), "inline; filename=\"toys-1-decision.html\"");
  const std::string policy = answer.headers.at("content-security-policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(answer.body, HasSubstr(std::string(web::DecisionReport().policy)));
  for (const char* outside : {"src=\"", "url(", "@import", "@SCRIPT@", "@DATA@"}) EXPECT_THAT(answer.body, Not(HasSubstr(outside))) << outside;
}

// As the fixture's, and those of the first releases: hardly more than a verdict.
TEST_F(ReportRouteTest, HoldsAnOldDecisionThatLacksMostParts) {
  const Json data = DataOf(Report());
  ASSERT_TRUE(data.is_object());
  EXPECT_EQ(data.at("decision"), Json({{"verdict", "better"}}));
  EXPECT_EQ(data.at("version").at("version"), 1);
  EXPECT_TRUE(data.at("version").contains("manifest"));
  EXPECT_EQ(data.at("looks"), Json::array());
  EXPECT_TRUE(data.at("opponent").is_null());
}

TEST_F(ReportRouteTest, TellsTheLooksUpToItsDecisionAndNoneOfLater) {
  Decide({{"verdict", "better"}}, 1, 1000);
  Decide({{"verdict", "better"}}, 2, 2000);
  EXPECT_EQ(DataOf(Report()).at("looks").size(), 2);
  const Json last = DataOf(Report()).at("looks").at(1);
  EXPECT_EQ(last, Json({{"epoch", 1}, {"look", 2}, {"version", 1}, {"verdict", "better"}, {"level", 0.015}, {"budget", 0.05}, {"rows", 20}, {"at", 2000}}));
  const auto earlier = store_->Read([](Db& db) -> Result<std::vector<registry::NotedLook>> { return registry::ListLooks(db, "toys", "toys", 1999, 10); });
  ASSERT_TRUE(earlier);
  EXPECT_EQ(earlier->size(), 1u);
  const auto latest = store_->Read([](Db& db) -> Result<std::vector<registry::NotedLook>> { return registry::ListLooks(db, "toys", "toys", 9999, 1); });
  ASSERT_EQ(latest->size(), 1u);
  EXPECT_EQ(latest->front().look.look, 2);
  EXPECT_EQ(DataOf(Report()).at("scores"), std::string(64, 'c'));
}

TEST_F(ReportRouteTest, KeepsHostileNamesAndReasonsText) {
  Decide({{"verdict", "better"}, {"reason", kHostile}, {"class_report", {{"classes", {kHostile}}}}}, 1, 1000);
  const auto answer = Report();
  ASSERT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(answer.body, HasSubstr("<p>&lt;/script&gt;&lt;script&gt;alert(1)"));
  EXPECT_THAT(DataOf(answer).at("decision").at("class_report").at("classes").at(0).get<std::string>(), HasSubstr("</script><script>alert(1)</script>"));
}

TEST_F(ReportRouteTest, FindsNoReportOfWhatIsNotThere) {
  EXPECT_EQ(Do("GET", "/api/v1/models/toys/versions/9/decision/report").status, 404);
  EXPECT_EQ(Do("GET", "/api/v1/models/none/versions/1/decision/report").status, 404);
}

}  // namespace
}  // namespace ratchet::daemon
