#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/names.h"
#include "lake/expectation_pattern.h"
#include "lake/expectations.h"
#include "lake/time_text.h"

namespace ratchet::lake {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostFaults = 50;
constexpr std::size_t kMostAllowedValues = 10'000;

const std::vector<std::string> kColumnKeys = {"column",   "in",     "min",     "max", "missing_at_most",
                                              "not_null", "unique", "matches", "type"};
const std::vector<std::string> kLikeKeys = {"like", "columns", "psi_at_most", "ks_at_most"};
const std::vector<std::string> kAllKeys = {"column",   "in",     "min",     "max",         "missing_at_most",
                                           "not_null", "unique", "matches", "type",        "rows",
                                           "fresh",    "like",   "columns", "psi_at_most", "ks_at_most"};

std::string Describe(const Json& json) {
  if (json.is_object()) return "a map";
  if (json.is_array()) return "a list";
  if (json.is_string()) return Quoted(json.get_ref<const std::string&>());
  return "'" + json.dump(-1, ' ', false, Json::error_handler_t::replace) + "'";
}

// One map of an entry. Each reader notes a fault, or leaves its target alone where the key is absent.
class Reader {
 public:
  Reader(const Json& json, std::string path, std::vector<FieldError>& faults)
      : json_(json), path_(std::move(path)), faults_(faults) {}

  bool Has(const std::string& key) const { return json_.contains(key); }
  const Json& At(const std::string& key) const { return json_.at(key); }
  std::string PathOf(const std::string& key) const { return path_ + "." + key; }
  void Fault(const std::string& key, std::string detail) {
    if (faults_.size() < kMostFaults) faults_.push_back({.field = PathOf(key), .detail = std::move(detail)});
  }
  void MustBe(const std::string& key, std::string_view allowed) {
    Fault(key, fmt::format("must be {}, not {}", allowed, Describe(At(key))));
  }

  // `elsewhere`: keys that exist, but do not go with this form of an entry.
  void CheckKeys(const std::vector<std::string>& known, const std::vector<std::string>& elsewhere,
                 std::string_view form) {
    for (const auto& [key, value] : json_.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      if (std::find(elsewhere.begin(), elsewhere.end(), key) != elsewhere.end()) {
        Fault(key, fmt::format("does not go with {}; make it an entry of its own", form));
        continue;
      }
      const std::string near = NearestName(key, elsewhere.empty() ? known : elsewhere);
      Fault(key, near.empty() ? fmt::format("is no key of an expectation; there are {}", fmt::join(known, ", "))
                              : fmt::format("is no key of an expectation; did you mean '{}'?", near));
    }
  }

  template <typename Target>
  void Number(const std::string& key, std::string_view allowed, Target& to, double least, double most) {
    if (!Has(key)) return;
    const double value = At(key).is_number() ? At(key).get<double>() : NAN;
    if (value >= least && value <= most && std::isfinite(value))
      to = value;
    else
      MustBe(key, allowed);
  }

  void Whole(const std::string& key, std::optional<std::int64_t>& to) {
    if (!Has(key)) return;
    const bool whole = At(key).is_number_integer() && At(key).get<double>() >= 0 && At(key).get<double>() < 9e18;
    if (whole)
      to = At(key).get<std::int64_t>();
    else
      MustBe(key, "a whole number of at least 0");
  }

  void Flag(const std::string& key, bool& to) {
    if (!Has(key)) return;
    if (At(key).is_boolean())
      to = At(key).get<bool>();
    else
      MustBe(key, "true or false");
  }

  void ColumnName(const std::string& key, std::string_view what, std::string& to) {
    if (!Has(key)) return Fault(key, fmt::format("is missing; it is {}", what));
    if (IsColumnName(At(key)))
      to = At(key).get<std::string>();
    else
      MustBe(key, "the name of a column");
  }

