#include <spdlog/fmt/fmt.h>

#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "daemon/api_handlers.h"
#include "daemon/dataset_rotation.h"
#include "daemon/shapes.h"
#include "lake/rotation.h"
#include "registry/datasets.h"
#include "registry/events.h"
#include "registry/holdout.h"

namespace ratchet::daemon {
namespace {

constexpr int kMaxRotationRaces = 32;  // pushes and tests that may come first before this gives up

// One rotation: decided on what is there, made beside it, and written down only if that has not changed meanwhile.
class Rotation {
 public:
  Rotation(Api& api, const Request& request, pipeline::RotationAsk ask, std::string reason)
      : api_(api), request_(request), ask_(std::move(ask)), reason_(std::move(reason)) {}

  Result<Response> Run() {
    const std::string digest = Sha256Hex(request_.path + "\n" + request_.body);
    RATCHET_ASSIGN(const auto kept, KeptResponse(api_, request_, digest));
    if (kept) return *kept;
    for (int race = 0; race < kMaxRotationRaces; ++race) {
      RATCHET_TRY(Decide());
      RATCHET_ASSIGN(const auto staging, StagingFolder::Make(api_));
      const auto pack_path = [&](const std::string& sha256) { return api_.blobs.PathOf(sha256); };
      RATCHET_ASSIGN(const auto staged, lake::RotateHoldout(before_, plan_.until_push, pack_path, staging->path()));
      for (const lake::StagedFile& file : staged.files) RATCHET_TRY(api_.blobs.AdoptExpected(file.path, file.sha256));
      RATCHET_ASSIGN(const std::string manifest, api_.blobs.Put(lake::ManifestToJson(staged.next)));
      overtaken_ = false;
      auto response = WriteOnce(api_, request_, digest, [&](Db& db) { return Record(db, staged, manifest); });
      if (response || !overtaken_) return response;
    }
    return Fail(ErrorCode::kOverloaded, "rotate the holdout of", ask_.dataset, "too many pushes and tests came first", "Do it again");
  }

 private:
  Status Decide() {
    RATCHET_ASSIGN(dataset_, api_.store.Read([&](Db& db) { return registry::GetDataset(db, ask_.dataset); }));
    if (dataset_.latest_version == 0)
      return Fail(ErrorCode::kConflict, "rotate the holdout of", ask_.dataset, "it has no rows yet", "Push some first");
    RATCHET_ASSIGN(before_, LatestManifest(api_, dataset_));
    ask_.retired_until = before_.retired ? before_.retired->until_push : 0;
    RATCHET_ASSIGN(plan_, api_.store.Read([&](Db& db) { return Plan(db); }));
    return {};
  }

  Result<pipeline::RotationPlan> Plan(Db& db) const {
    return pipeline::PlanRotation(registry::CurrentEpochs(db, ask_.dataset), pipeline::HoldoutRowsOf(before_), ask_);
  }

  // In the one transaction: no push came in between, and no epoch was opened on the rows that go.
  Result<Json> Record(Db& db, const lake::StagedRotation& staged, const std::string& manifest) {
    RATCHET_ASSIGN(const registry::Dataset now, registry::GetDataset(db, ask_.dataset));
    const auto plan = Plan(db);
    overtaken_ = now.latest_version != dataset_.latest_version || (plan && (plan->until_push != plan_.until_push || plan->losing != plan_.losing));
    if (overtaken_) return Fail(ErrorCode::kConflict, "rotate the holdout of", ask_.dataset, "a push or a test came first", "Do it again");
    if (!plan) return std::unexpected(plan.error());
    const lake::SplitRows rows = lake::RowsOf(staged.next);
    registry::DatasetVersion version{.dataset = ask_.dataset, .version = staged.next.version, .manifest = manifest,
                                     .rows = {rows.train, rows.validation, rows.holdout}, .added = {staged.rows, 0, -staged.rows},
                                     .bytes_added = 0, .created_at = api_.store.NowUs()};
    RATCHET_ASSIGN(const auto added, registry::AddDatasetVersion(db, version, dataset_.schema.value_or(Json::array())));
    Tell(db, staged, version);
    return Json{{"version", DatasetVersionJson(added)}, {"rows", staged.rows}, {"withheld", staged.withheld}, {"until_push", plan_.until_push},
                {"losing", plan_.losing}};
  }

  void Tell(Db& db, const lake::StagedRotation& staged, const registry::DatasetVersion& version) {
    registry::AppendEvent(db, {.type = "holdout.rotated",
                               .data = {{"dataset", ask_.dataset}, {"version", version.version}, {"rows", staged.rows},
                                        {"until_push", plan_.until_push}, {"losing", plan_.losing}, {"reason", reason_}},
                               .at = version.created_at});
    std::string detail = fmt::format("version {}: {} rows of the pushes up to {}", version.version, staged.rows, plan_.until_push);
    for (const std::string& model : plan_.losing) detail += ", taken from " + model;
    if (!reason_.empty()) detail += ": " + reason_;
    registry::AppendAudit(db, version.created_at, request_.actor, "dataset.rotate-holdout", ask_.dataset, detail);
  }

  Api& api_;
  const Request& request_;
  pipeline::RotationAsk ask_;
  const std::string reason_;
  registry::Dataset dataset_;
  lake::Manifest before_;
  pipeline::RotationPlan plan_;
  bool overtaken_ = false;
};

}  // namespace

Result<Response> RotateHoldout(Api& api, const Request& request) {
  RATCHET_ASSIGN(const std::string name, NameParam(request, "name", "dataset"));
  RATCHET_ASSIGN(const Json body, ReadObject(request, {"model", "current", "force", "reason"}));
  pipeline::RotationAsk ask{.dataset = name, .model = {}};
  RATCHET_ASSIGN(ask.model, TextMember(body, "model"));
  if (ask.model) RATCHET_TRY(CheckName("model", *ask.model));
  RATCHET_ASSIGN(ask.current, FlagMember(body, "current"));
  RATCHET_ASSIGN(ask.force, FlagMember(body, "force"));
  RATCHET_ASSIGN(const auto reason, TextMember(body, "reason"));
  return Rotation(api, request, std::move(ask), reason.value_or("")).Run();
}

}  // namespace ratchet::daemon
