#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/manifest.h"
#include "lake/retired_keys.h"

// Sealed rows that are worn out become training rows: the one exception to "a row keeps its split for ever", made so that
// it cannot be undone by accident. The decision which rows are spent is pipeline/holdout_plan.h's.
namespace ratchet::lake {

// Where the pack of a digest lies.
using PackPath = std::function<std::string(const std::string& sha256)>;

struct StagedFile {
  std::string path, sha256;  // synced, in the staging folder; the caller moves it to where its digest leads
};

struct StagedRotation {
  Manifest next;                    // the version after: its packs are those of before and `files`
  std::vector<StagedFile> files;    // the list of retired keys, and packs that had to be divided
  std::int64_t rows = 0;            // of the holdout before, of training now
  std::int64_t withheld = 0;        // of these pushes, and still sealed: see below
};

// The version in which the holdout rows of the pushes up to `until_push` are training rows. Their keys are listed in the
// manifest, so that a row of the same key that a later push brings is a training row, too (Splitter). A row whose key also
// stands in the holdout of a later push stays sealed with its twin, and goes when that goes. No pack is changed: where all
// rows of one go, it is only called otherwise. `staging`: an existing folder of the caller's own. kConflict: there is no
// such row; kTooLarge beyond kMaxRetiredKeys.
Result<StagedRotation> RotateHoldout(const Manifest& before, std::int64_t until_push, const PackPath& pack_path,
                                     const std::string& staging);

// The packs of a push that was dealt out before these keys were retired: its holdout pack anew, without their rows, which
// become a pack for training. Nothing where it has none of them; else what takes that pack's place.
Result<std::vector<IngestedPack>> TakeRetired(const std::string& holdout_pack, const SplitPolicy& policy, const RetiredKeys& retired,
                                              const std::string& staging);

}  // namespace ratchet::lake
