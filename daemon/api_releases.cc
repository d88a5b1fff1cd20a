#include <algorithm>
#include <chrono>
#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/shapes.h"
#include "registry/models.h"
#include "registry/pipelines.h"
#include "registry/release_steps.h"

namespace ratchet::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kReleaseWaitUs = 130'000'000;  // a little over the time that replicas get to load a version
constexpr std::int64_t kConfirmWaitMs = 15'000;
constexpr std::int64_t kSyncHoldUs = 20'000'000;
constexpr std::int64_t kCountingHoldUs = 1'000'000;
constexpr size_t kMaxReplicaIdBytes = 128;
constexpr size_t kMaxFollowed = 1000;  // models that a replica names

Result<registry::Release> LoadRelease(Api& api, std::int64_t id) {
  return api.store.Read([&](Db& db) { return registry::GetRelease(db, id); });
}

// Waits until a release that loads has ended, one way or the other.
Result<registry::Release> WaitForEnd(Api& api, const Request& request, registry::Release release) {
  const std::int64_t deadline_us = api.clock.MonotonicUs() + kReleaseWaitUs;
  while (release.state == registry::ReleaseState::kPending || release.state == registry::ReleaseState::kLoading) {
    if (api.clock.MonotonicUs() >= deadline_us || request.abandoned())
      return Fail(ErrorCode::kTimeout, "wait for release", std::to_string(release.id),
                  "the replicas are still loading " + release.model + "@" + std::to_string(release.to),
                  "It goes on by itself; follow it with `ratchet release list " + release.model + "`");
    const std::uint64_t seen = api.commits.count();
    RATCHET_ASSIGN(release, LoadRelease(api, release.id));
    if (release.state == registry::ReleaseState::kPending || release.state == registry::ReleaseState::kLoading)
      api.commits.WaitPast(seen, 1000ms);
  }
  return release;
}

// The answer to whoever asked for a release: given when it has ended and every replica serves it.
Result<Response> Conclude(Api& api, const Request& request, registry::Release release, std::int64_t began_us) {
  RATCHET_ASSIGN(release, WaitForEnd(api, request, std::move(release)));
  if (release.state != registry::ReleaseState::kDone)
    return Fail(
        ErrorCode::kConflict, "release", release.model + "@" + std::to_string(release.to),
        "it was " + std::string(registry::Name(release.state)) + ": " + release.error.value_or("no reason is known"),
        "The version that served before serves on");
  RATCHET_TRY(api.replicas.WaitForEpoch(release.model, release.epoch.value_or(0), kConfirmWaitMs));
  const double took_ms = static_cast<double>(api.clock.MonotonicUs() - began_us) / 1000.0;
  RATCHET_TRY(api.store.Write([&](Db& db) -> Status {
    registry::SetReleaseTook(db, release.id, took_ms);
    return {};
  }));
  release.took_ms = took_ms;
  return JsonResponse(ReleaseJson(release));
}

// Starts a release, once per Idempotency-Key, and sees it through.
Result<Response> Perform(Api& api, const Request& request, const std::function<Result<registry::Release>(Db&)>& start) {
  const std::int64_t began_us = api.clock.MonotonicUs();
  std::int64_t id = 0;
  RATCHET_ASSIGN(const Response started, WriteOnce(api, request, Sha256Hex(request.body), [&](Db& db) -> Result<Json> {
                   RATCHET_ASSIGN(const registry::Release release, start(db));
                   return Json{{"id", release.id}};
                 }));
  const Json kept = Json::parse(started.body, nullptr, false);
  if (kept.is_object()) id = kept.value("id", std::int64_t{0});
  RATCHET_ASSIGN(registry::Release release, LoadRelease(api, id));
  if (started.status != 201 && release.took_ms) return JsonResponse(ReleaseJson(release));
  return Conclude(api, request, std::move(release), began_us);
}

