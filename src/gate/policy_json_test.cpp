// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gate/definition_policy.h"
#include "gate/definition_test_support.h"

namespace drover::gate {
namespace {

using namespace testing;  // NOLINT: the support header's, not GoogleTest's

TEST(PolicyJson, SurvivesARoundTrip) {
  Policy policy{"host2", "web1", kDefinedUuid, "unix:///m", "unix:///d", {"vda"}, {}, {}};
  ASSERT_TRUE(reserve_references(policy, disk("<source file='/x'/>")));
  policy.rules.bridges = {"br0"};
  policy.rules.host_devices = true;
  const std::string text = policy_text(policy);
  const auto again = parse_policy(text);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(policy_text(*again), text);
  EXPECT_EQ(again->references.size(), 2u);
  EXPECT_EQ(again->references[1].value, "/x");
}

TEST(PolicyJson, RefusesRulesThatDoNotExist) {
  EXPECT_TRUE(parse_rules("{}"));
  EXPECT_TRUE(parse_rules(R"({"bridges":["br0"],"user_network":true})"));
  for (const char* wrong : {"", "[]", R"({"brdges":[]})", R"({"bridges":"br0"})",
                            R"({"user_network":1})", R"({"bridges":[1]})"}) {
    EXPECT_FALSE(parse_rules(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace drover::gate
