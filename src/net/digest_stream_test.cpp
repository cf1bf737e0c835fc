// SPDX-License-Identifier: Apache-2.0
#include "net/digest_stream.h"

#include <gtest/gtest.h>

namespace drover::net {
namespace {

TEST(DigestStream, IsTheDigestOfAllParts) {
  DigestStream stream;
  for (const char* part : {"a", "", "bc", "def"}) stream.add(part);
  EXPECT_EQ(stream.end(), sha256("abcdef"));
}

TEST(DigestStream, OfNothing) {
  DigestStream stream;
  EXPECT_EQ(stream.end(), sha256(""));
}

}  // namespace
}  // namespace drover::net
