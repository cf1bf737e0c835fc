// SPDX-License-Identifier: Apache-2.0
#include "base/percent.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(PercentEncoded, KeepsWhatIsPlain) {
  EXPECT_EQ(percent_encoded("aZ09-._~", Slash::kLetter), "aZ09-._~");
  EXPECT_EQ(percent_encoded("", Slash::kParts), "");
}

TEST(PercentEncoded, ASlashPartsOrIsALetter) {
  EXPECT_EQ(percent_encoded("/run/a b", Slash::kParts), "/run/a%20b");
  EXPECT_EQ(percent_encoded("a/b", Slash::kLetter), "a%2Fb");
}

TEST(PercentEncoded, BytesOfAnyKind) {
  EXPECT_EQ(percent_encoded("\xc3\xa4?&=%#\n", Slash::kParts), "%C3%A4%3F%26%3D%25%23%0A");
}

}  // namespace
}  // namespace drover
