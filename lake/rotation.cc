#include "lake/rotation.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/digest.h"
#include "base/files.h"
#include "lake/pack.h"
#include "lake/pack_format.h"

namespace ratchet::lake {
namespace {

constexpr const char* kOperation = "rotate the holdout of";

using Hashes = std::vector<std::uint64_t>;

// Every row of a pack with the hash that decides its split.
Status EachRow(const std::string& pack, const SplitPolicy& policy,
               const std::function<Status(std::uint64_t hash, std::span<const Cell> row)>& take) {
  RATCHET_ASSIGN(auto file, SqliteFile::Open(pack, SqliteFile::Mode::kRead));
  RATCHET_ASSIGN(const PackHead head, ReadPackHead(*file));
  Splitter splitter(policy, head.schema);
  RATCHET_ASSIGN(SqliteStatement rows, file->Prepare(SelectSql(head.schema)));
  rows.Bind(1, std::int64_t{0});
  std::vector<Cell> cells(head.schema.columns.size());
  for (;;) {
    RATCHET_ASSIGN(const bool more, rows.Step());
    if (!more) return {};
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = rows.At(static_cast<int>(i) + 1);
    RATCHET_TRY(take(splitter.HashOf(cells), cells));
  }
}

Result<Schema> SchemaOf(const std::string& pack) {
  RATCHET_ASSIGN(auto file, SqliteFile::Open(pack, SqliteFile::Mode::kRead));
  RATCHET_ASSIGN(PackHead head, ReadPackHead(*file));
  return std::move(head.schema);
}

void Distinct(Hashes& hashes) {
  std::ranges::sort(hashes);
  const auto rest = std::ranges::unique(hashes);
  hashes.erase(rest.begin(), rest.end());
}

Status TakeHashes(const std::string& dataset, const std::string& pack, const SplitPolicy& policy, Hashes& hashes) {
  return EachRow(pack, policy, [&](std::uint64_t hash, std::span<const Cell>) -> Status {
    if (hashes.size() == kMaxRetiredKeys)
      return Fail(ErrorCode::kTooLarge, kOperation, dataset, "there are more than " + std::to_string(kMaxRetiredKeys) + " keys",
                  "Retire fewer pushes");
    hashes.push_back(hash);
    return {};
  });
}

Result<IngestedPack> Finished(Split split, const std::string& path, PackWriter& writer) {
  RATCHET_TRY(writer.Finish());
  IngestedPack pack{.split = split, .path = path, .rows = writer.rows()};
  std::error_code error;
  pack.bytes = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
  if (error) return FailErrno("measure", path, error.value());
  RATCHET_ASSIGN(pack.sha256, Sha256File(path));
  return pack;
}

// Two packs of one: the rows that `sealed` says yes to stay in the holdout, the others are for training.
Result<std::vector<IngestedPack>> Divide(const std::string& pack, const SplitPolicy& policy,
                                         const std::function<bool(std::uint64_t)>& sealed, const std::string& to) {
  RATCHET_ASSIGN(const Schema schema, SchemaOf(pack));
  struct Part {
    Split split;
    std::string path;
    std::unique_ptr<PackWriter> writer;
  };
  std::vector<Part> parts;
  parts.push_back({Split::kTrain, to + ".train", nullptr});
  parts.push_back({Split::kHoldout, to + ".holdout", nullptr});
  RATCHET_TRY(EachRow(pack, policy, [&](std::uint64_t hash, std::span<const Cell> row) -> Status {
    Part& part = parts[sealed(hash) ? 1 : 0];
    if (!part.writer) {
      RATCHET_ASSIGN(part.writer, PackWriter::Create(part.path, schema));
    }
    return part.writer->Add(row);
  }));
  std::vector<IngestedPack> made;
  for (Part& part : parts) {
    if (!part.writer) continue;
    RATCHET_ASSIGN(auto finished, Finished(part.split, part.path, *part.writer));
    made.push_back(std::move(finished));
  }
  return made;
}

bool IsSpent(const Segment& segment, std::int64_t until_push) {
  return segment.split == Split::kHoldout && segment.push <= until_push;
}

// One rotation, from the keys to the manifest.
class Rotator {
 public:
  Rotator(const Manifest& before, std::int64_t until_push, const PackPath& pack_path, const std::string& staging)
      : before_(before), until_push_(until_push), pack_path_(pack_path), staging_(staging) {}

