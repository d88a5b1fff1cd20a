#include "daemon/file_response.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace ratchet::daemon {
namespace {

bool SendWhole(int fd, std::uint64_t size, const Send& send) {
  char buffer[64 * 1024];
  for (std::uint64_t sent = 0; sent < size;) {
    const ssize_t got = pread(fd, buffer, sizeof buffer, static_cast<off_t>(sent));
    if (got <= 0 || !send({buffer, static_cast<size_t>(got)})) return false;
    sent += static_cast<std::uint64_t>(got);
  }
  return true;
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
  Response response{.content_type = content_type, .body = "", .headers = {{"ETag", etag}}};
  if (request.Header("If-None-Match") == etag) {
    response.status = 304;
    return response;
  }
  if (size == 0) return response;
  response.stream_bytes = size;
  response.stream = [fd, size, closer](const Send& send) { return SendWhole(fd, size, send); };
  return response;
}

}  // namespace ratchet::daemon