  void ColumnNames(const std::string& key, std::size_t most, std::vector<std::string>& to) {
    if (!Has(key)) return;
    const Json& list = At(key);
    if (!list.is_array() || list.empty() || list.size() > most || !std::all_of(list.begin(), list.end(), IsColumnName))
      return MustBe(key, fmt::format("a list of 1 to {} columns such as [shop, day]", most));
    for (const Json& name : list) {
      to.push_back(name.get<std::string>());
      if (std::count(to.begin(), to.end(), to.back()) > 1) {
        return Fault(key, fmt::format("names column {} twice", Quoted(to.back())));
      }
    }
  }

 private:
  static bool IsColumnName(const Json& json) {
    return json.is_string() && !json.get_ref<const std::string&>().empty() &&
           json.get_ref<const std::string&>().size() <= kMaxColumnNameBytes &&
           IsUtf8Text(json.get_ref<const std::string&>());
  }

  const Json& json_;
  const std::string path_;
  std::vector<FieldError>& faults_;
};

std::optional<Value> ValueFromJson(const Json& json) {
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number() && std::isfinite(json.get<double>())) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_boolean()) return static_cast<std::int64_t>(json.get<bool>());
  return std::nullopt;
}

void ReadIn(Reader& entry, std::vector<Value>& to) {
  if (!entry.Has("in")) return;
  const Json& list = entry.At("in");
  if (!list.is_array() || list.empty() || list.size() > kMostAllowedValues) {
    return entry.MustBe(
        "in", fmt::format("a list of the allowed values such as [red, green], at most {}", kMostAllowedValues));
  }
  for (const Json& item : list) {
    auto value = ValueFromJson(item);
    if (!value) {
      return entry.Fault("in", fmt::format("must be a list of the allowed values such as [red, green]; {} is "
                                           "neither a number of 64 bits nor text",
                                           Describe(item)));
    }
    to.push_back(std::move(*value));
  }
}

void ReadMatches(Reader& entry, std::optional<std::string>& to) {
  if (!entry.Has("matches")) return;
  const Json& json = entry.At("matches");
  if (!json.is_string() || json.get_ref<const std::string&>().empty() ||
      json.get_ref<const std::string&>().size() > kMaxPatternBytes) {
    return entry.MustBe("matches", fmt::format("a pattern of 1 to {} bytes in quotes", kMaxPatternBytes));
  }
  auto pattern = Pattern::Compile(json.get<std::string>());
  if (!pattern) return entry.Fault("matches", pattern.error().cause + "; " + pattern.error().hint);
  to = json.get<std::string>();
}

void ReadType(Reader& entry, std::optional<ColumnType>& to) {
  if (!entry.Has("type")) return;
  std::vector<std::string> names;
  for (ColumnType type : {ColumnType::kInteger, ColumnType::kReal, ColumnType::kText, ColumnType::kBlob}) {
    names.emplace_back(ColumnTypeName(type));
    if (entry.At("type") == names.back()) to = type;
  }
  if (to) return;
  const std::string near =
      entry.At("type").is_string() ? NearestName(entry.At("type").get_ref<const std::string&>(), names) : "";
  entry.MustBe("type", "integer, real, text or blob");
  if (!near.empty()) entry.Fault("type", fmt::format("did you mean '{}'?", near));
}

void ReadColumn(Reader& entry, std::size_t keys, Expectation& to) {
  entry.CheckKeys(kColumnKeys, kAllKeys, "an expectation about a column");
  entry.ColumnName("column", "the column that this expectation is about", to.column);
  ReadIn(entry, to.in);
  entry.Number("min", "a number", to.min, -HUGE_VAL, HUGE_VAL);
  entry.Number("max", "a number", to.max, -HUGE_VAL, HUGE_VAL);
  if (to.min && to.max && *to.min > *to.max)
    entry.Fault("max", fmt::format("must be at least min, which is {}", *to.min));
  entry.Number("missing_at_most", "a share from 0 to 1", to.missing_at_most, 0, 1);
  entry.Flag("not_null", to.not_null);
  entry.Flag("unique", to.unique);
  ReadMatches(entry, to.matches);
  ReadType(entry, to.type);
  if (keys == 1 && !to.column.empty()) {
    entry.Fault("column", fmt::format("has nothing that is expected of it; add one of {}",
                                      fmt::join(kColumnKeys.begin() + 1, kColumnKeys.end(), ", ")));
  }
}

