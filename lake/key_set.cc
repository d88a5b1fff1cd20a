#include "lake/key_set.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace ratchet::lake {
namespace {

constexpr std::size_t kFewestKeysInMemory = 1'024;
constexpr std::int64_t kSmallestCacheBytes = 256 << 10;

int HexDigit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

std::string ScratchFolder(const std::string& given) {
  std::error_code failed;
  return given.empty() ? std::filesystem::temp_directory_path(failed).string() : given;
}

std::unexpected<Error> Explain(Error error) {
  error.operation = "keep the values of a unique column";
  return std::unexpected(std::move(error));
}

}  // namespace

KeySet::KeySet(std::string folder, std::size_t share, std::size_t keys_in_memory)
    : folder_(std::move(folder)),
      keys_in_memory_(
          std::max(keys_in_memory / std::max<std::size_t>(share, 1), std::min(keys_in_memory, kFewestKeysInMemory))),
      cache_bytes_(std::max(kKeySetCacheBytes / static_cast<std::int64_t>(std::max<std::size_t>(share, 1)),
                            kSmallestCacheBytes)) {}

std::size_t KeySet::DigestHash::operator()(const Digest& digest) const {
  std::size_t hash;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

Result<bool> KeySet::Insert(std::string_view text) {
  hash_.Update(text);
  const std::string hex = hash_.FinishHex();
  Digest digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<char>(HexDigit(hex[2 * i]) << 4 | HexDigit(hex[2 * i + 1]));
  }
  bool added;
  if (file_) {
    RATCHET_ASSIGN(added, InsertOnDisk(digest));
  } else {
    added = held_.insert(digest).second;
    if (held_.size() > keys_in_memory_) RATCHET_TRY(MoveToDisk());
  }
  if (added && ++size_ > kMaxKeys) {
    return Fail(ErrorCode::kTooLarge, "keep the values of a unique column", "",
                "there are more than " + std::to_string(kMaxKeys), "Leave `unique` out");
  }
  return added;
}

Status KeySet::MoveToDisk() {
  std::string path = ScratchFolder(folder_) + "/unique-XXXXXX";
  const int fd = mkstemp(path.data());
  if (fd < 0) return FailErrno("keep the values of a unique column", path, errno);
  close(fd);
  auto opened = SqliteFile::Open(path, SqliteFile::Mode::kCreate);
  if (!opened) {
    unlink(path.c_str());
    return Explain(std::move(opened.error()));
  }
  auto made = (*opened)->Execute("PRAGMA cache_size=-" + std::to_string(cache_bytes_ >> 10) +
                                 "; CREATE TABLE keys(digest BLOB PRIMARY KEY) STRICT, WITHOUT ROWID; BEGIN");
  unlink(path.c_str());
  if (!made) return Explain(std::move(made.error()));
  file_ = std::move(*opened);
  // RETURNING tells whether the row is new.
  auto insert = file_->Prepare("INSERT INTO keys VALUES(?1) ON CONFLICT DO NOTHING RETURNING 1");
  if (!insert) return Explain(std::move(insert.error()));
  insert_ = std::move(*insert);
  std::vector<Digest> sorted(held_.begin(), held_.end());
  held_ = {};
  std::sort(sorted.begin(), sorted.end(), [](const Digest& a, const Digest& b) {
    return std::memcmp(a.data(), b.data(), a.size()) < 0;  // SQLite's order
  });
  for (const Digest& digest : sorted) RATCHET_TRY(InsertOnDisk(digest));
  return {};
}

Result<bool> KeySet::InsertOnDisk(const Digest& digest) {
  insert_.Bind(1, std::string_view(digest.data(), digest.size()), ColumnType::kBlob);
  auto added = insert_.Step();
  if (added && *added) (void)insert_.Step();  // to its end
  insert_.Reset();
  if (!added) return Explain(std::move(added.error()));
  return *added;
}

}  // namespace ratchet::lake
