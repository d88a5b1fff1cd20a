#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/names.h"
#include "plugins/sdk/recipe.h"

namespace ratchet::sdk {
namespace {

std::string_view Kind(ParamType type) {
  switch (type) {
    case ParamType::kInteger:
      return "a whole number";
    case ParamType::kReal:
      return "a number";
    case ParamType::kBoolean:
      return "true or false";
    case ParamType::kText:
      return "a text";
  }
  return "";
}

bool HasKind(ParamType type, const nlohmann::json& value) {
  switch (type) {
    case ParamType::kInteger:
      return value.is_number_integer() ||
             (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>() &&
              std::abs(value.get<double>()) < 9e15);
    case ParamType::kReal:
      return value.is_number() && std::isfinite(value.get<double>());
    case ParamType::kBoolean:
      return value.is_boolean();
    case ParamType::kText:
      return value.is_string();
  }
  return false;
}

std::string Range(const Param& param) {
  if (param.min && param.max) return fmt::format("from {} to {}", *param.min, *param.max);
  if (param.min) return fmt::format("at least {}", *param.min);
  return fmt::format("at most {}", param.max.value_or(0));
}

bool InRange(const Param& param, double value) {
  return !(param.min && value < *param.min) && !(param.max && value > *param.max);
}

// What is wrong with the value, or empty.
std::string Fault(const Param& param, const nlohmann::json& value) {
  if (!HasKind(param.type, value)) return fmt::format("has to be {}, not {}", Kind(param.type), Quoted(value.dump()));
  const bool is_number = param.type == ParamType::kInteger || param.type == ParamType::kReal;
  if (is_number && !InRange(param, value.get<double>()))
    return fmt::format("has to be {}, not {}", Range(param), value.dump());
  if (param.type == ParamType::kText && !param.choices.empty() &&
      std::ranges::find(param.choices, value.get<std::string>()) == param.choices.end())
    return fmt::format("has to be one of {}, not {}", fmt::join(param.choices, ", "), Quoted(value.get<std::string>()));
  return {};
}

nlohmann::json Normal(const Param& param, const nlohmann::json& value) {
  if (param.type == ParamType::kInteger && value.is_number_float())
    return static_cast<std::int64_t>(value.get<double>());
  if (param.type == ParamType::kReal) return value.get<double>();
  return value;
}

std::string UnknownDetail(const RecipeInfo& info, const std::string& name) {
  std::vector<std::string> known;
  for (const Param& param : info.params) known.push_back(param.name);
  const std::string near = NearestName(name, known);
  if (!near.empty()) return fmt::format("{} has no parameter {}; did you mean {}?", info.name, Quoted(name), near);
  return fmt::format("{} has no parameter {}; it knows {}", info.name, Quoted(name), fmt::join(known, ", "));
}

}  // namespace

Result<nlohmann::json> CompleteParams(const RecipeInfo& info, const nlohmann::json& given) {
  if (!given.is_null() && !given.is_object()) {
    auto failure =
        Fail(ErrorCode::kInvalid, "check parameters of", info.name, "they are not a mapping of names to values");
    failure.error().field = "train.params";
    return failure;
  }
  nlohmann::json complete = nlohmann::json::object();
  for (const Param& param : info.params) complete[param.name] = param.default_value;
  std::vector<FieldError> faults;
  for (const auto& [name, value] : given.items()) {
    const auto param = std::ranges::find(info.params, name, &Param::name);
    std::string fault = param == info.params.end() ? UnknownDetail(info, name) : Fault(*param, value);
    if (fault.empty())
      complete[name] = Normal(*param, value);
    else
      faults.push_back({"train.params." + name, 0, std::move(fault)});
  }
  if (faults.empty()) return complete;
  auto failure = Fail(ErrorCode::kInvalid, "check parameters of", info.name,
                      fmt::format("{}: {}", faults.front().field, faults.front().detail));
  failure.error().field = faults.front().field;
  failure.error().details = std::move(faults);
  return failure;
}

}  // namespace ratchet::sdk
