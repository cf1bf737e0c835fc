// SPDX-License-Identifier: Apache-2.0
#include "net/invite_code.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/random.h"

namespace drover::net {
namespace {

TEST(InviteCode, IsReadAsPeopleTypeIt) {
  const std::string code = make_invite_code();
  EXPECT_EQ(code.size(), 7u * 4 + 6);
  const auto secret = read_invite_code(code);
  ASSERT_TRUE(secret) << secret.error().text();
  std::string sloppy;
  for (char c : code) {
    if (c == '-') continue;
    if (c == '0') c = 'o';
    if (c == '1') c = 'L';
    sloppy += static_cast<char>(std::tolower(c));
  }
  const auto again = read_invite_code(sloppy);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->identity, secret->identity);
  EXPECT_EQ(again->key, secret->key);
}

TEST(InviteCode, TypingErrorsAreSeenBeforeAnythingIsSent) {
  const std::string code = make_invite_code();
  int unseen = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '-') continue;
    std::string wrong = code;
    wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
    unseen += read_invite_code(wrong) ? 1 : 0;
  }
  EXPECT_LE(unseen, 1) << "10 check bits miss one in 1024";
  for (const auto* bad : {"", "K3F9", "$$$$-$$$$-$$$$-$$$$-$$$$-$$$$-$$$$"})
    EXPECT_FALSE(read_invite_code(bad));
  EXPECT_FALSE(read_invite_code(code + "A"));
}

TEST(InviteCode, IdentityTellsNothingOfTheKey) {
  const auto secret = read_invite_code(make_invite_code());
  const std::string name = secret->identity.substr(secret->identity.rfind(' ') + 1);
  EXPECT_EQ(to_hex(secret->key).find(name), std::string::npos);
  EXPECT_NE(make_invite_code(), make_invite_code());
}

TEST(Digest, MatchesPublishedVectors) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 5869, test case 3: 22 bytes of 0x0b, no salt, no info; the first 32 bytes.
  EXPECT_EQ(to_hex(derive_key(std::string(22, '\x0b'), "")),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
  EXPECT_TRUE(same_secret("abc", "abc"));
  EXPECT_FALSE(same_secret("abc", "abcd"));
}

}  // namespace
}  // namespace drover::net
