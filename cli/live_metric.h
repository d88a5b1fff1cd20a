#pragma once

#include <cstdint>
#include <string>

#include "cli/context.h"

namespace ratchet::cli {

// Beside the figure of each version.
struct LiveMetricView {
  std::string slice;        // a column: also by its values; empty = not
  std::int64_t span_s = 0;  // also over time, by spans of this; 0 = not
};
// The route that tells it.
std::string LiveMetricPath(const std::string& model, const LiveMetricView& view);

// Below a model: how its versions do by the outcomes that are known, and what has become of these. Nothing where there
// are no predictions yet, or the server is too old to say.
Status PrintLiveMetric(Context& context, Client& client, const std::string& model, const LiveMetricView& view = {});

}  // namespace ratchet::cli
