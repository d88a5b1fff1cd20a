#include "daemon/file_range.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <utility>

#include "daemon/problem.h"

namespace ratchet::daemon {
namespace {

std::optional<std::uint64_t> Number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool SendPart(int fd, ByteRange part, const Send& send) {
  char buffer[64 * 1024];
  while (part.count > 0) {
    const size_t want = static_cast<size_t>(std::min<std::uint64_t>(part.count, sizeof buffer));
    const ssize_t got = pread(fd, buffer, want, static_cast<off_t>(part.first));
    if (got <= 0 || !send({buffer, static_cast<size_t>(got)})) return false;
    part.first += static_cast<std::uint64_t>(got);
    part.count -= static_cast<std::uint64_t>(got);
  }
  return true;
}

}  // namespace

Result<std::optional<ByteRange>> ParseRange(std::string_view header, std::uint64_t size) {
  const size_t dash = header.find('-');
  if (!header.starts_with("bytes=") || dash == std::string_view::npos) return std::nullopt;
  const auto first = Number(header.substr(6, dash - 6));
  const auto last = Number(header.substr(dash + 1));
  const bool suffix = dash == 6;
  if ((!first && !suffix) || (!last && (suffix || dash + 1 != header.size()))) return std::nullopt;
  if (first && last && *last < *first) return std::nullopt;
  const std::uint64_t from = suffix ? size - std::min(size, *last) : *first;
  if (from >= size) return Fail(ErrorCode::kInvalid, "read the range", std::string(header), "it lies outside the file");
  const std::uint64_t to = suffix || !last ? size - 1 : std::min(*last, size - 1);
  return ByteRange{from, to - from + 1};
}

Result<Response> FileResponse(const Request& request, const std::string& path, const std::string& content_type,
                              const std::string& etag) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open blob", path, errno);
  const std::shared_ptr<void> closer(nullptr, [fd](void*) { close(fd); });
  struct stat info {};
  if (fstat(fd, &info) != 0) return FailErrno("open blob", path, errno);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  Response response{.content_type = content_type, .body = "", .headers = {{"Accept-Ranges", "bytes"}, {"ETag", etag}}};
  if (request.Header("If-None-Match") == etag) {
    response.status = 304;
    return response;
  }
  const auto range = ParseRange(request.Header("Range"), size);
  if (!range) {
    Response problem = Problem(416, range.error().Message());
    problem.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
    return problem;
  }
  const ByteRange part = range->value_or(ByteRange{0, size});
  if (*range) {
    response.status = 206;
    response.headers.emplace_back("Content-Range", "bytes " + std::to_string(part.first) + "-" +
                                                       std::to_string(part.first + part.count - 1) + "/" +
                                                       std::to_string(size));
  }
  if (part.count == 0) return response;
  response.stream_bytes = part.count;
  response.stream = [fd, part, closer](const Send& send) { return SendPart(fd, part, send); };
  return response;
}

}  // namespace ratchet::daemon
