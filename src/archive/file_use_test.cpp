// SPDX-License-Identifier: Apache-2.0
#include "archive/file_use.h"

#include "archive/archive_test_support.h"

namespace drover::archive {
namespace {

TEST_F(Archives, AFileIsUnusedOnlyIfEveryImageCanBeRead) {
  EXPECT_EQ(*user_of(hypervisor_, at("images/web01.qcow2")), "web01");
  EXPECT_EQ(*user_of(hypervisor_, at("images/other.qcow2")), "");
  const std::string image = at("images/web01.qcow2");
  fs::remove(image);
  EXPECT_EQ(*user_of(hypervisor_, at("images/other.qcow2")), "") << "one that is missing";
  fs::create_symlink(image, image);  // cannot be opened, even by root
  EXPECT_FALSE(user_of(hypervisor_, at("images/other.qcow2")));
  EXPECT_EQ(*user_of(hypervisor_, at("images/web01.img")), "web01") << "known all the same";
}

}  // namespace
}  // namespace drover::archive
