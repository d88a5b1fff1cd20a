#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serving/http_messages.h"
#include "serving/model_host.h"

namespace ratchet::serving {

// The version that answers a request, and on what terms it came to it.
struct Picked {
  ServedVersionPtr version;
  std::string role = "live";  // or "version", where the client named one; canary, ab
  double share = 1;           // probability with which such a request goes this way
  bool keyed = false;         // a sticky key chose
  std::shared_ptr<ArmCounter> counter = {};        // counts its answer; null: nobody does
  std::shared_ptr<const ServedSplit> shadow = {};  // a copy goes to this split's arm; then both answers are counted together
};

// What keeps a client with one version where several share the traffic.
struct StickyKey {
  std::string text;
  bool given = false;  // by the client
};
// Of a request for this model: the header `ratchet-sticky-key`, else the JSON body's `parameters.sticky_key`, else its `id`, else
// `prediction_id`. The body is looked into only while traffic is shared.
StickyKey StickyKeyOf(const ServedModel& model, const HttpRequest& request, const std::string& prediction_id);

// Decides which version of a model answers one request: the named one; else by the key, where a release on its way shares
// the traffic; else, and without a key, the live one. The same key meets the same version all through a step, and an arm that grows keeps its keys.
// kNotFound where the named version is not served here, kUnavailable where no version is ready. Pure; any thread.
Result<Picked> PickVersion(const ServedModel& model, std::optional<std::int64_t> named, const StickyKey& key);

// Counts an answer for the release under way: what a client got wrong (4xx) says nothing of the version.
void CountPicked(const Picked& picked, int status, std::int64_t took_us);

// Where a key stands in [0, 1), for one release: the first 8 bytes of SHA-256("ratchet-split-1\0RELEASE\0KEY"), big-endian, as a
// fraction of 2^64. The first arm has [0, its share), the next what follows, the live version the rest.
double PlaceOf(std::int64_t release, std::string_view key);

}  // namespace ratchet::serving