Result<ReplicaModel> ReadReplicaModel(const Json& json) {
  const auto bad = [] {
    return Fail(ErrorCode::kInvalid, "read the replica's state", "", "a model's entry is malformed");
  };
  if (!json.is_object()) return bad();
  ReplicaModel model;
  const Json epoch = json.value("epoch", Json(0)), ready = json.value("ready", Json::array()),
             failed = json.value("failed", Json::object());
  if (!epoch.is_number_integer() || !ready.is_array() || !failed.is_object()) return bad();
  model.epoch = epoch.get<std::int64_t>();
  for (const Json& version : ready) {
    if (!version.is_number_integer()) return bad();
    model.ready.insert(version.get<std::int64_t>());
  }
  for (const auto& [version, why] : failed.items()) {
    if (!why.is_string() || version.empty() || version.size() > 18 ||
        !std::all_of(version.begin(), version.end(), [](unsigned char c) { return std::isdigit(c); }))
      return bad();
    model.failed.emplace(std::stoll(version), why.get<std::string>().substr(0, 2000));
  }
  if (const Json arms = json.value("arms", Json()); arms.is_object()) {
    const Json release = arms.value("release", Json()), step = arms.value("step", Json()), instance = arms.value("instance", Json());
    if (!release.is_number_integer() || !step.is_number_integer() || !instance.is_string()) return bad();
    model.arms = ReplicaArms{.release = release, .step = step, .instance = instance.get<std::string>().substr(0, kMaxReplicaIdBytes),
                             .counts = arms.value("counts", Json::object())};
  }
  return model;
}

Result<std::map<std::string, ReplicaModel>> ReadReplicaModels(const Json& body) {
  const Json given = body.value("models", Json::object());
  if (!given.is_object()) return Fail(ErrorCode::kInvalid, "read the replica's state", "", "`models` is no object");
  std::map<std::string, ReplicaModel> models;
  for (const auto& [name, state] : given.items()) {
    RATCHET_ASSIGN(models[name], ReadReplicaModel(state));
  }
  return models;
}

Result<ReplicaTold> ReadReplicaTold(const Json& body) {
  ReplicaTold told;
  const auto bad = [](const char* what) { return Fail(ErrorCode::kInvalid, "read the replica's state", "", what); };
  const Json only = body.value("only", Json::array()), predictions = body.value("predictions", Json());
  if (!only.is_array() || only.size() > kMaxFollowed) return bad("`only` is no list of at most 1000 models");
  for (const Json& model : only) {
    if (!model.is_string()) return bad("`only` has an entry that is no text");
    told.only.insert(model.get<std::string>());
  }
  if (predictions.is_null()) return told;
  if (!predictions.is_object()) return bad("`predictions` is no object");
  told.predictions.emplace();
  for (const auto& [name, into] : {std::pair{"waiting", &told.predictions->waiting}, {"spool_bytes", &told.predictions->spool_bytes},
                                   {"dropped", &told.predictions->dropped}}) {
    const Json value = predictions.value(name, Json(0));
    if (!value.is_number_integer()) return bad("a number of `predictions` is none");
    *into = value.get<std::int64_t>();
  }
  return told;
}

// What replicas are to serve, and how they log what they answer.
struct Wanted {
  registry::RouteTable table;
  registry::PredictionSettings settings;

  std::int64_t Revision() const { return table.revision + settings.revision; }
};

Json RouteTableJson(const Wanted& wanted) {
  Json routes = Json::array();
  for (const registry::Route& route : wanted.table.routes) {
    routes.push_back(RouteJson(route));
    const auto settings = wanted.settings.of_model.find(route.model);
    if (settings != wanted.settings.of_model.end()) routes.back()["log"] = settings->second;
  }
  return {{"revision", wanted.Revision()}, {"routes", std::move(routes)}};
}

}  // namespace

