#include "registry/blob_store.h"

#include <fstream>

#include "base/digest.h"
#include "tests/registry/registry_fixture.h"

namespace ratchet::registry {
namespace {

class BlobStoreTest : public RegistryTest {
 protected:
  std::string WriteFile(const std::string& bytes) {
    std::string path = folder_ + "/file";
    std::ofstream(path) << bytes;
    return path;
  }
  SystemFiles files_;
  BlobStore blobs() { return BlobStore(files_, folder_ + "/blobs/sha256"); }
};

TEST_F(BlobStoreTest, GivesBackWhatWasPut) {
  auto sha256 = blobs().Put("hello");
  ASSERT_TRUE(sha256);
  EXPECT_EQ(*sha256, Sha256Hex("hello"));
  EXPECT_EQ(blobs().Read(*sha256).value(), "hello");
  EXPECT_EQ(blobs().Put("hello").value(), *sha256);
}

TEST_F(BlobStoreTest, MovesAnAdoptedFileAndRepeatsAfterACrash) {
  std::string path = WriteFile("model");
  std::string sha256 = Sha256Hex("model");
  ASSERT_TRUE(blobs().AdoptExpected(path, sha256));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(blobs().AdoptExpected(path, sha256)) << "the file is gone, the blob is there: done already";
}

TEST_F(BlobStoreTest, RefusesAFileOfAnotherDigest) {
  const std::string tampered = WriteFile("tampered");
  auto adopted = blobs().AdoptExpected(tampered, Sha256Hex("model"));
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(blobs().Put("model"));
  EXPECT_FALSE(blobs().AdoptExpected(tampered, Sha256Hex("model"))) << "the right blob has come meanwhile; the file is as wrong as before";
}

TEST_F(BlobStoreTest, KeepsAFileUnderASecondName) {
  std::string path = WriteFile("scores");
  auto sha256 = blobs().Keep(path);
  ASSERT_TRUE(sha256);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(blobs().Read(*sha256).value(), "scores");
  EXPECT_EQ(blobs().Keep(path).value(), *sha256);
}

TEST_F(BlobStoreTest, KnowsNoOtherNamesThanDigests) {
  EXPECT_FALSE(blobs().Has("../../etc/passwd"));
  EXPECT_FALSE(blobs().Read("../../etc/passwd"));
}

}  // namespace
}  // namespace ratchet::registry
