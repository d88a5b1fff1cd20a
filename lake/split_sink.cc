#include "lake/split_sink.h"

#include <filesystem>

#include "base/digest.h"
#include "base/files.h"

namespace ratchet::lake {

Status SplitSink::Begin(const Schema& schema) {
  RATCHET_TRY(CheckSchema(schema));
  RATCHET_TRY(CheckSplitKey(policy_, schema));
  schema_ = schema;
  splitter_.emplace(policy_, schema_, retired_);
  return {};
}

Status SplitSink::Add(std::span<const Cell> row) {
  RATCHET_CHECK(splitter_.has_value() && row.size() == schema_.columns.size());
  const Split split = splitter_->Of(row);
  auto& writer = writers_[static_cast<std::size_t>(split)];
  if (!writer) {
    RATCHET_ASSIGN(writer, PackWriter::Create(folder_ + "/" + std::string(SplitName(split)) + ".pack", schema_));
  }
  return writer->Add(row);
}

Result<IngestResult> SplitSink::Finish() {
  IngestResult result{.schema = schema_};
  // All packs are on their way to the disk while the digests are made.
  for (auto& writer : writers_) {
    if (writer) RATCHET_TRY(writer->FinishUnsynced());
  }
  for (Split split : {Split::kTrain, Split::kValidation, Split::kHoldout}) {
    auto& writer = writers_[static_cast<std::size_t>(split)];
    if (!writer) continue;
    IngestedPack pack{.split = split, .path = folder_ + "/" + std::string(SplitName(split)) + ".pack"};
    pack.rows = writer->rows();
    std::error_code error;
    pack.bytes = static_cast<std::int64_t>(std::filesystem::file_size(pack.path, error));
    if (error) return FailErrno("measure", pack.path, error.value());
    RATCHET_ASSIGN(pack.sha256, Sha256File(pack.path));
    RATCHET_TRY(SystemFiles().Sync(pack.path));
    result.rows += pack.rows;
    result.packs.push_back(std::move(pack));
  }
  if (result.rows == 0) {
    return Fail(ErrorCode::kInvalid, "take in the data", "", "there is not one row in it", "Push at least one row");
  }
  return result;
}

}  // namespace ratchet::lake
