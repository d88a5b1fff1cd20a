#include "cli/early_answer.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

namespace ratchet::cli {
namespace {

constexpr size_t kAnswerLimit = 1 << 20;
constexpr std::chrono::seconds kPatience{3};

template <typename Number>
Number ParseNumber(std::string_view digits, int base) {
  Number number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  return number;
}

std::string HeaderValue(std::string head, const std::string& name) {
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return std::tolower(c); });
  size_t at = head.find("\r\n" + name + ":");
  if (at == std::string::npos) return {};
  size_t begin = head.find_first_not_of(' ', at + name.size() + 3);
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string Unchunked(std::string_view body, bool* complete) {
  std::string whole;
  *complete = false;
  for (size_t line = body.find("\r\n"); line != std::string_view::npos; line = body.find("\r\n")) {
    auto size = ParseNumber<size_t>(body.substr(0, line), 16);
    body.remove_prefix(line + 2);
    *complete = size == 0;
    if (size == 0 || size > body.size()) break;
    whole += body.substr(0, size);
    body.remove_prefix(std::min(body.size(), size + 2));
  }
  return whole;
}

}  // namespace

bool AnswersBeforeWrite(int socket, int patience_ms) {
  pollfd look{.fd = socket, .events = POLLIN | POLLOUT, .revents = 0};
  return socket >= 0 && poll(&look, 1, patience_ms) > 0 && (look.revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

EarlyAnswer ParseAnswer(const std::string& bytes, bool* complete) {
  *complete = false;
  size_t end = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.") || end == std::string::npos || bytes.size() < 12) return {};
  EarlyAnswer answer{.status = ParseNumber<int>(std::string_view(bytes).substr(9, 3), 10), .body = {}};
  std::string head = bytes.substr(0, end + 2);
  std::string_view body = std::string_view(bytes).substr(end + 4);
  if (HeaderValue(head, "transfer-encoding") == "chunked") {
    answer.body = Unchunked(body, complete);
    return answer;
  }
  std::string length = HeaderValue(head, "content-length");
  answer.body = body;
  *complete = !length.empty() && body.size() >= ParseNumber<size_t>(length, 10);
  return answer;
}

EarlyAnswer ReadEarlyAnswer(int socket) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::string bytes;
  char piece[16 * 1024];
  bool complete = false;
  while (!complete && bytes.size() < kAnswerLimit) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd look{.fd = socket, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || poll(&look, 1, static_cast<int>(left.count())) <= 0) break;
    ssize_t got = recv(socket, piece, sizeof piece, 0);
    if (got <= 0) break;
    bytes.append(piece, static_cast<size_t>(got));
    ParseAnswer(bytes, &complete);
  }
  return ParseAnswer(bytes, &complete);
}

}  // namespace ratchet::cli
