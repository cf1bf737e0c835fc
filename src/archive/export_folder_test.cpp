// SPDX-License-Identifier: Apache-2.0
#include "archive/export_folder.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"
#include "hypervisor/file_identity.h"

namespace drover::archive {
namespace {

namespace fs = std::filesystem;

class Folders : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root_); }
  void TearDown() override { fs::remove_all(root_); }
  std::string at(const char* name) const { return (root_ / name).string(); }
  void put(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  const fs::path root_ = fs::temp_directory_path() / ("drover-folder-" + random_name(8));
  const std::vector<std::string> allowed_{root_.string()};
};

TEST_F(Folders, OneIsSeenWhenItIsWhole) {
  auto staging = Staging::make(at("web01"), "k3f9x2qa", allowed_);
  ASSERT_TRUE(staging) << staging.error().text();
  ASSERT_TRUE(staging->write("a.txt", "text"));
  EXPECT_EQ(staging->write("a.txt", "other").error().code, ErrorCode::kConflict);
  EXPECT_FALSE(fs::exists(at("web01")));
  EXPECT_FALSE(is_committed(at("web01"), staging->identity()));
  ASSERT_TRUE(staging->commit());
  EXPECT_TRUE(is_committed(at("web01"), staging->identity()));
  EXPECT_FALSE(fs::exists(Staging::path_of(at("web01"), "k3f9x2qa")));
  const auto folder = ExportFolder::open(at("web01"), allowed_);
  ASSERT_TRUE(folder);
  EXPECT_EQ(*folder->text("a.txt", 100), "text");
  EXPECT_EQ(folder->text("a.txt", 3).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(folder->text("b.txt", 3).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(folder->names(), std::vector<std::string>{"a.txt"});
}

TEST_F(Folders, NothingThatIsThereIsReplaced) {
  auto staging = Staging::make(at("web01"), "k3f9x2qa", allowed_);
  ASSERT_TRUE(staging);
  fs::create_directory(at("web01"));
  EXPECT_EQ(staging->commit().error().code, ErrorCode::kConflict);
  EXPECT_EQ(Staging::make(at("web01"), "k3f9x2qa", allowed_).error().code, ErrorCode::kConflict);
  EXPECT_EQ(Staging::make("/etc/web01", "k3f9x2qa", allowed_).error().code, ErrorCode::kPermission);
  EXPECT_EQ(Staging::make(at("../web01"), "k3f9x2qa", allowed_).error().code,
            ErrorCode::kPermission);
}

TEST_F(Folders, AnUnfinishedOneIsRemovedByWhatItIs) {
  auto staging = Staging::make(at("web01"), "k3f9x2qa", allowed_);
  ASSERT_TRUE(staging);
  ASSERT_TRUE(staging->write("a", "x"));
  const std::string path = staging->path();
  FileIdentity other = staging->identity();
  ++other.inode;
  EXPECT_EQ(remove_staging(path, other).error().code, ErrorCode::kConflict);
  EXPECT_FALSE(remove_staging(path, {})) << "it was never empty";
  EXPECT_TRUE(fs::exists(path));
  EXPECT_TRUE(remove_staging(path, staging->identity()));
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(remove_staging(path, staging->identity()));
  fs::create_directory(path);
  EXPECT_TRUE(remove_staging(path, {}));
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(Folders, ALinkInPlaceOfTheUnfinishedOneIsLeftAlone) {
  fs::create_directory(at("precious"));
  put(at("precious/file"), "x");
  fs::create_directory_symlink(at("precious"), at("web01.drover-a"));
  EXPECT_FALSE(remove_staging(at("web01.drover-a"), see_file(AT_FDCWD, at("precious"))->identity));
  EXPECT_TRUE(fs::exists(at("precious/file")));
}

TEST_F(Folders, OnlyPlainFilesOfTheFolderAreRead) {
  fs::create_directory(at("web01"));
  put(at("outside"), "secret");
  fs::create_symlink(at("outside"), at("web01/link"));
  fs::create_hard_link(at("outside"), at("web01/hard"));
  fs::create_directory(at("web01/folder"));
  ASSERT_EQ(::mkfifo(at("web01/pipe").c_str(), 0600), 0);
  const auto folder = ExportFolder::open(at("web01"), allowed_);
  ASSERT_TRUE(folder);
  for (const char* name : {"link", "hard", "folder", "pipe"})
    EXPECT_EQ(folder->file(name).error().code, ErrorCode::kPolicy) << name;
}

TEST_F(Folders, TheWayToOneFollowsNoLink) {
  fs::create_directory(at("real"));
  fs::create_directory(at("real/web01"));
  fs::create_directory_symlink(at("real"), at("linked"));
  EXPECT_EQ(ExportFolder::open(at("linked/web01"), allowed_).error().code, ErrorCode::kPermission);
  EXPECT_EQ(ExportFolder::open("/etc", allowed_).error().code, ErrorCode::kPermission);
  EXPECT_EQ(ExportFolder::open(at("absent"), allowed_).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(ExportFolder::open(at("real/web01") + "/", allowed_));
}

}  // namespace
}  // namespace drover::archive
