#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/dataset_rotation.h"
#include "daemon/shapes.h"
#include "lake/ingest.h"
#include "lake/manifest.h"
#include "lake/preview.h"
#include "registry/datasets.h"
#include "registry/events.h"

namespace ratchet::daemon {
namespace {

constexpr int kMaxPushRaces = 32;  // other pushes that may come first before this one gives up
constexpr int kDefaultPreviewRows = 20;

Result<std::optional<registry::Dataset>> FindDataset(Api& api, const std::string& name) {
  auto found = api.store.Read([&](Db& db) { return registry::GetDataset(db, name); });
  if (found) return std::optional(std::move(*found));
  if (found.error().code == ErrorCode::kNotFound) return std::nullopt;
  return std::unexpected(found.error());
}

Result<double> ShareQuery(const Request& request, const std::string& name, double otherwise) {
  const auto text = request.Query(name);
  if (!text) return otherwise;
  double share = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), share);
  if (error == std::errc() && end == text->data() + text->size()) return share;
  Error bad{.code = ErrorCode::kInvalid,
            .operation = "read",
            .subject = name,
            .cause = Quoted(*text) + " is no number",
            .hint = "Give a share such as 0.1"};
  bad.field = name;
  return std::unexpected(std::move(bad));
}

Result<lake::SplitPolicy> PolicyOf(const Json& split) {
  lake::SplitPolicy policy;
  policy.validation = split.value("validation", policy.validation);
  policy.holdout = split.value("holdout", policy.holdout);
  const auto key = split.find("key");
  if (key != split.end() && key->is_string()) policy.key = key->get<std::string>();
  return policy;
}

Json SplitJson(const lake::SplitPolicy& policy) {
  return {
      {"validation", policy.validation}, {"holdout", policy.holdout}, {"key", policy.key ? Json(*policy.key) : Json()}};
}

// The dataset's own policy, or, for its first push, what the query asks for.
Result<lake::SplitPolicy> PolicyFor(const std::optional<registry::Dataset>& dataset, const Request& request) {
  lake::SplitPolicy policy;
  if (dataset) {
    RATCHET_ASSIGN(policy, PolicyOf(dataset->split));
  }
  lake::SplitPolicy asked = policy;
  if (auto key = request.Query("key")) asked.key = key->empty() ? std::nullopt : key;
  RATCHET_ASSIGN(asked.validation, ShareQuery(request, "validation", policy.validation));
  RATCHET_ASSIGN(asked.holdout, ShareQuery(request, "holdout", policy.holdout));
  if (dataset && asked != policy)
    return Fail(ErrorCode::kConflict, "push to dataset", dataset->name,
                "it is split by " + dataset->split.dump() + " for ever, not by " + SplitJson(asked).dump(),
                "Leave key, validation and holdout out, or push to a dataset of another name");
  return asked;
}

// The version that the next push builds on.
Result<lake::Manifest> ManifestBefore(Api& api, const std::string& name,
                                      const std::optional<registry::Dataset>& dataset, const lake::SplitPolicy& policy,
                                      const lake::Schema& schema) {
  if (!dataset || dataset->latest_version == 0)
    return lake::Manifest{.dataset = name, .version = 0, .schema = schema, .split = policy, .segments = {}};
  return LatestManifest(api, *dataset);
}

registry::SplitCounts Counts(const lake::SplitRows& rows) {
  return {.train = rows.train, .validation = rows.validation, .holdout = rows.holdout};
}

// One push, from the first byte to the registered version.
class Push {
 public:
  Push(Api& api, const Request& request, std::string name) : api_(api), request_(request), name_(std::move(name)) {}