void ReadRows(Reader& entry, std::vector<FieldError>& faults, Expectation& to) {
  entry.CheckKeys({"rows"}, kAllKeys, "rows");
  to.rows.emplace();
  if (!entry.At("rows").is_object() || entry.At("rows").empty()) {
    return entry.MustBe("rows", "a map with min, max or both such as {min: 1000}");
  }
  Reader rows(entry.At("rows"), entry.PathOf("rows"), faults);
  rows.CheckKeys({"min", "max"}, {}, "");
  rows.Whole("min", to.rows->min);
  rows.Whole("max", to.rows->max);
  if (to.rows->min && to.rows->max && *to.rows->min > *to.rows->max) {
    rows.Fault("max", fmt::format("must be at least min, which is {}", *to.rows->min));
  }
}

void ReadFresh(Reader& entry, std::vector<FieldError>& faults, Expectation& to) {
  entry.CheckKeys({"fresh"}, kAllKeys, "fresh");
  to.fresh.emplace();
  if (!entry.At("fresh").is_object()) return entry.MustBe("fresh", "a map such as {column: ts, within: 2d}");
  Reader fresh(entry.At("fresh"), entry.PathOf("fresh"), faults);
  fresh.CheckKeys({"column", "within"}, {}, "");
  fresh.ColumnName("column", "the column of times", to.fresh->column);
  if (!fresh.Has("within")) return fresh.Fault("within", "is missing; it is how old the newest row may be, such as 2d");
  const Json& json = fresh.At("within");
  const std::string text = json.is_string() ? json.get<std::string>() : json.is_number() ? json.dump() : "";
  if (const auto seconds = SecondsOfText(text))
    to.fresh->within_s = *seconds;
  else
    fresh.MustBe("within", "a time from 1s to 100 years such as 90s, 30m, 12h or 2d");
}

void ReadLike(Reader& entry, Expectation& to) {
  entry.CheckKeys(kLikeKeys, kAllKeys, "like");
  to.like.emplace();
  if (entry.At("like") != "live") entry.MustBe("like", "live, which stands for the live version's training data");
  entry.ColumnNames("columns", kMaxColumns, to.like->columns);
  entry.Number("psi_at_most", "a number of at least 0 such as 0.2", to.like->psi_at_most, 0, HUGE_VAL);
  entry.Number("ks_at_most", "a distance from 0 to 1", to.like->ks_at_most, 0, 1);
}

Expectation ReadEntry(const Json& json, const std::string& path, std::vector<FieldError>& faults) {
  Expectation to;
  if (!json.is_object() || json.empty()) {
    if (faults.size() < kMostFaults)
      faults.push_back(
          {.field = path, .detail = "must be a map such as {column: price, min: 0}, not " + Describe(json)});
    return to;
  }
  Reader entry(json, path, faults);
  if (entry.Has("like")) {
    ReadLike(entry, to);
  } else if (entry.Has("rows")) {
    ReadRows(entry, faults, to);
  } else if (entry.Has("fresh")) {
    ReadFresh(entry, faults, to);
  } else if (entry.Has("unique") && entry.At("unique").is_array()) {
    entry.CheckKeys({"unique"}, kAllKeys, "a list of columns that are unique together");
    entry.ColumnNames("unique", kMaxColumnsTogether, to.unique_together);
  } else {
    ReadColumn(entry, json.size(), to);
  }
  return to;
}

std::unexpected<Error> Refuse(std::vector<FieldError> faults) {
  const FieldError& first = faults.front();
  auto failure = Fail(ErrorCode::kInvalid, "read the expectations", first.field, first.detail);
  failure.error().field = first.field;
  failure.error().details = std::move(faults);
  return failure;
}

nlohmann::ordered_json ValueJson(const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (auto* real = std::get_if<double>(&value)) {
    return std::isfinite(*real) ? nlohmann::ordered_json(*real) : nlohmann::ordered_json(fmt::format("{}", *real));
  }
  if (auto* text = std::get_if<std::string>(&value)) return *text;
  return nullptr;
}

