// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_identity.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "hypervisor/disk_image.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

const FileIdentity kSeen{64768, 4711, 1'700'000'000'000'000'001, "boot-1"};

FileIdentity with(FileIdentity changed, auto edit) {
  edit(changed);
  return changed;
}

TEST(FileIdentity, IsTheSameAsFarAsBothSay) {
  EXPECT_EQ(kSeen, FileIdentity(kSeen));
  EXPECT_EQ(kSeen, (FileIdentity{64768, 4711, 0, ""})) << "written down before there was more";
  EXPECT_EQ(kSeen, with(kSeen, [](auto& it) { it.boot = "boot-2"; }));
  EXPECT_NE(kSeen, with(kSeen, [](auto& it) { it.inode = 1; }));
  EXPECT_NE(kSeen, with(kSeen, [](auto& it) { it.born_ns += 1; })) << "its inode was given anew";
  EXPECT_NE(kSeen, with(kSeen, [](auto& it) { it.device = 1; })) << "no boot was between";
}

TEST(FileIdentity, IsKnownAgainWhenABootGaveTheDeviceAnotherNumber) {
  const FileIdentity again = with(kSeen, [](auto& it) { it = {7, 4711, it.born_ns, "boot-2"}; });
  EXPECT_EQ(kSeen, again);
  EXPECT_EQ(again, kSeen);
  EXPECT_NE(kSeen, with(again, [](auto& it) { it.inode = 1; }));
  EXPECT_NE(kSeen, with(again, [](auto& it) { it.born_ns += 1; }));
  EXPECT_NE(kSeen, with(again, [](auto& it) { it.born_ns = 0; })) << "nothing proves it";
  EXPECT_NE(kSeen, with(again, [](auto& it) { it.boot = ""; }));
  EXPECT_NE((FileIdentity{64768, 4711, 0, ""}), again) << "of an earlier version: as it was";
}

// A file of the test's own, and how it would have been written down before a boot with another
// number of its device.
class Renumbered : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-identity-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    path_ = (folder_ / "a.img").string();
    before_ = make();
    if (before_.born_ns == 0) GTEST_SKIP() << "this file system does not say when a file was made";
  }
  void TearDown() override { fs::remove_all(folder_); }
  FileIdentity make() {
    std::ofstream(path_) << "disk";
    FileIdentity made = file_identity(path_).value();
    made.device += 1;
    made.boot = "an earlier one";
    return made;
  }

  fs::path folder_;
  std::string path_;
  FileIdentity before_;
};

TEST_F(Renumbered, AnImageIsPutAsideGivenBackOpenedAndRemoved) {
  const auto kept = quarantine_image(path_, before_, "k3f9x2qa");
  ASSERT_TRUE(kept) << kept.error().text();
  ASSERT_TRUE(quarantine_image(path_, before_, "k3f9x2qa")) << "it may be asked for again";
  ASSERT_TRUE(restore_image(path_, before_, "k3f9x2qa"));
  const std::vector<std::string> allowed{folder_.string()};
  EXPECT_TRUE(open_image(path_, before_, allowed));
  EXPECT_TRUE(remove_image(path_, before_));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Renumbered, AnotherFileOfThatNameIsLeftAlone) {
  fs::rename(path_, folder_ / "b.img");  // keeps its inode: the new one has another
  (void)make();
  EXPECT_EQ(remove_image(path_, before_).error().code, ErrorCode::kConflict);
  EXPECT_EQ(quarantine_image(path_, before_, "k3f9x2qa").error().code, ErrorCode::kConflict);
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(Renumbered, WithoutABootBetweenItIsAnotherFile) {
  before_.boot = file_identity(path_)->boot;
  EXPECT_EQ(remove_image(path_, before_).error().code, ErrorCode::kConflict);
  EXPECT_TRUE(fs::exists(path_));
}

TEST(SeenFile, SaysWhatIsThereAndFollowsNoLink) {
  std::string pattern = (fs::temp_directory_path() / "drover-seen-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  const std::string file = folder / "file", link = folder / "link";
  std::ofstream(file) << std::string(8192, 'x');
  fs::permissions(file, fs::perms(0640));
  fs::create_symlink("file", link);
  const auto seen = see_file(AT_FDCWD, file);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->regular);
  EXPECT_EQ(seen->mode, 0640u);
  EXPECT_FALSE(seen->identity.boot.empty());
  const auto by_link = see_file(AT_FDCWD, link);
  ASSERT_TRUE(by_link);
  EXPECT_FALSE(by_link->regular);
  EXPECT_NE(by_link->identity, seen->identity);
  EXPECT_EQ(see_file(AT_FDCWD, folder / "none").error().code, ErrorCode::kNotFound);
  const UniqueFd open(::open(file.c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(see_file_behind(open.get(), file)->identity, seen->identity);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace drover
