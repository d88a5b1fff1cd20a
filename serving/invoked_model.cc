#include "serving/invoked_model.h"

#include <charconv>

#include "base/names.h"

namespace ratchet::serving {
namespace {

// The value of a parameter in "a=1&b=2"; empty where it is not there.
std::string_view Parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view entry = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(entry.size() + 1, query.size()));
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) return entry.substr(name.size() + 1);
  }
  return {};
}

std::string_view Named(const HttpRequest& request, std::string_view header, std::string_view parameter) {
  const std::string* value = request.Header(header);
  return value ? std::string_view(*value) : Parameter(request.query, parameter);
}

Result<std::string> OnlyModel(const RouteSnapshot& snapshot) {
  const auto fail = [](ErrorCode code, std::string cause) {
    return std::unexpected(Error{.code = code, .cause = std::move(cause)});
  };
  if (snapshot.models.size() == 1) return snapshot.models.begin()->first;
  if (snapshot.models.empty() && !snapshot.settled) return fail(ErrorCode::kUnavailable, "the routes are not loaded yet");
  if (snapshot.models.empty()) return fail(ErrorCode::kNotFound, "no model is served here");
  std::string names;
  for (const auto& [name, model] : snapshot.models) names += (names.empty() ? "" : ", ") + name;
  return fail(ErrorCode::kInvalid, "several models are served (" + names +
                                       "): name one by the header X-Ratchet-Model or by /invocations?model=NAME");
}

}  // namespace

Result<InvokedModel> ModelOfInvocation(const HttpRequest& request, const RouteSnapshot& snapshot) {
  InvokedModel invoked{.model = std::string(Named(request, "x-ratchet-model", "model"))};
  if (invoked.model.empty()) {
    RATCHET_ASSIGN(invoked.model, OnlyModel(snapshot));
  }
  const std::string_view version = Named(request, "x-ratchet-version", "version");
  if (version.empty()) return invoked;
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size() || number < 1) {
    return std::unexpected(Error{.code = ErrorCode::kInvalid, .cause = "the version " + Quoted(version) + " is no number from 1"});
  }
  invoked.version = number;
  return invoked;
}

}  // namespace ratchet::serving
