#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/spec.h"
#include "registry/holdout.h"
#include "registry/records.h"

// What the next look at the sealed rows could prove, told before training time is spent. Pure, and from figures alone that
// decision reports have shown already: no row and no score of the holdout is looked at for it.
namespace ratchet::pipeline {

struct ForecastCase {
  GateSpec gate;
  std::string metric;
  std::int64_t live = 0;
  registry::HoldoutEpoch epoch;            // on which the next candidate will be judged, with its looks so far
  std::int64_t unseen_rows = 0;            // sealed rows that came after that epoch
  double holdout_share = 0;                // of the rows that are pushed; 0: not known
  std::vector<registry::Version> decided;  // versions of the model, newest first; those without a decision are passed over
};

// docs/formats.md, "Forecast". Null where there is nothing to go by: no decision by this metric against the live version, or
// that let it in.
//
// - How much candidates differ from the live version is taken from the newest decision against it, else from the one that
//   let it in: the share of rows on which both sides differed (right or wrong), or the spread that the shown interval
//   stands for (gate::SpreadOfInterval). Where it was let in against a baseline, of which a model differs more, that share
//   is at most what two models that err independently have; of other scores there is no forecast then.
// - detectable_gain: the least true gain, in the metric's unit, that the look would prove with 80 % power at its level; the
//   rule's bar (better_by, −margin) is in it.
// - realistic_gain: half of the error that the live version still has (1 − its score, or where lower is better the score
//   itself); and no more than the best of the newest five promotions over a live version gained, where there are three.
registry::Json ForecastLook(const ForecastCase& at);

}  // namespace ratchet::pipeline
