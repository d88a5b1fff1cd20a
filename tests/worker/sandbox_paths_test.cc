#include <gmock/gmock.h>

#include "worker/command_end.h"
#include "worker/sandbox_means.h"
#include "worker/step_process.h"

namespace ratchet::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr char kRoot[] = "20 1 253:0 / / rw - ext4 /dev/vda rw\n";

TEST(PathsOfFolder, IsOnePathWithoutOtherMounts) {
  EXPECT_THAT(PathsOfFolder("/home/u/data", std::string(kRoot) + "21 20 0:5 / /proc rw - proc proc rw\n"),
              ElementsAre("/home/u/data"));
}

TEST(PathsOfFolder, NamesABindMountOfAnAncestor) {
  EXPECT_THAT(
      PathsOfFolder("/home/u/data", std::string(kRoot) + "22 20 253:0 /home /mnt/homes rw - ext4 /dev/vda rw\n"),
      UnorderedElementsAre("/home/u/data", "/mnt/homes/u/data"));
}

TEST(PathsOfFolder, NamesABindMountOfAPartOfIt) {
  EXPECT_THAT(PathsOfFolder("/home/u/data",
                            std::string(kRoot) + "22 20 253:0 /home/u/data/blobs /mnt/b rw - ext4 /dev/vda rw\n"),
              UnorderedElementsAre("/home/u/data", "/mnt/b"));
}

TEST(PathsOfFolder, PassesOverABindMountOfSomethingElse) {
  EXPECT_THAT(
      PathsOfFolder("/home/u/data", std::string(kRoot) + "22 20 253:0 /home/u/database /mnt/b rw - ext4 /dev/vda rw\n"),
      ElementsAre("/home/u/data"));
}

TEST(PathsOfFolder, UsesTheMountThatTheFolderLiesOn) {
  const std::string mounts = std::string(kRoot) +
                             "22 20 8:1 / /data rw - ext4 /dev/sda1 rw\n"
                             "23 20 8:1 /ratchet /mnt/with\\040blank rw - ext4 /dev/sda1 rw\n";
  EXPECT_THAT(PathsOfFolder("/data/ratchet", mounts), UnorderedElementsAre("/data/ratchet", "/mnt/with blank"));
}

TEST(IsWithheld, DropsOwnVariablesAndSecrets) {
  for (const char* name : {"RATCHET_TOKEN", "RATCHET_DATA", "GITHUB_TOKEN", "aws_secret_access_key", "PGPASSWORD"})
    EXPECT_TRUE(IsWithheld(name)) << name;
  for (const char* name : {"PATH", "HOME", "LANG", "PYENV_ROOT", "CUDA_VISIBLE_DEVICES"})
    EXPECT_FALSE(IsWithheld(name)) << name;
}

TEST(CpuSeconds, GrowsWithCoresAndTime) {
  EXPECT_EQ(CpuSeconds({.cpus = 4, .time_s = 100}) - CpuSeconds({.cpus = 1, .time_s = 100}), 300u);
}

}  // namespace
}  // namespace ratchet::worker