Result<Response> PromoteModel(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"version", "reason", "force"}));
  RATCHET_ASSIGN(const auto version, NumberMember(body, "version"));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  RATCHET_ASSIGN(const bool force, FlagMember(body, "force"));
  if (!version)
    return Fail(ErrorCode::kInvalid, "promote", model, "the request has no version",
                "Send {\"version\": 3, \"reason\": \"…\"}");
  if (!reason || reason->empty())
    return Fail(ErrorCode::kInvalid, "promote", model, "the request has no reason",
                "Say in a sentence why, for the record");
  const registry::ReleaseInput input{.model = model,
                                     .to = *version,
                                     .kind = force ? registry::ReleaseKind::kForce : registry::ReleaseKind::kPromote,
                                     .actor = request.actor,
                                     .reason = *reason};
  return Perform(api, request, [&](Db& db) { return registry::BeginRelease(db, api.store.NowUs(), input); });
}

Result<Response> RollbackModel(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"to", "reason"}));
  RATCHET_ASSIGN(const auto to, NumberMember(body, "to"));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  return Perform(api, request, [&](Db& db) {
    return registry::Rollback(db, api.store.NowUs(), model, to, request.actor, reason.value_or(""));
  });
}

Result<Response> ApproveRelease(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"reason"}));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  RATCHET_ASSIGN(const registry::Release release, api.store.Write([&](Db& db) {
    return registry::ApproveRelease(db, api.store.NowUs(), model, request.actor, reason.value_or(""));
  }));
  return JsonResponse(ReleaseJson(release));
}

// Answered when every replica gives all traffic to the live version.
Result<Response> AbortRelease(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"reason"}));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  std::int64_t epoch = 0;
  RATCHET_ASSIGN(const registry::Release release, api.store.Write([&](Db& db) -> Result<registry::Release> {
    RATCHET_ASSIGN(registry::Release aborted, registry::AbortUnderWay(db, api.store.NowUs(), model, request.actor, reason.value_or("")));
    RATCHET_ASSIGN(const registry::Model now, registry::GetModel(db, model));
    epoch = now.epoch;
    return aborted;
  }));
  RATCHET_TRY(api.replicas.WaitForEpoch(model, epoch, kConfirmWaitMs));
  return JsonResponse(ReleaseJson(release));
}

Result<Response> ListReleases(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const PageQuery query, ReadNumberedPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Release>> {
    RATCHET_TRY(registry::GetModel(db, model));
    return registry::ListReleases(db, model, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, ReleaseJson));
}

Result<Response> GetRoute(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const registry::Route route, api.store.Read([&](Db& db) { return registry::RouteOf(db, model); }));
  return JsonResponse(RouteJson(route));
}

Result<Response> SyncReplica(Api& api, const Request& request) {
  const std::string id = request.Param("id");
  if (id.size() > kMaxReplicaIdBytes)
    return Fail(ErrorCode::kInvalid, "take in replica", Quoted(id), "its id is too long");
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"revision", "models", "only", "predictions"}));
  const Json held = body.value("revision", Json(0));
  RATCHET_ASSIGN(auto models, ReadReplicaModels(body));
  RATCHET_ASSIGN(auto told, ReadReplicaTold(body));
  // A replica that counts is to tell of it every second.
  const bool counts = std::ranges::any_of(models, [](const auto& model) { return model.second.arms.has_value(); });
  RATCHET_ASSIGN(const std::uint64_t report, api.replicas.Report(id, std::move(models), std::move(told)));
  const std::int64_t deadline_us = api.clock.MonotonicUs() + (counts ? kCountingHoldUs : kSyncHoldUs);
  for (;;) {
    const std::uint64_t seen = api.commits.count();
    RATCHET_ASSIGN(const Wanted wanted, api.store.Read([](Db& db) -> Result<Wanted> {
      return Wanted{registry::Routes(db), registry::PredictionSettingsOf(db)};
    }));
    if (Json(wanted.Revision()) != held || api.clock.MonotonicUs() >= deadline_us)
      return JsonResponse(RouteTableJson(wanted));
    if (request.abandoned()) {
      api.replicas.Detach(id, report);
      return JsonResponse(RouteTableJson(wanted));
    }
    api.commits.WaitPast(seen, 1000ms);
  }
}

}  // namespace ratchet::daemon
