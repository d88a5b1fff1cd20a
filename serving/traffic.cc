#include "serving/traffic.h"

#include <simdjson.h>

#include <charconv>
#include <string>

#include "base/digest.h"

namespace ratchet::serving {
namespace {

constexpr size_t kMaxBodyLookedInto = 1u << 20;  // a larger one without the header goes by its prediction id
constexpr size_t kMaxKeyBytes = 1024;

std::string VersionList(const ServedModel& model) {
  std::string text;
  for (const auto& [version, served] : model.ready) text += (text.empty() ? "" : ", ") + std::to_string(version);
  return text.empty() ? "none yet" : text;
}

Result<Picked> PickNamed(const ServedModel& model, std::int64_t named) {
  if (auto found = model.ready.find(named); found != model.ready.end()) return Picked{.version = found->second, .role = "version"};
  return std::unexpected(Error{.code = ErrorCode::kNotFound,
                               .cause = "version " + std::to_string(named) + " of model " + model.name +
                                        " is not served here (served: " + VersionList(model) + ")"});
}

Picked PickShared(const ServedModel& model, const StickyKey& key) {
  const ServedSplit& split = *model.split;
  const double place = PlaceOf(split.release, key.text);
  double end = 0;
  for (const ServedSplit::Arm& arm : split.arms) {
    end += arm.share;
    if (split.mode == SplitMode::kShadow)
      return {.version = model.live, .keyed = key.given, .shadow = place < arm.share ? model.split : nullptr};
    if (place < end)
      return {.version = arm.version, .role = arm.role, .share = arm.share, .keyed = key.given, .counter = arm.counter};
  }
  return {.version = model.live, .share = 1 - end, .keyed = key.given, .counter = split.live_counter};
}

// The JSON of a body: all of it, or its beginning where tensors follow in binary form.
std::string_view JsonPart(const HttpRequest& request) {
  std::string_view body = request.body;
  const std::string* length = request.Header("inference-header-content-length");
  size_t bytes = body.size();
  if (length) std::from_chars(length->data(), length->data() + length->size(), bytes);
  return body.substr(0, bytes);
}

// `parameters.sticky_key`, a text or a whole number, else `id`; empty where the body has neither, or is no JSON.
std::string KeyInBody(const HttpRequest& request) {
  const std::string_view text = JsonPart(request);
  if (text.empty() || text.size() > kMaxBodyLookedInto || request.Header("content-encoding")) return "";
  const simdjson::padded_string padded(text);
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (parser.parse(padded).get(document) != simdjson::SUCCESS || !document.is_object()) return "";
  std::string_view key;
  if (document["parameters"]["sticky_key"].get_string().get(key) == simdjson::SUCCESS) return std::string(key);
  std::int64_t number = 0;
  if (document["parameters"]["sticky_key"].get_int64().get(number) == simdjson::SUCCESS) return std::to_string(number);
  return document["id"].get_string().get(key) == simdjson::SUCCESS ? std::string(key) : "";
}

}  // namespace

StickyKey StickyKeyOf(const ServedModel& model, const HttpRequest& request, const std::string& prediction_id) {
  if (!model.split) return {.text = prediction_id};
  const std::string* header = request.Header("ratchet-sticky-key");
  std::string key = header ? *header : KeyInBody(request);
  if (key.empty()) return {.text = prediction_id};
  if (key.size() > kMaxKeyBytes) key.resize(kMaxKeyBytes);
  return {.text = std::move(key), .given = true};
}

void CountPicked(const Picked& picked, int status, std::int64_t took_us) {
  if (picked.counter && (status < 400 || status >= 500)) picked.counter->Count(status >= 500, picked.keyed, took_us);
}

double PlaceOf(std::int64_t release, std::string_view key) {
  std::string text("ratchet-split-1\0", 16);
  text += std::to_string(release);
  text += '\0';
  text += key;
  Sha256 digest;
  digest.Update(text);
  return static_cast<double>(digest.FinishU64() >> 11) * 0x1p-53;
}

Result<Picked> PickVersion(const ServedModel& model, std::optional<std::int64_t> named, const StickyKey& key) {
  if (named) return PickNamed(model, *named);
  if (model.live && model.split && !key.text.empty()) return PickShared(model, key);
  if (model.live) return Picked{.version = model.live};
  return std::unexpected(
      Error{.code = ErrorCode::kUnavailable, .cause = "model " + model.name + " has no live version ready"});
}

}  // namespace ratchet::serving
