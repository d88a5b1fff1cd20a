#pragma once

#include <string>
#include <vector>

#include "cli/json_fields.h"

namespace ratchet::cli {

// Pure views of the `error` of a Run or an Attempt (docs/formats.md). Its message may go on with the end of the step's
// log, which `log_tail` holds line by line; what is shown of both tells nothing twice.

// The message up to where it repeats the log; whole where there is no log_tail.
std::string ErrorHead(const Json& error);
// The lines of log_tail that the step wrote itself, without the message that stands at the log's end.
std::vector<std::string> OwnTail(const Json& error);
// On one line: the head, and the last line that the step wrote, which most often names the cause.
std::string ErrorCause(const Json& error);

}  // namespace ratchet::cli
