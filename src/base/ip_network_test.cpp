// SPDX-License-Identifier: Apache-2.0
#include "base/ip_network.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(IpNetwork, HoldsTheAddressesOfItsPrefix) {
  const IpNetwork four = *IpNetwork::parse("10.77.0.0/23");
  EXPECT_TRUE(four.contains("10.77.0.0") && four.contains("10.77.1.255"));
  EXPECT_FALSE(four.contains("10.77.2.0") || four.contains("10.76.255.255"));
  const IpNetwork six = *IpNetwork::parse("fd00:1::/64");
  EXPECT_TRUE(six.contains("fd00:1::5") && six.contains("fd00:1:0:0:ffff::1"));
  EXPECT_FALSE(six.contains("fd00:1:0:1::5"));
  EXPECT_TRUE(IpNetwork::parse("0.0.0.0/0")->contains("192.0.2.1"));
  EXPECT_TRUE(IpNetwork::parse("10.0.0.7/32")->contains("10.0.0.7"));
  EXPECT_FALSE(IpNetwork::parse("10.0.0.7/32")->contains("10.0.0.6"));
}

TEST(IpNetwork, NeverHoldsTheOtherFamilyNorWhatIsNoAddress) {
  EXPECT_FALSE(IpNetwork::parse("0.0.0.0/0")->contains("::1"));
  EXPECT_FALSE(IpNetwork::parse("::/0")->contains("10.0.0.1"));
  for (const char* text : {"", "host2", "10.0.0", "10.0.0.1/24", "10.0.0.1 "})
    EXPECT_FALSE(IpNetwork::parse("0.0.0.0/0")->contains(text)) << text;
}

TEST(IpNetwork, RefusesWhatIsNoNetwork) {
  for (const char* text : {"", "/", "any", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                           "10.0.0.0/8x", "fd00::/129", "10.0.0/8", "/8"})
    EXPECT_FALSE(IpNetwork::parse(text)) << text;
}

TEST(IpNetwork, AnAddressIsAnsweredWithItsNetwork) {
  const auto wrong = IpNetwork::parse("10.77.1.9/24");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("10.77.1.0/24"), std::string::npos);
  EXPECT_EQ(IpNetwork::around("fd00:1::9", 64)->text(), "fd00:1::/64");
}

TEST(Networks, AListKeepsItsOrder) {
  EXPECT_EQ(*parse_networks("10.9.0.0/16,FD00:0001::/64"),
            (std::vector<std::string>{"10.9.0.0/16", "fd00:1::/64"}));
  EXPECT_TRUE(parse_networks("any")->empty());
  EXPECT_EQ(networks_text(*parse_networks("any")), "any");
  EXPECT_EQ(networks_text({"10.9.0.0/16", "fd00:1::/64"}), "10.9.0.0/16,fd00:1::/64");
}

TEST(Networks, RefusesListsThatMakeNoSense) {
  EXPECT_FALSE(parse_networks(""));
  EXPECT_FALSE(parse_networks("10.9.0.0/16,any"));
  EXPECT_FALSE(parse_networks("10.9.0.0/16,"));
  EXPECT_FALSE(parse_networks("fd00:1::/64,fd00:0001::/64"));
  EXPECT_FALSE(
      parse_networks("10.1.0.0/16,10.2.0.0/16,10.3.0.0/16,10.4.0.0/16,10.5.0.0/16,"
                     "10.6.0.0/16,10.7.0.0/16,10.8.0.0/16,10.9.0.0/16"));
}

TEST(Networks, NoNetworksHoldEveryAddress) {
  EXPECT_TRUE(lies_in_networks("10.0.0.1", {}));
  EXPECT_TRUE(lies_in_networks("10.0.0.1", {"fd00:1::/64", "10.0.0.0/24"}));
  EXPECT_FALSE(lies_in_networks("10.0.1.1", {"fd00:1::/64", "10.0.0.0/24"}));
}

}  // namespace
}  // namespace drover
