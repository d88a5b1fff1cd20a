#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "daemon/http_types.h"

// Failures as RFC 9457 `application/problem+json`, in the shape of docs/formats.md.
namespace ratchet::daemon {

// Status by the error's code; 422 where an input has a list of faults. Refusals that pass by themselves carry
// Retry-After.
Response ProblemFrom(const Error& error);
// For failures of HTTP itself, which have a status of their own (405, 408, 414, 415, …).
Response Problem(int status, std::string_view detail);
// The same as a whole HTTP answer that also closes the connection.
std::string RawProblem(int status, std::string_view detail);
// "Not Found"
const char* StatusTitle(int status);

}  // namespace ratchet::daemon
