#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/shapes.h"
#include "lake/base64.h"
#include "lake/manifest.h"
#include "pipeline/spec.h"
#include "pipeline/graph.h"
#include "pipeline/spec_recipe.h"
#include "registry/datasets.h"
#include "registry/pipelines.h"
#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

constexpr size_t kMaxTrainerFiles = 64;
constexpr size_t kMaxTrainerFileBytes = 8u << 20;

// A spec as it was sent: its text, and the files of a trainer by name.
struct SpecBody {
  std::string text;
  std::map<std::string, std::string> files;
};

Result<std::map<std::string, std::string>> ReadFiles(const Json& files) {
  std::map<std::string, std::string> decoded;
  if (files.is_null()) return decoded;
  const auto refuse = [](const std::string& name, const char* cause) {
    return Fail(ErrorCode::kInvalid, "read the trainer's file", Quoted(name), cause, "See docs/formats.md, Pipeline");
  };
  if (!files.is_object() || files.size() > kMaxTrainerFiles)
    return refuse("files", "they are no object of at most 64 files");
  for (const auto& [name, content] : files.items()) {
    const bool plain = !name.empty() && name.size() <= 128 && name.front() != '.' && IsUtf8Text(name) &&
                       std::none_of(name.begin(), name.end(), [](unsigned char c) { return c == '/' || c < 0x20; });
    if (!plain) return refuse(name, "its name is no plain file name");
    std::string bytes;
    if (!content.is_string() || !lake::FromBase64(content.get_ref<const std::string&>(), bytes))
      return refuse(name, "its content is not base64");
    if (bytes.size() > kMaxTrainerFileBytes) return refuse(name, "it is over the limit of 8 MiB");
    decoded.emplace(name, std::move(bytes));
  }
  return decoded;
}

Result<SpecBody> ReadSpecBody(const Request& request) {
  if (!IsAccepted(request.Header("Content-Type"), "application/json")) return SpecBody{request.body, {}};
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"spec", "files"}));
  RATCHET_ASSIGN(auto text, TextMember(body, "spec", SIZE_MAX));
  if (!text)
    return Fail(ErrorCode::kInvalid, "read the request body", "", "it has no \"spec\"", "Put the YAML text there");
  RATCHET_ASSIGN(auto files, ReadFiles(body.value("files", Json())));
  return SpecBody{std::move(*text), std::move(files)};
}

constexpr auto kWorkerStartWait = std::chrono::seconds(10);
constexpr auto kWorkerLookPause = std::chrono::milliseconds(20);

// What the worker can train. One that is starting is waited for, within kWorkerStartWait; while it is down the list is
// empty, and a step finds out for itself whether its recipe is there.
Json RecipesOf(Api& api) {
  const auto deadline = std::chrono::steady_clock::now() + kWorkerStartWait;
  Json worker = api.worker();
  while (worker.value("state", "") == "starting" && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kWorkerLookPause);
    worker = api.worker();
  }
  return worker.value("recipes", Json::array());
}

// The columns of the dataset's latest rows.
std::optional<lake::Schema> SchemaOf(Api& api, const std::string& dataset) {
  const auto version = api.store.Read([&](Db& db) -> Result<registry::DatasetVersion> {
    RATCHET_ASSIGN(const registry::Dataset found, registry::GetDataset(db, dataset));
    return registry::GetDatasetVersion(db, dataset, found.latest_version);
  });
  const auto text = version ? api.blobs.Read(version->manifest) : Result<std::string>();
  if (!version || !text) return std::nullopt;
  const auto manifest = lake::ManifestFromJson(*text);
  return manifest ? std::optional(manifest->schema) : std::nullopt;
}

Result<pipeline::Spec> CheckedSpec(Api& api, const std::string& text) {
  return pipeline::ParseSpec(text, {.recipes = RecipesOf(api),
                                    .schema_of = [&](const std::string& dataset) { return SchemaOf(api, dataset); }});
}

Json SplitJson(const pipeline::SplitSpec& split) {
  return {{"validation", split.validation}, {"holdout", split.holdout}, {"key", split.key ? Json(*split.key) : Json()}};
}

// A spec that says how its dataset is split brings it into being, unless its first push came before; without, the first
// push decides.
Status EnsureDatasetOf(Db& db, std::int64_t now_us, const pipeline::Spec& spec) {
  if (!spec.data.split) return {};
  const Json split = SplitJson(*spec.data.split);
  auto dataset = registry::EnsureDataset(db, now_us, spec.data.dataset, split);
  if (dataset) return {};
  Error error = dataset.error();
  error.field = "data.split";
  return std::unexpected(std::move(error));
}

}  // namespace

