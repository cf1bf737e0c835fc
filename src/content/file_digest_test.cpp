// SPDX-License-Identifier: Apache-2.0
#include "content/file_digest.h"

#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace drover::content {
namespace {

UniqueFd file_of(const std::string& bytes, off_t at = 0) {
  UniqueFd file(::memfd_create("digest", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(file.get(), bytes.data(), bytes.size(), at),
            static_cast<ssize_t>(bytes.size()));
  return file;
}

std::string digest(const UniqueFd& file) { return file_digest(file.get()).value_or("none"); }

TEST(FileDigest, IsSha256OfTheWholeFile) {
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(digest(file_of("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest(file_of("")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(FileDigest, TakesHolesForZeroes) {
  const UniqueFd sparse = file_of("end", 5u << 20);
  const UniqueFd full = file_of(std::string(5u << 20, '\0') + "end");
  EXPECT_EQ(digest(sparse), digest(full));
  ASSERT_EQ(::ftruncate(sparse.get(), 6u << 20), 0);
  EXPECT_NE(digest(sparse), digest(full)) << "a hole at the end counts";
}

TEST(FileDigest, SamplesTellFilesApartThatDifferInLengthOrAtTheEnds) {
  const auto sample = [](const UniqueFd& file) { return file_sample(file.get()).value_or("none"); };
  const std::string bytes(10u << 20, 'a');
  EXPECT_EQ(sample(file_of(bytes)), sample(file_of(bytes)));
  EXPECT_NE(sample(file_of(bytes)), sample(file_of(bytes + "a")));
  EXPECT_NE(sample(file_of(bytes)), sample(file_of("b" + bytes.substr(1))));
  EXPECT_NE(sample(file_of(bytes)), sample(file_of(bytes.substr(1) + "b")));
  EXPECT_NE(sample(file_of("")), sample(file_of("a")));
}

TEST(FileDigest, EndsWhenItIsToldTo) {
  std::stop_source stop;
  stop.request_stop();
  const auto none = file_digest(file_of("abc").get(), stop.get_token());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace drover::content
