#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "serving/model_host.h"

namespace ratchet::serving {

inline constexpr size_t kMaxLoggedInputBytes = 1u << 20;  // larger inputs are left out of the record, and it says so

// One answered infer request, on its way into the prediction log.
struct AnsweredRequest {
  ServedVersionPtr version;
  std::string id;            // the prediction's own
  std::string key;           // of the case, as the client gave it; empty = none
  std::string role = "live";  // or "version", where the client named one
  double share = 1;          // of the traffic that went this way
  std::shared_ptr<const LogSettings> settings = {};  // the model's; null = none
  std::int64_t rows = 0;
  std::int64_t at_us = 0;    // wall time of its admission
  std::int64_t latency_us = 0;
  std::string request_body;  // as it came: a request of the Open Inference Protocol that was found sound
  std::string answer_body;   // with all outputs

  size_t Bytes() const { return sizeof *this + id.size() + key.size() + request_body.size() + answer_body.size(); }
};

// The record as one JSON object without line breaks (docs/formats.md, "Predictions"). Of inputs that are named in
// `redacted` or the model's settings, by their name or by their column's, the data is left out. Pure; any thread.
std::string RecordJson(const AnsweredRequest& answered, const std::set<std::string>& redacted);

}  // namespace ratchet::serving
