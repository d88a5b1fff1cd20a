#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/bundle_tar.h"
#include "daemon/decisions.h"
#include "daemon/file_response.h"
#include "daemon/shapes.h"
#include "pipeline/explain.h"
#include "registry/models.h"

namespace ratchet::daemon {
namespace {

std::string ModelFileOf(const Json& manifest) {
  const auto pointer = Json::json_pointer("/files/model.pt/sha256");
  const Json digest = manifest.value(pointer, Json());
  return digest.is_string() ? digest.get<std::string>() : "";
}

}  // namespace

Result<registry::Version> AskedVersion(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string model, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const std::int64_t version, NumberParam(request, "version", "version"));
  return api.store.Read([&](Db& db) { return registry::GetVersion(db, model, version); });
}

Result<Json> DecisionOf(Api& api, const registry::Version& version) {
  if (!version.decision)
    return Fail(ErrorCode::kNotFound, "find the decision on", version.model + "@" + std::to_string(version.version),
                "the gate has not judged it yet",
                "Follow its run with `ratchet run show " + std::to_string(version.run) + "`");
  Json report = *version.decision;
  RATCHET_ASSIGN(const auto release, api.store.Read([&](Db& db) -> Result<std::optional<registry::Release>> {
    return registry::ForcedRelease(db, version.model, version.version);
  }));
  if (release) {
    report["forced"] = true;
    report["forced_by"] = {{"release", release->id},
                           {"actor", release->actor},
                           {"reason", release->reason},
                           {"created_at", release->created_at}};
  }
  return report;
}

Result<Response> ListModels(Api& api, const Request& request) {
  RATCHET_ASSIGN(const PageQuery query, ReadPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Model>> {
    return registry::ListModels(db, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, ModelJson));
}

Result<Response> GetModel(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const registry::Model model, api.store.Read([&](Db& db) { return registry::GetModel(db, name); }));
  return JsonResponse(ModelJson(model));
}

Result<Response> ListVersions(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "model", "model"));
  RATCHET_ASSIGN(const PageQuery query, ReadNumberedPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Version>> {
    RATCHET_TRY(registry::GetModel(db, name));
    return registry::ListVersions(db, name, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(
      ListJson(*page, [](const registry::Version& version) { return VersionJson(version, ManifestIn::kLeftOut); }));
}

Result<Response> GetVersion(Api& api, const Request& request) {
  RATCHET_ASSIGN(const registry::Version version, AskedVersion(api, request));
  return JsonResponse(VersionJson(version, ManifestIn::kIncluded));
}

Result<Response> GetDecision(Api& api, const Request& request) {
  RATCHET_ASSIGN(const registry::Version version, AskedVersion(api, request));
  RATCHET_ASSIGN(const Json decision, DecisionOf(api, version));
  return JsonResponse(decision);
}

Result<Response> ExplainDecision(Api& api, const Request& request) {
  RATCHET_ASSIGN(const registry::Version version, AskedVersion(api, request));
  if (!version.decision)
    return Fail(ErrorCode::kNotFound, "explain the decision on", version.model + "@" + std::to_string(version.version),
                "the gate has not judged it yet");
  pipeline::ReadScores read;  // a decision without scores rests on its case alone
  if (version.scores) read = [&](const pipeline::TestSpec& test) { return pipeline::ReadTestScores(api.blobs.PathOf(*version.scores), test); };
  RATCHET_ASSIGN(const pipeline::Explained made, pipeline::ExplainDecision(*version.decision, read));
  return JsonResponse({{"report", *version.decision}, {"recomputed", made.recomputed}, {"same", made.differences.empty()},
                       {"same_decision", made.same_decision}, {"differences", made.differences},
                       {"method", {{"number", static_cast<std::int64_t>(made.method)}, {"newest", static_cast<std::int64_t>(gate::kNewestMethod)},
                                   {"named", made.method_named}}},
                       {"scores", version.scores.value_or("")}});
}

Result<Response> GetBundle(Api& api, const Request& request) {
  RATCHET_ASSIGN(const registry::Version version, AskedVersion(api, request));
  const std::string name = version.model + "-" + std::to_string(version.version) + ".tar";
  std::vector<TarFile> files = {{"manifest.json", api.blobs.PathOf(version.bundle)},
                                {"model.pt", api.blobs.PathOf(ModelFileOf(version.manifest))}};
  return Response{.content_type = "application/x-tar",
                  .headers = {{"Content-Disposition", "attachment; filename=\"" + name + "\""}},
                  .stream = [files = std::move(files)](const Send& send) { return SendTar(files, send); }};
}

Result<Response> GetBlob(Api& api, const Request& request) {
  const std::string sha256 = request.Param("sha256");
  bool known = IsSha256Hex(sha256);
  if (known) {
    // Other blobs (the packs of the sealed holdout above all) are no business of a replica.
    RATCHET_ASSIGN(known, api.store.Read([&](Db& db) -> Result<bool> { return registry::IsBundleFile(db, sha256); }));
  }
  if (!known)
    return Fail(ErrorCode::kNotFound, "find bundle file", Quoted(sha256), "no version has a file of this digest");
  return FileResponse(request, api.blobs.PathOf(sha256), "application/octet-stream", "\"" + sha256 + "\"");
}

}  // namespace ratchet::daemon
