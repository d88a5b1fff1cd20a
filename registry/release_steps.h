#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/models.h"
#include "registry/records.h"

// Releases on their way: the share of traffic that a version gets before it is live, what was seen of it, and who lets it
// through. The version itself goes live by CommitRelease, as any other.
namespace ratchet::registry {

struct TrafficArm {
  std::string role;  // canary, shadow, ab
  std::int64_t version = 0;
  double share = 0;  // of the model's traffic, 0 < s ≤ 1; of a shadow: of what is copied
};

// Who beside the live version gets traffic. Arms other than a shadow's divide it: what they leave is the live version's.
struct TrafficSplit {
  std::string mode;  // shadow, canary, ab
  std::vector<TrafficArm> arms;
};
Json SplitJson(const TrafficSplit& split);
std::optional<TrafficSplit> SplitFromJson(const Json& json);  // nothing where it is none

// Releases that share traffic or wait for an approval, oldest first.
std::vector<Release> SharedReleases(Db& db);

// The release is in this step from now on: state watching, the split in the route, its epoch one higher. kConflict when the
// release has ended, or is further on already.
Status ShiftRelease(Db& db, std::int64_t now_us, std::int64_t release, std::int64_t step, const TrafficSplit& split);
// It has passed all that was to be watched and waits for someone's word; the split stays as it is.
Status AwaitApproval(Db& db, std::int64_t now_us, std::int64_t release);
// Ends it without a change of what is live, because harm was proven. `evidence` stays in the record.
Status RollBackRelease(Db& db, std::int64_t now_us, std::int64_t release, const std::string& harm, const Json& evidence);

// The latest of what the watch says, and how far it has come. Nothing for a release that has ended.
struct WatchNote {
  Json evidence;
  std::int64_t watched_us = 0;
  std::optional<std::int64_t> watched_at = {};
};
void NoteWatch(Db& db, std::int64_t release, const WatchNote& note);

struct ReplicaCounts {
  std::int64_t step = 0;
  double share = 0;
  std::string replica, instance;
  Json counts;
};
// Replaces what the same process told of the same step.
void KeepCounts(Db& db, std::int64_t release, const ReplicaCounts& counts);
std::vector<ReplicaCounts> CountsOf(Db& db, std::int64_t release);  // by step

// Someone lets the model's release under way go live: it does so with the next tick. kConflict where none waits for that:
// none is under way, or it watches a canary or shadow that is to go live by itself.
Result<Release> ApproveRelease(Db& db, std::int64_t now_us, const std::string& model, const std::string& actor, const std::string& reason);
// Someone ends the model's release under way; the live version gets all traffic again, and the run that made the release is
// asked to end. kConflict where none is under way.
Result<Release> AbortUnderWay(Db& db, std::int64_t now_us, const std::string& model, const std::string& actor, const std::string& reason);
// Whether a release of this version ended because harm was proven.
bool WasHarmful(Db& db, const std::string& model, std::int64_t version);

}  // namespace ratchet::registry