Result<Response> ListPipelines(Api& api, const Request& request) {
  RATCHET_ASSIGN(const PageQuery query, ReadPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Pipeline>> {
    return registry::ListPipelines(db, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, PipelineJson));
}

Result<Response> GetPipeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "pipeline"));
  RATCHET_ASSIGN(const registry::Pipeline pipeline,
                 api.store.Read([&](Db& db) { return registry::GetPipeline(db, name); }));
  RATCHET_ASSIGN(const auto drift, api.store.Read([&](Db& db) -> Result<std::optional<registry::DriftReport>> {
    return registry::FindDrift(db, name);
  }));
  Json json = PipelineJson(pipeline);
  json["drift"] = drift ? DriftJson(*drift) : Json();
  return JsonResponse(json);
}

Result<Response> PutPipeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "pipeline"));
  RATCHET_ASSIGN(const SpecBody body, ReadSpecBody(request));
  RATCHET_ASSIGN(const pipeline::Spec spec, CheckedSpec(api, body.text));
  registry::PipelineInput input{.name = name,
                                .model = spec.model,
                                .dataset = spec.data.dataset,
                                .spec_text = body.text,
                                .spec = pipeline::SpecToJson(spec),
                                .files = Json::object()};
  for (const auto& [file, bytes] : body.files) {
    RATCHET_ASSIGN(input.files[file], api.blobs.Put(bytes));
  }
  auto applied = api.store.Write([&](Db& db) -> Result<registry::Applied> {
    RATCHET_TRY(EnsureDatasetOf(db, api.store.NowUs(), spec));
    return registry::ApplyPipeline(db, api.store.NowUs(), request.actor, input);
  });
  if (!applied) return std::unexpected(applied.error());
  Json json = PipelineJson(applied->pipeline);
  json["changed"] = applied->changed;
  return JsonResponse(json, applied->created ? 201 : 200);
}

Result<Response> DeletePipeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "pipeline"));
  RATCHET_TRY(
      api.store.Write([&](Db& db) { return registry::DeletePipeline(db, api.store.NowUs(), request.actor, name); }));
  return Response{.status = 204, .content_type = ""};
}

Result<Response> ValidatePipeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const SpecBody body, ReadSpecBody(request));
  RATCHET_ASSIGN(const pipeline::Spec spec, CheckedSpec(api, body.text));
  return JsonResponse({{"valid", true}, {"spec", pipeline::SpecToJson(spec)}});
}

Result<Response> PausePipeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "pipeline"));
  RATCHET_ASSIGN(const registry::Pipeline pipeline, api.store.Write([&](Db& db) {
    return registry::SetPaused(db, api.store.NowUs(), request.actor, name, true);
  }));
  return JsonResponse(PipelineJson(pipeline));
}

Result<Response> ResumePipeline(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "pipeline"));
  RATCHET_ASSIGN(const registry::Pipeline pipeline, api.store.Write([&](Db& db) {
    return registry::SetPaused(db, api.store.NowUs(), request.actor, name, false);
  }));
  return JsonResponse(PipelineJson(pipeline));
}

// What one run may want otherwise than its pipeline does.
struct RunWishes {
  std::optional<std::int64_t> priority;
  bool fresh = false;
};

static Result<RunWishes> ReadWishes(const Json& body) {
  RunWishes wishes;
  if (const Json given = body.value("priority", Json()); !given.is_null()) {
    if (!given.is_number_integer() || given < -100 || given > 100)
      return Fail(ErrorCode::kInvalid, "read", "priority", "it must be a whole number from -100 to 100");
    wishes.priority = given.get<std::int64_t>();
  }
  if (const Json given = body.value("fresh", Json()); !given.is_null()) {
    if (!given.is_boolean()) return Fail(ErrorCode::kInvalid, "read", "fresh", "it must be true or false");
    wishes.fresh = given;
  }
  return wishes;
}

Result<Response> StartRun(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "pipeline"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"set", "reason", "priority", "fresh"}));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  RATCHET_ASSIGN(const RunWishes wishes, ReadWishes(body));
  const Json overrides = body.value("set", Json::object());
  const Json recipes = RecipesOf(api);
  return WriteOnce(api, request, Sha256Hex(request.body), [&](Db& db) -> Result<Json> {
    RATCHET_ASSIGN(const registry::Pipeline pipeline, registry::GetPipeline(db, name));
    RATCHET_ASSIGN(pipeline::Spec spec, pipeline::SpecFromJson(pipeline.spec));
    RATCHET_ASSIGN(spec, pipeline::ApplyOverrides(spec, overrides));
    if (!recipes.empty()) RATCHET_TRY(pipeline::CheckRecipe(spec, recipes));
    registry::RunInput input{.pipeline = name,
                             .reason = {{"kind", "manual"}, {"detail", reason.value_or("")}},
                             .overrides = overrides,
                             .spec = pipeline::SpecToJson(spec),
                             .steps = pipeline::PlanSteps(spec),
                             .priority = wishes.priority.value_or(spec.run.priority),
                             .deadline_s = spec.run.deadline_s,
                             .fresh = wishes.fresh};
    RATCHET_ASSIGN(const registry::Run run, registry::CreateRun(db, api.store.NowUs(), input));
    return RunJson(run, api.data_dir);
  });
}

}  // namespace ratchet::daemon
