#pragma once

#include <simdjson.h>

#include "base/result.h"
#include "serving/v2_protocol.h"

// The members that requests of all dialects have in common. Null is as absent.
namespace ratchet::serving::v2 {

Status ReadId(simdjson::ondemand::value& value, InferRequest& request);
// key, timeout, binary_data_output; others mean nothing here.
Status ReadParameters(simdjson::ondemand::value& value, InferRequest& request);

}  // namespace ratchet::serving::v2
