// SPDX-License-Identifier: Apache-2.0
#include "net/host_identity.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"

namespace drover::net {
namespace {

class HostIdentityTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  const std::filesystem::path path_ = folder_ / "identity.key";
};

TEST_F(HostIdentityTest, IsMadeOnceAndPrivate) {
  const auto made = HostIdentity::load_or_make(path_);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_TRUE(is_public_key(made->public_key()));
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  const auto loaded = HostIdentity::load_or_make(path_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->public_key(), made->public_key());
  EXPECT_EQ(public_key_of(loaded->certificate()), made->public_key());
}

TEST_F(HostIdentityTest, RefusesAFileThatOthersMayRead) {
  ASSERT_TRUE(HostIdentity::load_or_make(path_));
  ::chmod(path_.c_str(), 0640);
  EXPECT_EQ(HostIdentity::load_or_make(path_).error().code, ErrorCode::kPermission);
}

TEST_F(HostIdentityTest, NeverReplacesAFileItCannotRead) {
  std::ofstream(path_) << "no key";
  ::chmod(path_.c_str(), 0600);
  EXPECT_EQ(HostIdentity::load_or_make(path_).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(HostIdentityTest, SignaturesHoldForOneKeyAndOneMessage) {
  const auto one = HostIdentity::make(), two = HostIdentity::make();
  const std::string signature = one->sign("hello");
  EXPECT_TRUE(verify_signature(one->public_key(), "hello", signature));
  EXPECT_FALSE(verify_signature(one->public_key(), "hallo", signature));
  EXPECT_FALSE(verify_signature(two->public_key(), "hello", signature));
  EXPECT_FALSE(verify_signature("zz", "hello", signature));
  EXPECT_FALSE(verify_signature(one->public_key(), "hello", "short"));
}

}  // namespace
}  // namespace drover::net
