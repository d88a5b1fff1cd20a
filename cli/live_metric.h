#pragma once

#include <string>

#include "cli/context.h"

namespace ratchet::cli {

// Below a model: how its versions do by the outcomes that are known. Nothing where there are no predictions yet, or the
// server is too old to say.
Status PrintLiveMetric(Context& context, Client& client, const std::string& model);

}  // namespace ratchet::cli
