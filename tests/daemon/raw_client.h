#pragma once

#include <map>
#include <string>
#include <string_view>

namespace ratchet::daemon {

// A bare TCP client, so that a test can say what no HTTP library would. Every wait ends after 10 s.
class RawClient {
 public:
  explicit RawClient(int port);
  ~RawClient();
  RawClient(RawClient&& other) noexcept;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool Send(std::string_view bytes);
  // Says to the server that nothing more comes; what it answers can still be read.
  void FinishSending();
  struct Answer {
    int status = 0;                              // 0: the server closed without one
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
  };
  // One whole answer; `head_only` for what a HEAD gets.
  Answer Read(bool head_only = false);
  // Reads until the text appears; false when the connection ended or time ran out first.
  bool ReadUntil(std::string_view text);
  // Adds what comes next to held(); false when the connection ended or time ran out.
  bool ReadMore();
  // True when the server closes the connection, having sent nothing more.
  bool ReadsEnd();
  const std::string& held() const { return held_; }

 private:
  int fd_;
  std::string held_;
};

// GET or other request without a body, as text.
std::string RequestText(std::string_view method, std::string_view target, std::string_view extra_headers = {},
                        std::string_view body = {});
// Connects, sends, reads one answer.
RawClient::Answer Ask(int port, std::string_view request_text);

}  // namespace ratchet::daemon
