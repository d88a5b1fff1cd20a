#pragma once

#include <optional>
#include <string>
#include <vector>

#include "registry/db.h"
#include "registry/holdout.h"
#include "registry/records.h"

// Models, their versions, and the releases that change what serves.
namespace ratchet::registry {

struct VersionInput {
  std::string model, metric;
  std::int64_t run = 0;
  std::string bundle;  // SHA-256 of the manifest blob
  std::int64_t bundle_bytes = 0;
  Json manifest;
  std::string recipe, dataset;
  std::int64_t dataset_version = 0;
};

// Adds the run's candidate as the model's next version (making the model at its first). A run has one: asked again, the
// same is returned. Event version.created.
Result<Version> CreateVersion(Db& db, std::int64_t now_us, const VersionInput& input);
Result<Model> GetModel(Db& db, const std::string& name);  // kNotFound
Page<Model> ListModels(Db& db, int limit, const std::optional<std::string>& after);  // by name
Result<Version> GetVersion(Db& db, const std::string& model, std::int64_t version);  // kNotFound
// Whether a blob is the manifest or the model of some version's bundle.
bool IsBundleFile(Db& db, const std::string& sha256);
Page<Version> ListVersions(Db& db, const std::string& model, int limit, const std::optional<std::string>& after);  // newest first

struct DecisionInput {
  Json report;              // docs/formats.md, "Decision"
  std::string verdict;      // better, not_better, …, live_unscorable
  std::optional<double> score, opponent;  // none: nothing was scored
  double p_value = 1;
  std::string opponent_kind;
  std::optional<std::int64_t> opponent_version;
  std::int64_t rows = 0;
  std::optional<std::string> scores;  // SHA-256 of the scores pack
  bool promotes = false;    // the verdict lets it go on
  std::optional<HoldoutLook> look;  // none: tested before there was a ledger
};
// Stores the gate's report and moves the version to passed (where the verdict promotes) or rejected. Notes the look at the
// holdout, where rows were scored. kConflict for a version that has been released or rejected: its decision stands; and for
// a look that is not the epoch's next.
// Event decision, audit entry; a second one where the live version could not be scored.
Status RecordDecision(Db& db, std::int64_t now_us, const std::string& model, std::int64_t version,
                      const DecisionInput& input);

// What serves: the live version, and the route epoch at which it became that. Back at the same version by a rollback is
// another state. An epoch that is not known (of before it was noted) equals any.
struct LiveState {
  std::optional<std::int64_t> version;
  std::optional<std::int64_t> epoch;
};
bool Same(const LiveState& a, const LiveState& b);
LiveState LiveStateOf(Db& db, const std::string& model);  // nothing live, epoch 0, for a model that is not there
// The version that was live when the gate judged this one; nothing where none was. That it had to be judged against a
// baseline all the same (docs/gate.md, "baseline: reset") makes no difference here.
std::optional<std::int64_t> JudgedAgainst(const Version& version);

enum class ReleaseKind { kPromote, kForce, kRollback };
struct ReleaseInput {
  std::string model;
  std::int64_t to = 0;
  ReleaseKind kind = ReleaseKind::kPromote;
  std::string actor, reason;
  std::optional<std::int64_t> run;
  std::optional<LiveState> expected;  // what is live; kConflict when another is, or has been in between. Unset = any
  std::string strategy = "immediate";
  std::optional<Json> plan = {};      // of what comes between loading and live; none: nothing does
};
// Starts a release: the replicas are told to load the version; it goes live with CommitRelease. kConflict: it is live
// already, another release is under way, `expected` does not hold; and unless forced: the gate has not passed it, or has
// judged it against another version than the live one, or a release of it has done proven harm.
Result<Release> BeginRelease(Db& db, std::int64_t now_us, const ReleaseInput& input);
// Makes the release's version live, in one transaction with route epoch, event and audit entry. kConflict when the live
// version is not the release's `from` any more, or another release has been done since this one began.
Result<Release> CommitRelease(Db& db, std::int64_t now_us, std::int64_t release);
Status FailRelease(Db& db, std::int64_t now_us, std::int64_t release, const std::string& error);
// Ends a release that is under way without a change of what is live. kConflict when it has ended.
Status AbortRelease(Db& db, std::int64_t now_us, std::int64_t release, const std::string& why);
void SetReleaseTook(Db& db, std::int64_t release, double took_ms);
// Goes back to `to`, or to the previous version. To the previous one (which the replicas keep warm) it is done at once;
// an older one is loaded first (state loading). A release under way is aborted. kConflict: nothing to go back to, or
// the version never served.
Result<Release> Rollback(Db& db, std::int64_t now_us, const std::string& model, std::optional<std::int64_t> to,
                         const std::string& actor, const std::string& reason);
Result<Release> GetRelease(Db& db, std::int64_t id);  // kNotFound
Page<Release> ListReleases(Db& db, const std::string& model, int limit, const std::optional<std::string>& after);
std::vector<Release> LoadingReleases(Db& db);
// The model's release that has not ended.
std::optional<Release> ReleaseUnderWay(Db& db, const std::string& model);
// The newest release by force that brought this version live.
std::optional<Release> ForcedRelease(Db& db, const std::string& model, std::int64_t version);
// The newest release made by this run.
std::optional<Release> ReleaseOfRun(Db& db, std::int64_t run);

struct RouteTarget {
  std::int64_t version = 0;
  std::string bundle;
};
struct Route {
  std::string model;
  std::int64_t epoch = 0;
  std::optional<RouteTarget> live, previous, loading;
  // Who shares the traffic while a release is on its way.
  struct Arm {
    std::string role;
    RouteTarget target;
    double share = 0;
  };
  struct Split {
    std::int64_t release = 0, step = 0;
    std::string mode;
    std::vector<Arm> arms;
  };
  std::optional<Split> split = {};
};
struct RouteTable {
  std::int64_t revision = 0;  // grows with every change of any route
  std::vector<Route> routes;
};
RouteTable Routes(Db& db);
Result<Route> RouteOf(Db& db, const std::string& model);  // kNotFound
std::int64_t RouteRevision(Db& db);

}  // namespace ratchet::registry
