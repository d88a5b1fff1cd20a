#pragma once

#include <optional>
#include <stop_token>

#include "daemon/api.h"
#include "registry/feedback_batches.h"
#include "registry/pipelines.h"

namespace ratchet::daemon {

// The dataset's newest version; 0 where there is none.
Result<std::int64_t> LatestVersionOf(Api& api, const std::string& dataset);

// Brings a batch of feedback into its dataset, or finds that it is there already, and says what came of it; nothing where
// it was stopped. A dataset that is not there gets schema and split of the pipeline's own. Each row's split follows from
// its key as in any push; a row whose key stands in the holdout already is left out. Errors: those of a push; the batch
// stays open then.
Result<std::optional<registry::BatchEnd>> PushBatch(Api& api, const registry::FeedbackPlan& plan,
                                                    const registry::FeedbackBatch& batch, const std::stop_token& stop);

}  // namespace ratchet::daemon
