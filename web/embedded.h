#pragma once

#include <span>
#include <string_view>

// The web page, built to static files and linked into the program.
namespace ratchet::web {

struct Asset {
  std::string_view path;          // below the page's root, without a leading slash: "index.html", "assets/index-1a2b3c.js"
  std::string_view content_type;  // with charset where the content is text
  std::string_view etag;          // quoted, a digest of the bytes
  std::string_view bytes;         // valid for the life of the program
};

// All files, sorted by path; empty when built with RATCHET_WITH_WEB=OFF. Files below "assets/" carry a digest of their content
// in their names and may be cached for ever; "index.html" is to be asked for anew each time.
std::span<const Asset> Assets();

// The page that shows one decision, as one file with all that it needs in it, before daemon/report_page.h has filled it in.
struct ReportTemplate {
  std::string_view html;    // empty when built with RATCHET_WITH_WEB=OFF
  std::string_view policy;  // the Content-Security-Policy that it carries
};
ReportTemplate DecisionReport();

}  // namespace ratchet::web