  Result<Response> Run() {
    RATCHET_ASSIGN(dataset_, FindDataset(api_, name_));
    RATCHET_ASSIGN(policy_, PolicyFor(dataset_, request_));
    Status taken = TakeInBody();
    // What came from the client cannot be a fault of what is stored here.
    if (!taken && taken.error().code == ErrorCode::kCorrupt) taken.error().code = ErrorCode::kInvalid;
    RATCHET_TRY(std::move(taken));
    RATCHET_ASSIGN(const auto kept, KeptResponse(api_, request_, digest_));
    if (kept) return *kept;
    for (const lake::IngestedPack& pack : ingested_.packs)
      RATCHET_TRY(api_.blobs.AdoptExpected(pack.path, pack.sha256));
    for (int race = 0; race < kMaxPushRaces; ++race) {
      Result<Response> response = Register();
      if (response || response.error().code != ErrorCode::kConflict) return response;
      RATCHET_ASSIGN(auto now, FindDataset(api_, name_));
      if (!now || (dataset_ && now->latest_version == dataset_->latest_version)) return response;
      dataset_ = std::move(now);
    }
    return Fail(ErrorCode::kOverloaded, "push to dataset", name_, "too many other pushes came first", "Push again");
  }

 private:
  Status TakeInBody() {
    RATCHET_ASSIGN(const lake::BodyFormat format, lake::BodyFormatFromContentType(request_.Header("Content-Type")));
    lake::IngestOptions options{
        .format = format, .schema = std::nullopt, .split = policy_, .staging = api_.data_dir + "/staging"};
    if (dataset_ && dataset_->schema) {
      RATCHET_ASSIGN(options.schema, lake::SchemaFromJson(dataset_->schema->dump()));
      RATCHET_ASSIGN(const lake::Manifest latest, LatestManifest(api_, *dataset_));
      RATCHET_ASSIGN(options.retired, RetiredKeysOf(api_, latest));
      dealt_after_ = latest.retired;
    }
    RATCHET_ASSIGN(ingest_, lake::Ingest::Start(std::move(options)));
    std::vector<char> buffer(256 * 1024);
    Sha256 digest;
    for (;;) {
      RATCHET_ASSIGN(const size_t got, request_.source->Read(buffer.data(), buffer.size()));
      if (got == 0) break;
      digest.Update({buffer.data(), got});
      RATCHET_TRY(ingest_->Feed({buffer.data(), got}));
    }
    digest_ = digest.FinishHex();
    RATCHET_ASSIGN(ingested_, ingest_->Finish());
    return {};
  }

  // Tries to add the version after the latest one known. kConflict: another push came first, or stands in the way.
  Result<Response> Register() {
    RATCHET_ASSIGN(const lake::Manifest before, ManifestBefore(api_, name_, dataset_, policy_, ingested_.schema));
    if (before.schema != ingested_.schema || before.split != policy_)
      return Fail(ErrorCode::kInvalid, "push to dataset", name_,
                  "another first push gave it other columns or another split", "Push again");
    if (before.retired != dealt_after_) {
      RATCHET_TRY(TakeOutRetired(api_, before, ingested_.packs));
      dealt_after_ = before.retired;
    }
    const lake::Manifest next = lake::NextManifest(before, ingested_.packs);
    RATCHET_ASSIGN(const std::string manifest, api_.blobs.Put(lake::ManifestToJson(next)));
    registry::DatasetVersion version{.dataset = name_,
                                     .version = next.version,
                                     .manifest = manifest,
                                     .rows = Counts(lake::RowsOf(next)),
                                     .added = Counts(lake::RowsOf(ingested_.packs)),
                                     .bytes_added = 0,
                                     .created_at = api_.store.NowUs()};
    for (const lake::IngestedPack& pack : ingested_.packs) version.bytes_added += pack.bytes;
    const Json schema = Json::parse(lake::SchemaToJson(ingested_.schema));
    const Json split = dataset_ ? dataset_->split : SplitJson(policy_);
    auto response = WriteOnce(api_, request_, digest_, [&](Db& db) -> Result<Json> {
      RATCHET_TRY(registry::EnsureDataset(db, version.created_at, name_, split));
      RATCHET_ASSIGN(const auto added, registry::AddDatasetVersion(db, version, schema));
      return DatasetVersionJson(added);
    });
    if (response && response->status == 201) api_.metrics.CountIngest(ingested_.rows, version.bytes_added);
    return response;
  }

