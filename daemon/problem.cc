#include "daemon/problem.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace ratchet::daemon {
namespace {

constexpr char kTypePrefix[] = "https://ratchet.dev/problems/";

int StatusOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalid:
      return error.details.empty() ? 400 : 422;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
      return 409;
    case ErrorCode::kDenied:
      return 403;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kOverloaded:
      return 503;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kTimeout:
      return 504;
    case ErrorCode::kCorrupt:
      return 500;
    case ErrorCode::kIo:
      return 500;
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

std::string_view CodeOf(int status) {
  switch (status) {
    case 403:
      return "denied";
    case 404:
      return "not-found";
    case 408:
      return "timeout";
    case 409:
      return "conflict";
    case 413:
    case 414:
    case 431:
      return "too-large";
    case 503:
      return "overloaded";
    case 504:
      return "timeout";
    default:
      return status >= 500 ? "internal" : "invalid";
  }
}

// Text of unknown origin may hold anything; JSON must be UTF-8.
std::string Dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json Body(int status, std::string_view code, std::string_view detail) {
  return {{"type", kTypePrefix + std::string(code)},
          {"title", StatusTitle(status)},
          {"status", status},
          {"detail", std::string(detail)}};
}

Response AsResponse(int status, const nlohmann::json& body) {
  Response response{.status = status, .content_type = "application/problem+json", .body = Dump(body)};
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace

Response ProblemFrom(const Error& error) {
  const int status = StatusOf(error);
  // The list of problem types has no "io": to a client a failing disk is the server's inner trouble.
  const std::string_view code = error.code == ErrorCode::kIo ? "internal" : ErrorCodeName(error.code);
  nlohmann::json body = Body(status, code, error.Message());
  if (!error.field.empty()) body["field"] = error.field;
  if (error.line > 0) body["line"] = error.line;
  for (const FieldError& fault : error.details) {
    nlohmann::json entry = {{"field", fault.field}, {"detail", fault.detail}};
    if (fault.line > 0) entry["line"] = fault.line;
    body["errors"].push_back(std::move(entry));
  }
  return AsResponse(status, body);
}

Response Problem(int status, std::string_view detail) {
  return AsResponse(status, Body(status, CodeOf(status), detail));
}

std::string RawProblem(int status, std::string_view detail) {
  const Response problem = Problem(status, detail);
  std::string text = "HTTP/1.1 " + std::to_string(status) + " " + StatusTitle(status) + "\r\n";
  text += "Content-Type: " + problem.content_type + "\r\nConnection: close\r\n";
  for (const auto& [name, value] : problem.headers) text += name + ": " + value + "\r\n";
  return text + "Content-Length: " + std::to_string(problem.body.size()) + "\r\n\r\n" + problem.body;
}

const char* StatusTitle(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return status >= 500 ? "Internal Server Error" : "Bad Request";
  }
}

}  // namespace ratchet::daemon
