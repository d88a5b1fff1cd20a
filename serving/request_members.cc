#include "serving/request_members.h"

#include "serving/json_body.h"

namespace ratchet::serving::v2 {
namespace {

namespace ondemand = simdjson::ondemand;

// A key that users know the case by, to send its outcome under later: a text or a whole number.
Status ReadKey(ondemand::value& value, InferRequest& request) {
  if (IsNull(value)) return {};
  std::int64_t number = 0;
  std::string_view text;
  if (value.get_int64().get(number) == simdjson::SUCCESS) {
    request.key = std::to_string(number);
  } else if (value.get_string().get(text) == simdjson::SUCCESS && !text.empty() && text.size() <= kMaxIdBytes) {
    request.key = text;
  } else {
    return Refuse("the parameter \"key\" must be a text of 1 to 256 bytes or a whole number");
  }
  return {};
}

}  // namespace

Status ReadId(ondemand::value& value, InferRequest& request) {
  if (IsNull(value)) return {};
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS || text.size() > kMaxIdBytes) {
    return Refuse("\"id\" must be a text of at most 256 bytes");
  }
  request.id = text;
  return {};
}

Status ReadParameters(ondemand::value& value, InferRequest& request) {
  if (IsNull(value)) return {};
  ondemand::object parameters;
  if (value.get_object().get(parameters) != simdjson::SUCCESS) return Refuse("\"parameters\" must be an object");
  return VisitMembers(parameters, [&](std::string_view key, ondemand::value& parameter) -> Status {
    if (key == "key") return ReadKey(parameter, request);
    if (key == "timeout") {
      std::int64_t timeout = 0;
      if (parameter.get_int64().get(timeout) != simdjson::SUCCESS || timeout < 0) {
        return Refuse("the parameter \"timeout\" must be a whole number of microseconds");
      }
      request.timeout_us = timeout;
      return {};
    }
    if (key != "binary_data_output") return CheckJson(parameter);
    if (parameter.get_bool().get(request.binary_by_default) == simdjson::SUCCESS) return {};
    return Refuse("the parameter \"binary_data_output\" must be true or false");
  });
}

}  // namespace ratchet::serving::v2