void ColumnToJson(const Expectation& expectation, nlohmann::ordered_json& json) {
  json["column"] = expectation.column;
  for (const Value& value : expectation.in) json["in"].push_back(ValueJson(value));
  if (expectation.min) json["min"] = *expectation.min;
  if (expectation.max) json["max"] = *expectation.max;
  if (expectation.missing_at_most) json["missing_at_most"] = *expectation.missing_at_most;
  if (expectation.unique) json["unique"] = true;
  if (expectation.not_null) json["not_null"] = true;
  if (expectation.matches) json["matches"] = *expectation.matches;
  if (expectation.type) json["type"] = ColumnTypeName(*expectation.type);
}

nlohmann::ordered_json ToJson(const Expectation& expectation) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!expectation.column.empty()) ColumnToJson(expectation, json);
  if (!expectation.unique_together.empty()) json["unique"] = expectation.unique_together;
  if (expectation.rows) {
    if (expectation.rows->min) json["rows"]["min"] = *expectation.rows->min;
    if (expectation.rows->max) json["rows"]["max"] = *expectation.rows->max;
  }
  if (expectation.fresh) {
    json["fresh"]["column"] = expectation.fresh->column;
    json["fresh"]["within"] = DurationText(expectation.fresh->within_s);
  }
  if (expectation.like) {
    json["like"] = "live";
    if (!expectation.like->columns.empty()) json["columns"] = expectation.like->columns;
    json["psi_at_most"] = expectation.like->psi_at_most;
    if (expectation.like->ks_at_most) json["ks_at_most"] = *expectation.like->ks_at_most;
  }
  return json;
}

nlohmann::ordered_json ToJson(const RowExample& example) {
  nlohmann::ordered_json values = nlohmann::ordered_json::object();
  for (const auto& [column, value] : example.values) values[column] = ValueJson(value);
  return {{"row", example.row}, {"values", std::move(values)}};
}

}  // namespace

Result<Expectation> ExpectationFromJson(std::string_view text, const std::string& path) {
  std::vector<FieldError> faults;
  Expectation expectation = ReadEntry(Json::parse(text, nullptr, /*allow_exceptions=*/false), path, faults);
  if (!faults.empty()) return Refuse(std::move(faults));
  return expectation;
}

Result<std::vector<Expectation>> ExpectationsFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return Refuse({{.field = "expect", .detail = "must be a list of expectations such as - {column: price, min: 0}"}});
  }
  if (json.size() > kMaxExpectations) {
    return Refuse({{.field = "expect", .detail = fmt::format("must have at most {} entries", kMaxExpectations)}});
  }
  std::vector<FieldError> faults;
  std::vector<Expectation> expectations;
  for (std::size_t i = 0; i < json.size(); ++i) {
    expectations.push_back(ReadEntry(json[i], fmt::format("expect[{}]", i), faults));
  }
  if (!faults.empty()) return Refuse(std::move(faults));
  return expectations;
}

std::string ExpectationSubject(const Expectation& expectation) {
  if (!expectation.unique_together.empty()) {
    return fmt::format("unique [{}]", fmt::join(expectation.unique_together, ", "));
  }
  if (expectation.rows) return "rows";
  if (expectation.fresh) return "fresh " + Quoted(expectation.fresh->column);
  if (expectation.like) return "like live";
  return "column " + Quoted(expectation.column);
}

std::string CheckResultsToJson(const std::vector<CheckResult>& results) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const CheckResult& result : results) {
    nlohmann::ordered_json entry{{"expect", ToJson(result.expectation)},
                                 {"passed", result.passed},
                                 {"failing_rows", result.failing_rows},
                                 {"examples", nlohmann::ordered_json::array()}};
    for (const RowExample& example : result.examples) entry["examples"].push_back(ToJson(example));
    if (!result.message.empty()) entry["message"] = result.message;
    if (result.expectation.like) entry["drift"] = nlohmann::ordered_json::parse(ColumnDriftsToJson(result.drift));
    json.push_back(std::move(entry));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ratchet::lake