  Result<StagedRotation> Run() {
    RATCHET_TRY(FindTwins());
    made_.next = before_;
    ++made_.next.version;
    made_.next.feedback = std::nullopt;
    made_.next.segments.clear();
    for (const Segment& segment : before_.segments) {
      if (IsSpent(segment, until_push_)) RATCHET_TRY(Retire(segment));
      else made_.next.segments.push_back(segment);
    }
    if (made_.rows == 0)
      return Fail(ErrorCode::kConflict, kOperation, before_.dataset, "none of its sealed rows can be retired",
                  "Their keys stand in later pushes that are still judged on; push fresh rows");
    RATCHET_TRY(ListKeys());
    return std::move(made_);
  }

 private:
  Status FindTwins() {
    for (const Segment& segment : before_.segments)
      if (segment.split == Split::kHoldout && segment.push > until_push_)
        RATCHET_TRY(TakeHashes(before_.dataset, pack_path_(segment.sha256), before_.split, still_sealed_));
    Distinct(still_sealed_);
    return {};
  }

  bool StaysSealed(std::uint64_t hash) const { return std::ranges::binary_search(still_sealed_, hash); }

  Status Retire(const Segment& segment) {
    Hashes hashes;
    const std::string pack = pack_path_(segment.sha256);
    RATCHET_TRY(TakeHashes(before_.dataset, pack, before_.split, hashes));
    const auto staying = std::ranges::count_if(hashes, [&](std::uint64_t hash) { return StaysSealed(hash); });
    made_.withheld += staying;
    made_.rows += segment.rows - staying;
    std::erase_if(hashes, [&](std::uint64_t hash) { return StaysSealed(hash); });
    retired_.insert(retired_.end(), hashes.begin(), hashes.end());
    Segment moved = segment;
    moved.split = staying == segment.rows ? Split::kHoldout : Split::kTrain;
    if (moved.split == Split::kTrain) moved.retired = made_.next.version;
    if (staying == 0 || staying == segment.rows) return made_.next.segments.push_back(std::move(moved)), Status();
    const std::string to = staging_ + "/" + std::to_string(made_.files.size());
    RATCHET_ASSIGN(const auto parts, Divide(pack, before_.split, [&](std::uint64_t hash) { return StaysSealed(hash); }, to));
    for (const IngestedPack& part : parts) {
      made_.files.push_back({part.path, part.sha256});
      made_.next.segments.push_back({part.split, part.sha256, part.rows, part.bytes, segment.push,
                                     part.split == Split::kTrain ? made_.next.version : 0});
    }
    return {};
  }

  // The keys of this rotation and of those before it.
  Status ListKeys() {
    if (before_.retired) {
      RATCHET_ASSIGN(const auto earlier, RetiredKeys::Open(pack_path_(before_.retired->keys)));
      for (std::size_t i = 0; i < earlier->size(); ++i) retired_.push_back(earlier->At(i));
    }
    Distinct(retired_);
    if (retired_.size() > kMaxRetiredKeys)
      return Fail(ErrorCode::kTooLarge, kOperation, before_.dataset, "there would be more than " + std::to_string(kMaxRetiredKeys) + " retired keys",
                  "Begin a new dataset");
    const std::string path = staging_ + "/retired-keys";
    RATCHET_TRY(RetiredKeys::Write(path, retired_));
    RATCHET_ASSIGN(const std::string sha256, Sha256File(path));
    made_.files.push_back({path, sha256});
    const std::int64_t until = std::max(until_push_, before_.retired ? before_.retired->until_push : 0);
    made_.next.retired = Retired{.until_push = until, .keys = sha256, .count = static_cast<std::int64_t>(retired_.size())};
    return {};
  }

  const Manifest& before_;
  const std::int64_t until_push_;
  const PackPath& pack_path_;
  const std::string& staging_;
  Hashes still_sealed_, retired_;
  StagedRotation made_;
};

}  // namespace

Result<StagedRotation> RotateHoldout(const Manifest& before, std::int64_t until_push, const PackPath& pack_path,
                                     const std::string& staging) {
  return Rotator(before, until_push, pack_path, staging).Run();
}

Result<std::vector<IngestedPack>> TakeRetired(const std::string& holdout_pack, const SplitPolicy& policy, const RetiredKeys& retired,
                                              const std::string& staging) {
  bool any = false;
  RATCHET_TRY(EachRow(holdout_pack, policy, [&](std::uint64_t hash, std::span<const Cell>) -> Status {
    any |= retired.Has(hash);
    return {};
  }));
  if (!any) return std::vector<IngestedPack>();
  return Divide(holdout_pack, policy, [&](std::uint64_t hash) { return !retired.Has(hash); }, staging + "/again");
}

}  // namespace ratchet::lake
