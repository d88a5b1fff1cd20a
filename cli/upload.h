#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace ratchet::cli {

// How rows are written in a file.
enum class RowFormat { kCsv, kJsonLines, kPack };

std::string_view ContentTypeOf(RowFormat format);
// By the name's ending, else by the first bytes. Refuses what is compressed, and says how to unpack it.
Result<RowFormat> DetectRowFormat(const std::string& path, std::string_view first_bytes);
// "csv", "jsonl" or "pack".
Result<RowFormat> ParseRowFormat(const std::string& word);

// A file or standard input ("-") that is read once, front to back. One thread.
class InputFile {
 public:
  static Result<std::unique_ptr<InputFile>> Open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::int64_t SizeBytes() const { return size_bytes_; }  // -1 = not known beforehand
  // Up to 512 bytes from the beginning; they are still read afterwards.
  Result<std::string> Peek();
  // 0 at the end.
  Result<std::size_t> Read(char* into, std::size_t most);
  // All that is left; kTooLarge beyond the limit.
  Result<std::string> ReadAll(std::size_t limit_bytes);

 private:
  InputFile(int fd, std::string name, std::int64_t size_bytes)
      : fd_(fd), name_(std::move(name)), size_bytes_(size_bytes) {}
  const int fd_;
  const std::string name_;
  const std::int64_t size_bytes_;
  std::string peeked_;
};

}  // namespace ratchet::cli
