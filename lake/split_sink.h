#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lake/ingest.h"
#include "lake/pack.h"
#include "lake/split.h"

namespace ratchet::lake {

// Deals typed rows out to one pack a split. One thread.
class SplitSink {
 public:
  // Packs are made in `folder`, as train.pack, validation.pack and holdout.pack.
  SplitSink(SplitPolicy policy, std::string folder, std::shared_ptr<const RetiredKeys> retired = nullptr)
      : policy_(std::move(policy)), folder_(std::move(folder)), retired_(std::move(retired)) {}

  // Once, before the first row: checks the schema and the split's key.
  Status Begin(const Schema& schema);
  Status Add(std::span<const Cell> row);
  // Finishes, syncs and digests the packs. kInvalid when there was no row.
  Result<IngestResult> Finish();

 private:
  const SplitPolicy policy_;
  const std::string folder_;
  const std::shared_ptr<const RetiredKeys> retired_;
  Schema schema_;
  std::optional<Splitter> splitter_;
  std::array<std::unique_ptr<PackWriter>, 3> writers_;  // by Split; made with the first row
};

}  // namespace ratchet::lake
