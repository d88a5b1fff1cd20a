#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ratchet::serving {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query
  std::string body;
  std::string query = {};  // of the path, without the question mark
  std::vector<std::pair<std::string, std::string>> headers = {};  // by lower-case name

  // RoundOver is called on this thread once the requests that came in together with this one have been handed over, too.
  bool round_follows = false;

  // The first header of that name; null where there is none.
  const std::string* Header(std::string_view lower_case_name) const {
    for (const auto& [name, value] : headers)
      if (name == lower_case_name) return &value;
    return nullptr;
  }
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow;      // the methods that are, with 405
  int retry_after_s = 0;  // 0 = no such header
  std::vector<std::pair<std::string, std::string>> headers = {};  // further ones
};

// Answers requests. `respond` is called exactly once, from any thread, maybe before Handle returns. Handle itself is
// called from the I/O threads and must not compute for long.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void Handle(HttpRequest request, std::function<void(HttpResponse)> respond) = 0;
  // Called by an I/O thread after it has handed over all requests that were there when it looked: what they have in
  // common can be done for all of them now. It must not compute for long either.
  virtual void RoundOver() {}
};

}  // namespace ratchet::serving
