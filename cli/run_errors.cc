#include "cli/run_errors.h"

#include <algorithm>

#include "cli/human.h"

namespace ratchet::cli {
namespace {

// How the worker goes on behind what happened.
constexpr std::string_view kTailInMessage = "; its last lines: ";

}  // namespace

std::string ErrorHead(const Json& error) {
  const std::string message = OneLine(TextField(error, "message"));
  return Field(error, "log_tail").empty() ? message : message.substr(0, message.find(kTailInMessage));
}

std::vector<std::string> OwnTail(const Json& error) {
  const std::string end = TextField(error, "class") + ": " + ErrorHead(error);
  std::vector<std::string> lines;
  for (const Json& line : Field(error, "log_tail")) {
    const std::string text = OneLine(ShownValue(line));
    if (text.starts_with(end)) break;
    lines.push_back(text);
  }
  return lines;
}

std::string ErrorCause(const Json& error) {
  const std::string head = ErrorHead(error);
  const std::vector<std::string> tail = OwnTail(error);
  const bool cut = head != OneLine(TextField(error, "message"));
  return cut && !tail.empty() ? head + ": " + tail.back() : head;
}

}  // namespace ratchet::cli
