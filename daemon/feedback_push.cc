#include "daemon/feedback_push.h"

#include <functional>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "daemon/dataset_rotation.h"
#include "lake/held_keys.h"
#include "lake/manifest.h"
#include "lake/split_sink.h"
#include "pipeline/feedback_rows.h"
#include "registry/datasets.h"
#include "registry/models.h"

namespace ratchet::daemon {
namespace {

constexpr std::int64_t kMostBytesAtOnce = 8 << 20;  // of inputs in memory
constexpr int kMostRaces = 32;                      // other pushes that may come first

std::vector<lake::Cell> CellsOf(const lake::Row& row) {
  std::vector<lake::Cell> cells;
  for (const lake::Value& value : row)
    cells.push_back(std::visit(
        [](const auto& held) -> lake::Cell {
          if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string>) return std::string_view(held);
          else return held;
        },
        value));
  return cells;
}

registry::SplitCounts Counts(const lake::SplitRows& rows) {
  return {.train = rows.train, .validation = rows.validation, .holdout = rows.holdout};
}

class BatchPush {
 public:
  BatchPush(Api& api, const registry::FeedbackPlan& plan, const registry::FeedbackBatch& batch, const std::stop_token& stop)
      : api_(api), plan_(plan), batch_(batch), stop_(stop) {}

  Result<std::optional<registry::BatchEnd>> Run() {
    RATCHET_ASSIGN(const auto pushed, FindPushed());
    if (pushed) return pushed;
    RATCHET_ASSIGN(before_, Before());
    RATCHET_ASSIGN(auto maker, pipeline::FeedbackRows::Of(
                                   {.schema = before_.schema, .target = plan_.target, .key = before_.split.key}));
    RATCHET_ASSIGN(const auto staging, StagingFolder::Make(api_));
    RATCHET_ASSIGN(retired_, RetiredKeysOf(api_, before_));
    RATCHET_TRY(FindHeld(maker));
    RATCHET_ASSIGN(const auto packs, WritePacks(maker, staging->path()));
    if (stop_.stop_requested()) return std::nullopt;
    if (packs.empty()) return std::optional(end_);
    for (const lake::IngestedPack& pack : packs) RATCHET_TRY(api_.blobs.AdoptExpected(pack.path, pack.sha256));
    RATCHET_TRY(Register(packs));
    return std::optional(end_);
  }

 private:
  using TakeRow = std::function<Status(const lake::Row& row)>;

  // A batch that was pushed by a process that died before it noted that.
  Result<std::optional<registry::BatchEnd>> FindPushed() {
    RATCHET_ASSIGN(const std::int64_t latest, LatestVersionOf(api_, plan_.to));
    for (std::int64_t number = batch_.after_version + 1; number <= latest; ++number) {
      RATCHET_ASSIGN(const auto version, api_.store.Read([&](Db& db) { return registry::GetDatasetVersion(db, plan_.to, number); }));
      RATCHET_ASSIGN(const std::string text, api_.blobs.Read(version.manifest));
      RATCHET_ASSIGN(const lake::Manifest manifest, lake::ManifestFromJson(text));
      if (manifest.feedback == lake::FeedbackPush{.model = plan_.model, .batch = batch_.id})
        return registry::BatchEnd{.version = number, .rows = version.added.Total(), .why = {}};
    }
    return std::nullopt;
  }

  // The version to build on: of the dataset, or before the first push of one with the schema of the pipeline's own.
  Result<lake::Manifest> Before() {
    auto to = api_.store.Read([&](Db& db) { return registry::GetDataset(db, plan_.to); });
    if (!to && to.error().code != ErrorCode::kNotFound) return std::unexpected(to.error());
    if (to && to->latest_version > 0) return LatestManifest(api_, *to);
    RATCHET_ASSIGN(const auto own, api_.store.Read([&](Db& db) { return registry::GetDataset(db, plan_.dataset); }));
    if (own.latest_version == 0)
      return Fail(ErrorCode::kConflict, "push feedback to", plan_.to, "dataset " + plan_.dataset + " has no rows that would tell its columns");
    RATCHET_ASSIGN(lake::Manifest like, LatestManifest(api_, own));
    return lake::Manifest{.dataset = plan_.to, .version = 0, .schema = like.schema, .split = like.split, .segments = {}};
  }

  Result<Json> ManifestOf(std::int64_t version) {
    const auto known = manifests_.find(version);
    if (known != manifests_.end()) return known->second;
    auto found = api_.store.Read([&](Db& db) { return registry::GetVersion(db, plan_.model, version); });
    if (!found && found.error().code != ErrorCode::kNotFound) return std::unexpected(found.error());
    return manifests_[version] = found ? found->manifest : Json();
  }

  // Every fit row of the batch, in order; the others are counted.
  Status ForEachRow(pipeline::FeedbackRows& maker, const TakeRow& take) {
    end_ = {.version = {}, .why = {}};
    for (std::int64_t after = batch_.after_number;;) {
      RATCHET_ASSIGN(const auto part, api_.feedback.events().Read([&](Db& db) -> Result<registry::BatchRows> {
        return registry::RowsOfBatch(db, batch_, after, kMostBytesAtOnce);
      }));
      end_.known += part.known;
      for (const registry::LabelledRow& labelled : part.rows) {
        if (stop_.stop_requested()) return {};
        RATCHET_ASSIGN(const Json manifest, ManifestOf(labelled.prediction.version));
        const auto row = maker.Make(labelled, manifest);
        if (row) {
          RATCHET_TRY(take(*row));
        } else if (++end_.unfit == 1) {
          end_.why = row.error().Message();
        }
      }
      if (part.end) return {};
      after = part.last_number;
    }
  }

