#include "daemon/report_page.h"

#include <array>
#include <utility>

namespace ratchet::daemon {

std::string HtmlText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string ScriptJson(const nlohmann::json& data) {
  const std::string text = data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  // These signs stand in JSON's texts only, where an escape means the same.
  for (const char c : text) {
    switch (c) {
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      case '&': out += "\\u0026"; break;
      default: out += c;
    }
  }
  return out;
}

Result<std::string> FilledReport(std::string_view html, const ReportWords& words, const nlohmann::json& data) {
  const std::array<std::pair<std::string_view, std::string>, 4> places{{{"@TITLE@", HtmlText(words.title)},
                                                                       {"@HEADING@", HtmlText(words.heading)},
                                                                       {"@SUMMARY@", HtmlText(words.summary)},
                                                                       {"@DATA@", ScriptJson(data)}}};
  std::string page;
  for (const auto& [place, text] : places) {
    const size_t at = html.find(place);
    if (at == std::string_view::npos)
      return Fail(ErrorCode::kInternal, "fill in the report's page", "", "it has no place " + std::string(place));
    page.append(html.substr(0, at)).append(text);
    html.remove_prefix(at + place.size());
  }
  return page.append(html);
}

}  // namespace ratchet::daemon
