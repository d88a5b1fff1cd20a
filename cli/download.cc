#include "cli/download.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "cli/human.h"

namespace ratchet::cli {
namespace {

constexpr int kPatienceS = 60;  // how long the server may be silent

// Writes a download beside its target and moves it there once it is whole.
class TargetFile {
 public:
  explicit TargetFile(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}
  ~TargetFile() {
    if (fd_ >= 0) close(fd_);
    if (!kept_ && opened_) unlink(part_.c_str());
  }
  Status Open() {
    fd_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    opened_ = fd_ >= 0;
    return opened_ ? Status() : FailErrno("write", part_, errno);
  }
  Status Write(std::string_view piece) {
    while (!piece.empty()) {
      ssize_t written = write(fd_, piece.data(), piece.size());
      if (written < 0) return FailErrno("write", part_, errno);
      piece.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }
  Status Keep() {
    if (fsync(fd_) != 0 || rename(part_.c_str(), path_.c_str()) != 0) return FailErrno("write", path_, errno);
    kept_ = true;
    return {};
  }

 private:
  const std::string path_;
  const std::string part_;
  int fd_ = -1;
  bool opened_ = false;
  bool kept_ = false;
};

}  // namespace

Status DownloadTo(Context& context, Client& client, const std::string& from, const std::string& path, const std::string& what) {
  if (path == "-")
    return client.Download(from, [&](std::string_view piece) { return context.console.Out(piece); }, kPatienceS);
  TargetFile file(path);
  RATCHET_TRY(file.Open());
  size_t size_bytes = 0;
  Status written;
  const auto take = [&](std::string_view piece) {
    size_bytes += piece.size();
    written = file.Write(piece);
    return written.has_value();
  };
  const Status downloaded = client.Download(from, take, kPatienceS);
  RATCHET_TRY(written);  // a full disk is the cause, where both failed
  RATCHET_TRY(downloaded);
  RATCHET_TRY(file.Keep());
  if (!context.console.Quiet())
    context.console.NoteLine(fmt::format("{}: {}, {}", path, what, ShownSize(static_cast<double>(size_bytes))));
  return {};
}

}  // namespace ratchet::cli
