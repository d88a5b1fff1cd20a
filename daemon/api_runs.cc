#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/run_detail.h"
#include "daemon/shapes.h"
#include "daemon/timeline.h"
#include "daemon/trials.h"
#include "pipeline/graph.h"
#include "registry/events.h"
#include "registry/run_views.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

Result<registry::Run> LoadRun(Api& api, std::int64_t id) {
  return api.store.Read([&](Db& db) { return registry::GetRun(db, id); });
}

Status CheckRunState(const std::string& state) {
  if (registry::StateFromName<registry::RunState>(state)) return {};
  Error error{.code = ErrorCode::kInvalid,
              .operation = "read",
              .subject = "state",
              .cause = Quoted(state) + " is no state of a run",
              .hint = "Use queued, running, succeeded, failed or cancelled"};
  error.field = "state";
  return std::unexpected(std::move(error));
}

// What the run's recipe is measured by, as far as the worker says.
std::string RecipeMetric(Api& api, const registry::Run& run) {
  const Json train = run.spec.is_object() ? run.spec.value("train", Json::object()) : Json::object();
  for (const Json& recipe : api.worker().value("recipes", Json::array()))
    if (recipe.value("name", Json()) == train.value("recipe", Json(""))) return recipe.value("metric", "");
  return {};
}

}  // namespace

Result<Response> ListRuns(Api& api, const Request& request) {
  RATCHET_ASSIGN(const PageQuery query, ReadNumberedPageQuery(request));
  registry::RunFilter filter{.pipeline = request.Query("pipeline"), .state = request.Query("state")};
  if (filter.state) RATCHET_TRY(CheckRunState(*filter.state));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Run>> {
    return registry::ListRuns(db, filter, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, [&](const registry::Run& run) { return RunJson(run, api.data_dir); }));
}

Result<Response> GetRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, LoadRun(api, id));
  return JsonResponse(RunDetailJson(api, run));
}

Result<Response> CancelRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, api.store.Write([&](Db& db) {
    return registry::AskCancel(db, api.store.NowUs(), request.actor, id);
  }));
  return JsonResponse(RunDetailJson(api, run));
}

Result<Response> RetryRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run,
                 api.store.Write([&](Db& db) { return registry::RetryRun(db, api.store.NowUs(), request.actor, id); }));
  return JsonResponse(RunDetailJson(api, run));
}

Result<Response> GetRunTimeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, LoadRun(api, id));
  auto elsewhere = api.store.Read(
      [&](Db& db) -> Result<std::vector<registry::BusySpan>> { return registry::BusyElsewhere(db, run); });
  if (!elsewhere) return std::unexpected(elsewhere.error());
  return JsonResponse(TimelineJson(run, *elsewhere, api.store.NowUs()));
}

Result<Response> GetRunTrials(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const registry::Run run, LoadRun(api, id));
  return JsonResponse(TrialsJson(run, api.data_dir, RecipeMetric(api, run)));
}

Result<Response> ReproduceRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::int64_t id, NumberParam(request, "id", "run"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"reason"}));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  return WriteOnce(api, request, Sha256Hex(request.path + "\n" + request.body), [&](Db& db) -> Result<Json> {
    RATCHET_ASSIGN(const registry::Run first, registry::GetRun(db, id));
    const registry::Step* train = first.FindStep("train");
    if (!train || train->state != registry::StepState::kSucceeded)
      return Fail(ErrorCode::kConflict, "reproduce run", std::to_string(id), "its training has not succeeded, so there is nothing to compare with",
                  "`ratchet run retry " + std::to_string(id) + "` goes on with a run that failed");
    RATCHET_ASSIGN(const pipeline::Spec spec, pipeline::SpecFromJson(first.spec));
    const std::string detail = "run " + std::to_string(id) + (reason ? ": " + *reason : "");
    registry::RunInput input{.pipeline = first.pipeline,
                             .reason = {{"kind", "reproduce"}, {"detail", detail}},
                             .overrides = first.overrides,
                             .spec = first.spec,
                             .steps = pipeline::PlanReproduction(spec, first),
                             .priority = first.priority,
                             .deadline_s = first.deadline_s,
                             .fresh = true,
                             .reproduces = id};
    RATCHET_ASSIGN(const registry::Run run, registry::CreateRun(db, api.store.NowUs(), input));
    registry::AppendAudit(db, api.store.NowUs(), request.actor, "run.reproduce", std::to_string(id), "run " + std::to_string(run.id));
    return RunJson(run, api.data_dir);
  });
}

}  // namespace ratchet::daemon
