#include "daemon/file_response.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <utility>

namespace ratchet::daemon {
namespace {

// Bytes from `begin` to before `end`.
struct Part {
  std::uint64_t begin = 0, end = 0;
};

bool SendPart(int fd, const Part& part, const Send& send) {
  char buffer[64 * 1024];
  for (std::uint64_t at = part.begin; at < part.end;) {
    const ssize_t got = pread(fd, buffer, std::min<std::uint64_t>(sizeof buffer, part.end - at), static_cast<off_t>(at));
    if (got <= 0 || !send({buffer, static_cast<size_t>(got)})) return false;
    at += static_cast<std::uint64_t>(got);
  }
  return true;
}

std::optional<std::uint64_t> Number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// What a Range header asks of a file of this size; nothing where the whole is to be sent.
std::optional<Part> AskedPart(std::string_view range, std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!range.starts_with(kUnit)) return std::nullopt;
  range.remove_prefix(kUnit.size());
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = Number(range.substr(0, dash));
  const auto last = range.substr(dash + 1).empty() ? std::optional(size - 1) : Number(range.substr(dash + 1));
  if (!first || !last || *first >= size || *last < *first) return std::nullopt;
  return Part{*first, std::min(*last, size - 1) + 1};
}

}  // namespace

Result<Response> FileResponse(const Request& request, const std::string& path, const std::string& content_type,
                              const std::string& etag) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open blob", path, errno);
  const std::shared_ptr<void> closer(nullptr, [fd](void*) { close(fd); });
  struct stat info {};
  if (fstat(fd, &info) != 0) return FailErrno("open blob", path, errno);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  Response response{.content_type = content_type, .body = "", .headers = {{"ETag", etag}, {"Accept-Ranges", "bytes"}}};
  if (request.Header("If-None-Match") == etag) {
    response.status = 304;
    return response;
  }
  if (size == 0) return response;
  Part part{0, size};
  const std::string same = request.Header("If-Range");
  if (const auto asked = AskedPart(request.Header("Range"), size); asked && (same.empty() || same == etag)) {
    part = *asked;
    response.status = 206;
    response.headers.emplace_back("Content-Range", "bytes " + std::to_string(part.begin) + "-" + std::to_string(part.end - 1) +
                                                       "/" + std::to_string(size));
  }
  response.stream_bytes = part.end - part.begin;
  response.stream = [fd, part, closer](const Send& send) { return SendPart(fd, part, send); };
  return response;
}

}  // namespace ratchet::daemon
