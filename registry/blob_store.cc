#include "registry/blob_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"

namespace ratchet::registry {
namespace {
constexpr mode_t kReadOnly = 0444;
bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }
}  // namespace

std::string BlobStore::PathOf(const std::string& sha256) const {
  RATCHET_CHECK(IsSha256Hex(sha256));
  return root_ + "/" + sha256.substr(0, 2) + "/" + sha256;
}

bool BlobStore::Has(const std::string& sha256) const { return IsSha256Hex(sha256) && Exists(PathOf(sha256)); }

Result<std::string> BlobStore::Put(std::string_view bytes) {
  std::string sha256 = Sha256Hex(bytes);
  if (Has(sha256)) return sha256;
  std::string path = PathOf(sha256);
  RATCHET_TRY(files_.MakeFolders(path.substr(0, path.rfind('/'))));
  RATCHET_TRY(files_.WriteAtomic(path, bytes));
  chmod(path.c_str(), kReadOnly);
  return sha256;
}

Result<std::string> BlobStore::Adopt(const std::string& path) {
  RATCHET_ASSIGN(std::string sha256, Sha256File(path));
  RATCHET_TRY(MoveIn(path, sha256));
  return sha256;
}

Status BlobStore::MoveIn(const std::string& path, const std::string& sha256) {
  if (Has(sha256)) return files_.RemoveAll(path);
  const std::string target = PathOf(sha256);
  RATCHET_TRY(files_.MakeFolders(target.substr(0, target.rfind('/'))));
  RATCHET_TRY(files_.Sync(path));
  chmod(path.c_str(), kReadOnly);
  return files_.Rename(path, target);
}

Result<std::string> BlobStore::Keep(const std::string& path) {
  RATCHET_ASSIGN(std::string sha256, Sha256File(path));
  if (Has(sha256)) return sha256;
  std::string target = PathOf(sha256);
  RATCHET_TRY(files_.MakeFolders(target.substr(0, target.rfind('/'))));
  RATCHET_TRY(files_.Sync(path));
  chmod(path.c_str(), kReadOnly);
  RATCHET_TRY(files_.Link(path, target));
  return sha256;
}

Status BlobStore::AdoptExpected(const std::string& path, const std::string& expected) {
  if (!Exists(path) && Has(expected)) return {};
  RATCHET_ASSIGN(const std::string sha256, Sha256File(path));
  if (sha256 != expected)
    return Fail(ErrorCode::kCorrupt, "adopt", path, "its SHA-256 is " + sha256 + ", not " + expected);
  return MoveIn(path, sha256);
}

Result<std::string> BlobStore::Read(const std::string& sha256, std::uint64_t limit_bytes) const {
  if (!IsSha256Hex(sha256)) return Fail(ErrorCode::kInvalid, "read blob", sha256, "not a SHA-256");
  return files_.Read(PathOf(sha256), limit_bytes);
}

}  // namespace ratchet::registry