  Api& api_;
  const Request& request_;
  const std::string name_;
  std::optional<registry::Dataset> dataset_;
  lake::SplitPolicy policy_;
  std::unique_ptr<lake::Ingest> ingest_;  // holds the staging folder
  lake::IngestResult ingested_;
  std::optional<lake::Retired> dealt_after_;  // the retired keys that the packs are free of
  std::string digest_;                        // of the body
};

}  // namespace

Result<Response> ListDatasets(Api& api, const Request& request) {
  RATCHET_ASSIGN(const PageQuery query, ReadPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::Dataset>> {
    return registry::ListDatasets(db, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, DatasetJson));
}

Result<Response> GetDataset(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "dataset"));
  RATCHET_ASSIGN(const registry::Dataset dataset,
                 api.store.Read([&](Db& db) { return registry::GetDataset(db, name); }));
  RATCHET_ASSIGN(const auto epochs, api.store.Read([&](Db& db) -> Result<std::vector<registry::HoldoutEpoch>> {
    return registry::ListEpochs(db, name);
  }));
  Json json = DatasetJson(dataset);
  json["holdout_epochs"] = Json::array();
  for (const registry::HoldoutEpoch& epoch : epochs) json["holdout_epochs"].push_back(HoldoutEpochJson(epoch));
  RATCHET_ASSIGN(json["spent_rows"], SpentRows(api, dataset));
  return JsonResponse(json);
}

Result<Response> ListDatasetVersions(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "dataset"));
  RATCHET_ASSIGN(const PageQuery query, ReadNumberedPageQuery(request));
  auto page = api.store.Read([&](Db& db) -> Result<registry::Page<registry::DatasetVersion>> {
    RATCHET_TRY(registry::GetDataset(db, name));
    return registry::ListDatasetVersions(db, name, query.limit, query.after);
  });
  if (!page) return std::unexpected(page.error());
  return JsonResponse(ListJson(*page, DatasetVersionJson));
}

namespace {

Result<registry::DatasetVersion> AskedVersion(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "dataset"));
  RATCHET_ASSIGN(const std::int64_t version, NumberParam(request, "version", "dataset version"));
  return api.store.Read([&](Db& db) { return registry::GetDatasetVersion(db, name, version); });
}

}  // namespace

Result<Response> GetDatasetVersion(Api& api, const Request& request) {
  RATCHET_ASSIGN(const registry::DatasetVersion version, AskedVersion(api, request));
  return JsonResponse(DatasetVersionJson(version));
}

Result<Response> GetDatasetRows(Api& api, const Request& request) {
  RATCHET_ASSIGN(PageQuery query, ReadNumberedPageQuery(request));
  if (!request.Query("limit")) query.limit = kDefaultPreviewRows;
  RATCHET_ASSIGN(const registry::DatasetVersion version, AskedVersion(api, request));
  RATCHET_ASSIGN(const std::string text, api.blobs.Read(version.manifest));
  RATCHET_ASSIGN(const lake::Manifest manifest, lake::ManifestFromJson(text));
  // Training rows alone: who looks at the others spoils them.
  std::vector<std::string> packs;
  for (const std::string& digest : lake::SegmentDigests(manifest, lake::Split::kTrain))
    packs.push_back(api.blobs.PathOf(digest));
  if (packs.empty())
    return JsonResponse(Json::parse(lake::PreviewToJson({.schema = manifest.schema, .rows = {}, .next = {}})));
  std::int64_t after = 0;
  if (query.after) std::from_chars(query.after->data(), query.after->data() + query.after->size(), after);
  RATCHET_ASSIGN(const lake::Preview preview, lake::PreviewRows(packs, std::max<std::int64_t>(after, 0), query.limit));
  return Response{.body = lake::PreviewToJson(preview)};
}

Result<Response> PushDataset(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "dataset"));
  return Push(api, request, name).Run();
}

}  // namespace ratchet::daemon
