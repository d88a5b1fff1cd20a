#include "daemon/api_handlers.h"
#include "daemon/decisions.h"
#include "daemon/report_page.h"
#include "daemon/shapes.h"
#include "daemon/version.h"
#include "registry/models.h"
#include "web/embedded.h"

namespace ratchet::daemon {
namespace {

constexpr int kMostLooks = 1000;  // of one model, told in a report

Json LookJson(const registry::NotedLook& noted) {
  return {{"epoch", noted.look.epoch}, {"look", noted.look.look}, {"version", noted.version}, {"verdict", noted.verdict},
          {"level", noted.look.alpha}, {"budget", noted.look.budget}, {"rows", noted.rows}, {"at", noted.at}};
}

// The ledger as it was when the decision had been taken, so that a report is the same whenever it is asked for.
Result<Json> LooksJson(Api& api, const registry::Version& version, const Json& decision) {
  Json looks = Json::array();
  const Json decided_at = decision.value("decided_at", Json());
  if (!decided_at.is_number_integer()) return looks;
  RATCHET_ASSIGN(const auto noted, api.store.Read([&](Db& db) -> Result<std::vector<registry::NotedLook>> {
    return registry::ListLooks(db, version.dataset, version.model, decided_at.get<std::int64_t>(), kMostLooks);
  }));
  for (const registry::NotedLook& look : noted) looks.push_back(LookJson(look));
  return looks;
}

// The version that the candidate was held against; null for a baseline.
Result<Json> OpponentJson(Api& api, const registry::Version& version) {
  if (!version.opponent_version) return Json();
  RATCHET_ASSIGN(const registry::Version opponent, api.store.Read([&](Db& db) {
    return registry::GetVersion(db, version.model, *version.opponent_version);
  }));
  return VersionJson(opponent, ManifestIn::kLeftOut);
}

std::string TextIn(const Json& decision, const char* name) {
  const Json text = decision.value(name, Json());
  return text.is_string() ? text.get<std::string>() : "";
}

}  // namespace

Result<Response> GetDecisionReport(Api& api, const Request& request) {
  const web::ReportTemplate page = web::DecisionReport();
  RATCHET_ASSIGN(const registry::Version version, AskedVersion(api, request));
  RATCHET_ASSIGN(Json decision, DecisionOf(api, version));
  if (page.html.empty())
    return Fail(ErrorCode::kNotFound, "make the report's page", "", "this ratchetd was built without its web page",
                "The same is in …/decision, as JSON");
  RATCHET_ASSIGN(Json looks, LooksJson(api, version, decision));
  RATCHET_ASSIGN(Json opponent, OpponentJson(api, version));
  const std::string name = version.model + "@" + std::to_string(version.version);
  const std::string verdict = TextIn(decision, "verdict");
  const ReportWords words{.title = name + ": " + verdict, .heading = name + ": " + verdict, .summary = TextIn(decision, "reason")};
  RATCHET_ASSIGN(std::string html, FilledReport(page.html, words, {{"ratchet", kVersion},
                                                                   {"decision", std::move(decision)},
                                                                   {"version", VersionJson(version, ManifestIn::kIncluded)},
                                                                   {"opponent", std::move(opponent)},
                                                                   {"scores", version.scores ? Json(*version.scores) : Json()},
                                                                   {"looks", std::move(looks)}}));
  const std::string file = version.model + "-" + std::to_string(version.version) + "-decision.html";
  return Response{.content_type = "text/html; charset=utf-8",
                  .body = std::move(html),
                  .headers = {{"Content-Disposition", "inline; filename=\"" + file + "\""},
                              {"Cache-Control", "no-cache"},
                              {"Content-Security-Policy", std::string(page.policy) + "; frame-ancestors 'none'"},
                              {"Referrer-Policy", "no-referrer"}}};
}

}  // namespace ratchet::daemon
