#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

// A decision as one HTML file that opens from a disk, loads nothing and obeys no text of its own data. Pure.
namespace ratchet::daemon {

// What a reader without scripts gets, and what a browser's tab is called.
struct ReportWords {
  std::string title;
  std::string heading;
  std::string summary;
};

// Puts the words (as text) and the data (docs/formats.md, "Decision report") into the template of web/report.html, which has
// each of its places once and in the order title, heading, summary, data. kInternal for any other template.
Result<std::string> FilledReport(std::string_view html, const ReportWords& words, const nlohmann::json& data);

// Text as it may stand in an element or a quoted attribute. Bytes that are no UTF-8 stay as they are.
std::string HtmlText(std::string_view text);
// JSON as it may stand in a script element: nothing in it can end that, whatever its texts say. Bytes that are no UTF-8 become
// U+FFFD.
std::string ScriptJson(const nlohmann::json& data);

}  // namespace ratchet::daemon
