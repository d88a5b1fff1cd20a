#include "worker/trainer_output.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace ratchet::worker {
namespace {

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<StepError> NoFile(const std::string& name) {
  return UserFault(fmt::format("the trainer ended well but left no file {} in RATCHET_OUT", name),
                   "Save the TorchScript module as model.pt and its description as signature.json there.");
}

std::unexpected<StepError> OfDisk(const char* operation, const std::string& name) {
  return std::unexpected(FromError(FailErrno(operation, name, errno).error()));
}

std::expected<OpenFile, StepError> OpenRegular(int folder, const std::string& name, struct stat& info) {
  OpenFile file(openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0 || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return NoFile(name);
  return file;
}

}  // namespace

std::expected<TrainerOutput, StepError> TrainerOutput::Open(const std::string& parent, const std::string& name) {
  constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const OpenFile above(open(parent.c_str(), kFolder));
  if (above.get() < 0) return OfDisk("open", parent);
  const int folder = openat(above.get(), name.c_str(), kFolder);
  if (folder < 0)
    return UserFault("the trainer ended well but RATCHET_OUT is no folder any more",
                     "Leave the folder in its place and write model.pt and signature.json into it.");
  return TrainerOutput(folder);
}

TrainerOutput::TrainerOutput(TrainerOutput&& other) noexcept : folder_(std::exchange(other.folder_, -1)) {}

TrainerOutput::~TrainerOutput() {
  if (folder_ >= 0) close(folder_);
}

std::expected<std::string, StepError> TrainerOutput::Read(const std::string& name, std::uint64_t limit_bytes) const {
  struct stat info {};
  const auto file = OpenRegular(folder_, name, info);
  if (!file) return std::unexpected(file.error());
  if (static_cast<std::uint64_t>(info.st_size) > limit_bytes)
    return UserFault(fmt::format("the trainer's {} is larger than {}", name, BytesText(limit_bytes)));
  std::string text;
  std::array<char, 64 << 10> buffer;
  ssize_t got = 0;
  while (text.size() <= limit_bytes && (got = read(file->get(), buffer.data(), buffer.size())) > 0)
    text.append(buffer.data(), static_cast<size_t>(got));
  if (got < 0) return OfDisk("read", name);
  return text;
}

std::expected<void, StepError> TrainerOutput::Move(const std::string& name, const std::string& target) const {
  struct stat info {};
  const auto file = OpenRegular(folder_, name, info);
  if (!file) return std::unexpected(file.error());
  if (info.st_nlink != 1)
    return UserFault(fmt::format("the trainer's {} has a second name, a hard link", name), "Copy it there instead.");
  if (fchmod(file->get(), 0600) != 0) return OfDisk("own", name);
  if (renameat(folder_, name.c_str(), AT_FDCWD, target.c_str()) != 0) return OfDisk("move", name);
  return {};
}

}  // namespace ratchet::worker
