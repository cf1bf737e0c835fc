// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_mark.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

class ImageMarks : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(root_ / "allowed");
    fs::create_directories(root_ / "secret");
    std::ofstream(root_ / "allowed/web.qcow2") << "image";
    std::ofstream(root_ / "secret/web.qcow2") << "image";
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string in(const char* name) const { return (root_ / name).string(); }

  const fs::path root_ = fs::temp_directory_path() / ("drover-mark-" + random_name(8));
  const std::vector<std::string> allowed_{(root_ / "allowed").string()};
};

TEST_F(ImageMarks, IsFoundOnTheSameFileUnderAnyOfItsNames) {
  fs::create_hard_link(in("allowed/web.qcow2"), in("allowed/other name.qcow2"));
  const auto marked = MarkedImage::mark(in("allowed/web.qcow2"));
  ASSERT_TRUE(marked) << marked.error().text();
  for (const char* name : {"allowed/web.qcow2", "allowed/other name.qcow2"}) {
    const auto found = find_mark(in(name), marked->where().start, allowed_);
    ASSERT_TRUE(found) << found.error().text();
    EXPECT_EQ(*found, marked->where());
  }
}

TEST_F(ImageMarks, IsNotFoundOnAnotherFileOfTheSameContent) {
  fs::copy_file(in("allowed/web.qcow2"), in("allowed/copy.qcow2"));
  const auto marked = MarkedImage::mark(in("allowed/web.qcow2"));
  ASSERT_TRUE(marked);
  EXPECT_EQ(find_mark(in("allowed/copy.qcow2"), marked->where().start, allowed_), std::nullopt);
}

TEST_F(ImageMarks, IsNotFoundWhereAnotherMarkLies) {
  const auto first = MarkedImage::mark(in("allowed/web.qcow2"));
  const auto second = MarkedImage::mark(in("allowed/web.qcow2"));
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->where(), second->where());
  EXPECT_EQ(find_mark(in("allowed/web.qcow2"), second->where().start, allowed_), second->where());
  // Within a mark, but not where it begins.
  EXPECT_EQ(find_mark(in("allowed/web.qcow2"), second->where().start + 1, allowed_), std::nullopt);
}

TEST_F(ImageMarks, EndsWithItsHolder) {
  ImageMark where;
  {
    const auto marked = MarkedImage::mark(in("allowed/web.qcow2"));
    ASSERT_TRUE(marked);
    where = marked->where();
  }
  EXPECT_EQ(find_mark(in("allowed/web.qcow2"), where.start, allowed_), std::nullopt);
}

TEST_F(ImageMarks, AreLookedForBeneathAllowedFoldersOnlyAndThroughNoLink) {
  const auto marked = MarkedImage::mark(in("secret/web.qcow2"));
  ASSERT_TRUE(marked);
  fs::create_symlink(in("secret/web.qcow2"), in("allowed/link.qcow2"));
  fs::create_directory_symlink(in("secret"), in("allowed/folder"));
  for (const char* name :
       {"secret/web.qcow2", "allowed/../secret/web.qcow2", "allowed/folder/web.qcow2"}) {
    const auto found = find_mark(in(name), marked->where().start, allowed_);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, ErrorCode::kPermission) << name;
  }
  const auto linked = find_mark(in("allowed/link.qcow2"), marked->where().start, allowed_);
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code, ErrorCode::kConflict);
}

TEST_F(ImageMarks, AreLookedForInFilesOnlyAndWhereMarksMayLie) {
  ASSERT_EQ(::mkfifo(in("allowed/fifo").c_str(), 0600), 0);
  const auto marked = MarkedImage::mark(in("allowed/web.qcow2"));
  ASSERT_TRUE(marked);
  EXPECT_EQ(find_mark(in("allowed/fifo"), marked->where().start, allowed_).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(find_mark(in("allowed/none"), marked->where().start, allowed_).error().code,
            ErrorCode::kNotFound);
  for (const std::uint64_t start : {std::uint64_t{0}, std::uint64_t{201}, ~std::uint64_t{0}}) {
    EXPECT_EQ(find_mark(in("allowed/web.qcow2"), start, allowed_).error().code,
              ErrorCode::kProtocol);
  }
  EXPECT_FALSE(MarkedImage::mark(in("allowed/fifo")));
}

}  // namespace
}  // namespace drover
