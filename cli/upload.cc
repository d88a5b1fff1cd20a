#include "cli/upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/names.h"

namespace ratchet::cli {
namespace {

constexpr size_t kPeekBytes = 512;

struct Ending {
  std::string_view text;
  RowFormat format;
};
constexpr std::array kEndings = {Ending{".csv", RowFormat::kCsv}, Ending{".jsonl", RowFormat::kJsonLines},
                                 Ending{".ndjson", RowFormat::kJsonLines}, Ending{".pack", RowFormat::kPack}};

bool Compressed(std::string_view bytes) {
  using namespace std::literals;
  for (std::string_view magic : {"\x1f\x8b"sv, "\x28\xb5\x2f\xfd"sv, "PK\x03\x04"sv, "BZh"sv,
                                 "\xfd"
                                 "7zXZ"sv})
    if (bytes.starts_with(magic)) return true;
  return false;
}

}  // namespace

std::string_view ContentTypeOf(RowFormat format) {
  switch (format) {
    case RowFormat::kCsv:
      return "text/csv";
    case RowFormat::kJsonLines:
      return "application/x-ndjson";
    case RowFormat::kPack:
      return "application/vnd.ratchet.pack";
  }
  return "application/octet-stream";
}

Result<RowFormat> DetectRowFormat(const std::string& path, std::string_view first_bytes) {
  if (Compressed(first_bytes))
    return Fail(ErrorCode::kInvalid, "push", path, "it is compressed",
                "Unpack it on the way, as in: zcat FILE | ratchet dataset push NAME - --format csv");
  if (first_bytes.starts_with("SQLite format 3")) return RowFormat::kPack;
  for (const Ending& ending : kEndings)
    if (path.ends_with(ending.text)) return ending.format;
  size_t at = first_bytes.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && first_bytes[at] == '{' ? RowFormat::kJsonLines : RowFormat::kCsv;
}

Result<RowFormat> ParseRowFormat(const std::string& word) {
  if (word == "csv") return RowFormat::kCsv;
  if (word == "jsonl") return RowFormat::kJsonLines;
  if (word == "pack") return RowFormat::kPack;
  return Fail(ErrorCode::kInvalid, "read the format", Quoted(word), "it is unknown", "Use csv, jsonl or pack");
}

Result<std::unique_ptr<InputFile>> InputFile::Open(const std::string& path) {
  if (path == "-") return std::unique_ptr<InputFile>(new InputFile(STDIN_FILENO, "standard input", -1));
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno("open", path, errno);
  struct stat info {};
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    close(fd);
    return Fail(ErrorCode::kInvalid, "open", path, "it is a folder", "Name the files in it");
  }
  return std::unique_ptr<InputFile>(new InputFile(fd, path, S_ISREG(info.st_mode) ? info.st_size : -1));
}

InputFile::~InputFile() {
  if (fd_ != STDIN_FILENO) close(fd_);
}

Result<std::string> InputFile::Peek() {
  std::string bytes(kPeekBytes, '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    RATCHET_ASSIGN(size_t got, Read(bytes.data() + have, bytes.size() - have));
    if (got == 0) break;
    have += got;
  }
  bytes.resize(have);
  peeked_ = bytes;
  return bytes;
}

Result<size_t> InputFile::Read(char* into, size_t most) {
  if (!peeked_.empty()) {
    size_t length = std::min(most, peeked_.size());
    std::memcpy(into, peeked_.data(), length);
    peeked_.erase(0, length);
    return length;
  }
  ssize_t got = -1;
  do got = read(fd_, into, most);
  while (got < 0 && errno == EINTR);
  if (got < 0) return FailErrno("read", name_, errno);
  return static_cast<size_t>(got);
}

Result<std::string> InputFile::ReadAll(size_t limit_bytes) {
  std::string all;
  std::string piece(64 * 1024, '\0');
  while (true) {
    RATCHET_ASSIGN(size_t got, Read(piece.data(), piece.size()));
    if (got == 0) return all;
    if (all.size() + got > limit_bytes)
      return Fail(ErrorCode::kTooLarge, "read", name_, "it has more than " + std::to_string(limit_bytes >> 20) + " MiB",
                  "Send it in parts");
    all.append(piece.data(), got);
  }
}

}  // namespace ratchet::cli