  // Which of the batch's keys are sealed already.
  Status FindHeld(pipeline::FeedbackRows& maker) {
    lake::Splitter splitter(before_.split, before_.schema, retired_);
    std::unordered_set<std::uint64_t> hashes;
    RATCHET_TRY(ForEachRow(maker, [&](const lake::Row& row) -> Status {
      const auto cells = CellsOf(row);
      if (splitter.Of(cells) == lake::Split::kHoldout) hashes.insert(splitter.HashOf(cells));
      return {};
    }));
    std::vector<std::string> packs;
    for (const std::string& digest : lake::SegmentDigests(before_, lake::Split::kHoldout)) packs.push_back(api_.blobs.PathOf(digest));
    RATCHET_ASSIGN(held_, lake::KeysHeld(packs, before_.split, before_.schema, hashes));
    return {};
  }

  // None where no row was fit.
  Result<std::vector<lake::IngestedPack>> WritePacks(pipeline::FeedbackRows& maker, const std::string& folder) {
    lake::Splitter splitter(before_.split, before_.schema, retired_);
    lake::SplitSink sink(before_.split, folder, retired_);
    RATCHET_TRY(sink.Begin(before_.schema));
    RATCHET_TRY(ForEachRow(maker, [&](const lake::Row& row) -> Status {
      const auto cells = CellsOf(row);
      if (!held_.empty() && splitter.Of(cells) == lake::Split::kHoldout && held_.contains(splitter.HashOf(cells))) {
        ++end_.in_holdout;
        return {};
      }
      ++end_.rows;
      return sink.Add(cells);
    }));
    if (end_.rows == 0) return std::vector<lake::IngestedPack>();
    RATCHET_ASSIGN(auto ingested, sink.Finish());
    return std::move(ingested.packs);
  }

  // Adds the version after the latest one, however many other pushes come first.
  Status Register(std::vector<lake::IngestedPack> packs) {
    for (int race = 0; race < kMostRaces; ++race) {
      const Status added = TryRegister(packs);
      if (added || added.error().code != ErrorCode::kConflict) return added;
      const auto dealt_after = before_.retired;
      RATCHET_ASSIGN(before_, Before());
      if (before_.retired != dealt_after) RATCHET_TRY(TakeOutRetired(api_, before_, packs));
    }
    return Fail(ErrorCode::kOverloaded, "push feedback to", plan_.to, "too many other pushes came first");
  }

  Status TryRegister(const std::vector<lake::IngestedPack>& packs) {
    lake::Manifest next = lake::NextManifest(before_, packs);
    next.feedback = lake::FeedbackPush{.model = plan_.model, .batch = batch_.id};
    RATCHET_ASSIGN(const std::string manifest, api_.blobs.Put(lake::ManifestToJson(next)));
    registry::DatasetVersion version{.dataset = plan_.to, .version = next.version, .manifest = manifest,
                                     .rows = Counts(lake::RowsOf(next)), .added = Counts(lake::RowsOf(packs)),
                                     .bytes_added = 0, .created_at = api_.store.NowUs()};
    for (const lake::IngestedPack& pack : packs) version.bytes_added += pack.bytes;
    const Json schema = Json::parse(lake::SchemaToJson(next.schema));
    const Json split = {{"validation", next.split.validation}, {"holdout", next.split.holdout},
                        {"key", next.split.key ? Json(*next.split.key) : Json()}};
    RATCHET_TRY(api_.store.Write([&](Db& db) -> Status {
      RATCHET_TRY(registry::EnsureDataset(db, version.created_at, plan_.to, split));
      RATCHET_TRY(registry::AddDatasetVersion(db, version, schema));
      return {};
    }));
    end_.version = next.version;
    api_.metrics.CountIngest(end_.rows, version.bytes_added);
    return {};
  }

  Api& api_;
  const registry::FeedbackPlan& plan_;
  const registry::FeedbackBatch& batch_;
  const std::stop_token& stop_;
  lake::Manifest before_;
  std::shared_ptr<const lake::RetiredKeys> retired_;
  std::unordered_set<std::uint64_t> held_;
  std::map<std::int64_t, Json> manifests_;  // of the model's versions
  registry::BatchEnd end_;
};

}  // namespace

Result<std::int64_t> LatestVersionOf(Api& api, const std::string& dataset) {
  const auto found = api.store.Read([&](Db& db) { return registry::GetDataset(db, dataset); });
  if (found) return found->latest_version;
  if (found.error().code == ErrorCode::kNotFound) return 0;
  return std::unexpected(found.error());
}

Result<std::optional<registry::BatchEnd>> PushBatch(Api& api, const registry::FeedbackPlan& plan,
                                                    const registry::FeedbackBatch& batch, const std::stop_token& stop) {
  return BatchPush(api, plan, batch, stop).Run();
}

}  // namespace ratchet::daemon
