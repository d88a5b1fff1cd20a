#include "tests/daemon/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace ratchet::daemon {

RawClient::RawClient(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval patience{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd_);
    fd_ = -1;
  }
}

RawClient::~RawClient() {
  if (fd_ >= 0) close(fd_);
}

RawClient::RawClient(RawClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)), held_(std::move(other.held_)) {}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void RawClient::FinishSending() { shutdown(fd_, SHUT_WR); }

bool RawClient::ReadMore() {
  char buffer[64 * 1024];
  const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
  if (got > 0) held_.append(buffer, static_cast<size_t>(got));
  return got > 0;
}

bool RawClient::ReadUntil(std::string_view text) {
  while (held_.find(text) == std::string::npos) {
    if (!ReadMore()) return false;
  }
  return true;
}

bool RawClient::ReadsEnd() {
  char byte;
  return held_.empty() && recv(fd_, &byte, 1, 0) == 0;
}

RawClient::Answer RawClient::Read(bool head_only) {
  Answer answer;
  if (!ReadUntil("\r\n\r\n")) return answer;
  const size_t end = held_.find("\r\n\r\n");
  answer.status = std::atoi(held_.substr(9, 3).c_str());
  for (size_t at = held_.find("\r\n") + 2; at < end + 2;) {
    const size_t line_end = held_.find("\r\n", at);
    const size_t colon = held_.find(':', at);
    std::string name = held_.substr(at, colon - at);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    answer.headers.emplace(name, held_.substr(colon + 2, line_end - colon - 2));
    at = line_end + 2;
  }
  held_.erase(0, end + 4);
  if (head_only) return answer;
  if (answer.headers.count("transfer-encoding")) {
    if (!ReadUntil("0\r\n\r\n")) answer.status = 0;
    answer.body = std::exchange(held_, {});
    return answer;
  }
  const size_t size = answer.headers.count("content-length") ? std::stoul(answer.headers["content-length"]) : 0;
  while (held_.size() < size && ReadMore()) {
  }
  answer.body = held_.substr(0, size);
  held_.erase(0, size);
  return answer;
}

std::string RequestText(std::string_view method, std::string_view target, std::string_view extra_headers,
                        std::string_view body) {
  std::string text = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  text += extra_headers;
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + std::string(body);
}

RawClient::Answer Ask(int port, std::string_view request_text) {
  RawClient client(port);
  if (!client.Send(request_text)) return {};
  return client.Read(request_text.starts_with("HEAD"));
}

}  // namespace ratchet::daemon
