#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lake/ingest.h"
#include "lake/schema.h"
#include "lake/split.h"

namespace ratchet::lake {

// One adopted pack of a dataset.
struct Segment {
  Split split = Split::kTrain;
  std::string sha256;
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
  std::int64_t push = 0;     // the version whose push brought it
  std::int64_t retired = 0;  // the version that took it out of the holdout into training; 0: none did

  bool operator==(const Segment&) const = default;
};

struct SplitRows {
  std::int64_t train = 0, validation = 0, holdout = 0;
  bool operator==(const SplitRows&) const = default;
};

// What rotations have taken out of the holdout so far.
struct Retired {
  std::int64_t until_push = 0;  // holdout rows of the pushes up to this one
  std::string keys;             // SHA-256 of the list of their keys (lake/retired_keys.h)
  std::int64_t count = 0;       // how many keys

  bool operator==(const Retired&) const = default;
};

// Which batch of feedback a version's push was: it tells whether a batch that was under way when its process died has come
// in. The numbers are those of events.db.
struct FeedbackPush {
  std::string model;
  std::int64_t batch = 0;

  bool operator==(const FeedbackPush&) const = default;
};

// What a dataset version is made of (docs/formats.md). Version 0 with no segments stands for a dataset before its first
// push; it is never stored.
struct Manifest {
  std::string dataset;
  std::int64_t version = 0;
  Schema schema;
  SplitPolicy split;
  std::vector<Segment> segments;
  std::optional<Retired> retired = std::nullopt;
  std::optional<FeedbackPush> feedback = std::nullopt;  // of this version's own push

  bool operator==(const Manifest&) const = default;
};

// The version after `previous`: its segments and the pushed ones. The packs must have been made with the schema and the
// split of `previous`.
Manifest NextManifest(const Manifest& previous, const std::vector<IngestedPack>& pushed);

SplitRows RowsOf(const Manifest& manifest);
SplitRows RowsOf(const std::vector<IngestedPack>& packs);

// Digests of a split's packs in the order of their pushes: what the packs are called in the blob store.
std::vector<std::string> SegmentDigests(const Manifest& manifest, Split split);

// The JSON form; the same manifest always gives the same bytes, for its digest is the version's address.
std::string ManifestToJson(const Manifest& manifest);
// kCorrupt for anything but a manifest of format 1 whose counts add up.
Result<Manifest> ManifestFromJson(std::string_view json);

}  // namespace ratchet::lake
