#include "lake/manifest.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/names.h"

namespace ratchet::lake {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

void Count(SplitRows& rows, Split split, std::int64_t more) {
  switch (split) {
    case Split::kTrain:
      rows.train += more;
      break;
    case Split::kValidation:
      rows.validation += more;
      break;
    case Split::kHoldout:
      rows.holdout += more;
      break;
  }
}

std::unexpected<Error> Corrupt(std::string cause) {
  return Fail(ErrorCode::kCorrupt, "read the dataset manifest", "", std::move(cause));
}

OrderedJson RowsJson(const SplitRows& rows) {
  return {{"train", rows.train}, {"validation", rows.validation}, {"holdout", rows.holdout}};
}

Result<Segment> SegmentFromJson(const Json& json, std::int64_t version) {
  Segment segment;
  RATCHET_ASSIGN(segment.split, SplitFromName(json.at("split").get<std::string>()));
  segment.sha256 = json.at("sha256").get<std::string>();
  segment.rows = json.at("rows").get<std::int64_t>();
  segment.bytes = json.at("bytes").get<std::int64_t>();
  segment.push = json.at("push").get<std::int64_t>();
  segment.retired = json.value("retired", std::int64_t{0});
  if (!IsSha256Hex(segment.sha256)) return Corrupt("a segment's sha256 is no digest");
  if (segment.rows < 1 || segment.bytes < 1) return Corrupt("a segment is empty");
  if (segment.push < 1 || segment.push > version) return Corrupt("a segment's push is no version of this dataset");
  if (segment.retired != 0 && (segment.retired <= segment.push || segment.retired > version || segment.split != Split::kTrain))
    return Corrupt("a segment was retired by what is no later version, or is no training segment");
  return segment;
}

Result<std::optional<Retired>> RetiredFromJson(const Json& json, std::int64_t version) {
  const auto found = json.find("retired");
  if (found == json.end()) return std::nullopt;
  Retired retired{.until_push = found->at("until_push"), .keys = found->at("keys"), .count = found->at("count")};
  if (!IsSha256Hex(retired.keys) || retired.count < 1 || retired.until_push < 1 || retired.until_push > version)
    return Corrupt("its retired keys are not valid");
  return retired;
}

Result<Manifest> FromJson(const Json& json) {
  if (json.at("format").get<std::int64_t>() != 1) return Corrupt("its format is not 1");
  Manifest manifest{.dataset = json.at("dataset").get<std::string>(),
                    .version = json.at("version").get<std::int64_t>()};
  if (!CheckName("dataset", manifest.dataset) || manifest.version < 1)
    return Corrupt("its name or version is not valid");
  auto schema = SchemaFromJson(json.at("schema").dump());
  if (!schema) return Corrupt(schema.error().Message());
  manifest.schema = std::move(*schema);
  const Json& split = json.at("split");
  manifest.split.validation = split.at("validation").get<double>();
  manifest.split.holdout = split.at("holdout").get<double>();
  if (!split.at("key").is_null()) manifest.split.key = split.at("key").get<std::string>();
  auto checked = CheckSplitPolicy(manifest.split);
  if (checked) checked = CheckSplitKey(manifest.split, manifest.schema);
  if (!checked) return Corrupt(checked.error().Message());
  for (const Json& entry : json.at("segments")) {
    auto segment = SegmentFromJson(entry, manifest.version);
    if (!segment) return Corrupt(segment.error().Message());
    manifest.segments.push_back(std::move(*segment));
  }
  RATCHET_ASSIGN(manifest.retired, RetiredFromJson(json, manifest.version));
  if (const auto feedback = json.find("feedback"); feedback != json.end())
    manifest.feedback = FeedbackPush{.model = feedback->at("model"), .batch = feedback->at("batch")};
  if (json.at("rows") != Json(RowsJson(RowsOf(manifest)))) return Corrupt("its counts of rows do not add up");
  return manifest;
}

}  // namespace

Manifest NextManifest(const Manifest& previous, const std::vector<IngestedPack>& pushed) {
  Manifest next = previous;
  ++next.version;
  next.feedback = std::nullopt;
  for (const IngestedPack& pack : pushed) {
    next.segments.push_back({pack.split, pack.sha256, pack.rows, pack.bytes, next.version, 0});
  }
  return next;
}

SplitRows RowsOf(const Manifest& manifest) {
  SplitRows rows;
  for (const Segment& segment : manifest.segments) Count(rows, segment.split, segment.rows);
  return rows;
}

SplitRows RowsOf(const std::vector<IngestedPack>& packs) {
  SplitRows rows;
  for (const IngestedPack& pack : packs) Count(rows, pack.split, pack.rows);
  return rows;
}

std::vector<std::string> SegmentDigests(const Manifest& manifest, Split split) {
  std::vector<std::string> digests;
  for (const Segment& segment : manifest.segments) {
    if (segment.split == split) digests.push_back(segment.sha256);
  }
  return digests;
}

std::string ManifestToJson(const Manifest& manifest) {
  OrderedJson json{{"format", 1}, {"dataset", manifest.dataset}, {"version", manifest.version}};
  json["schema"] = OrderedJson::parse(SchemaToJson(manifest.schema));
  json["split"] = OrderedJson{{"validation", manifest.split.validation}, {"holdout", manifest.split.holdout}};
  json["split"]["key"] = manifest.split.key ? OrderedJson(*manifest.split.key) : OrderedJson(nullptr);
  json["segments"] = OrderedJson::array();
  for (const Segment& segment : manifest.segments) {
    json["segments"].push_back({{"split", SplitName(segment.split)},
                                {"sha256", segment.sha256},
                                {"rows", segment.rows},
                                {"bytes", segment.bytes},
                                {"push", segment.push}});
    if (segment.retired > 0) json["segments"].back()["retired"] = segment.retired;
  }
  json["rows"] = RowsJson(RowsOf(manifest));
  if (manifest.retired)
    json["retired"] = OrderedJson{{"until_push", manifest.retired->until_push}, {"keys", manifest.retired->keys}, {"count", manifest.retired->count}};
  if (manifest.feedback) json["feedback"] = OrderedJson{{"model", manifest.feedback->model}, {"batch", manifest.feedback->batch}};
  return json.dump();
}

Result<Manifest> ManifestFromJson(std::string_view text) {
  try {
    return FromJson(Json::parse(text));
  } catch (const Json::exception& error) {
    return Corrupt(error.what());
  }
}

}  // namespace ratchet::lake
