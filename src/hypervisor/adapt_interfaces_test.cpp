// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/adapt_interfaces.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

using Kind = InterfaceTarget::Kind;

std::string domain(const std::string& interfaces) {
  return "<domain type='kvm'><name>web01</name><devices>\n" + interfaces + "\n</devices></domain>";
}

std::string adapt(const std::string& interface, std::vector<InterfaceTarget> targets) {
  const auto text = adapt_interfaces(domain(interface), targets);
  EXPECT_TRUE(text) << text.error().text();
  return text.value_or("");
}

InterfaceFacts facts(const std::string& xml, std::size_t index = 0) {
  const auto read = parse_domain(xml);
  EXPECT_TRUE(read) << xml;
  return read ? read->interfaces.at(index) : InterfaceFacts{};
}

constexpr const char* kBridged =
    "<interface type='bridge'><mac address='52:54:00:aa:00:01'/><source bridge='lan'/><vlan><tag "
    "id='42'/></vlan><virtualport type='openvswitch'><parameters interfaceid='x'/></virtualport>"
    "<target dev='vnet7'/><model type='virtio'/><mtu size='9000'/><address type='pci' "
    "slot='0x03'/></interface>";

TEST(AdaptInterfaces, PlugsABridgedOneIntoANetworkAndKeepsWhatTheGuestSees) {
  const std::string text = adapt(kBridged, {{"lan", Kind::kNetwork, "prod"}});
  EXPECT_EQ(facts(text).type, "network");
  EXPECT_EQ(facts(text).source, "prod");
  EXPECT_EQ(facts(text).mac, "52:54:00:aa:00:01");
  for (const char* kept : {"<model type='virtio'/>", "<mtu size='9000'/>", "slot='0x03'"})
    EXPECT_TRUE(text.contains(kept)) << kept << " in " << text;
  for (const char* gone : {"vnet7", "vlan", "virtualport", "bridge="})
    EXPECT_FALSE(text.contains(gone)) << gone << " in " << text;
}

TEST(AdaptInterfaces, PlugsALiveOneOfANetworkIntoABridge) {
  const std::string text = adapt(
      "<interface type='network'><mac address='52:54:00:aa:00:01'/><source network='default' "
      "portgroup='web' portid='1-2' bridge='virbr0'/><target dev='tap-web'/></interface>",
      {{"default", Kind::kBridge, "br1"}});
  EXPECT_TRUE(text.contains("<source bridge='br1'/>")) << text;
  EXPECT_TRUE(text.contains("type='bridge'")) << text;
  EXPECT_TRUE(text.contains("tap-web")) << "a name that somebody chose stays";
}

TEST(AdaptInterfaces, KeepsAPortGroupFromNetworkToNetwork) {
  const std::string text = adapt(
      "<interface type='network'><mac address='52:54:00:aa:00:01'/><source network='a' "
      "portgroup='web'/></interface>",
      {{"a", Kind::kNetwork, "b"}});
  EXPECT_TRUE(text.contains("<source network='b' portgroup='web'/>")) << text;
}

TEST(AdaptInterfaces, TakesTheMacBeforeTheName) {
  const std::string two =
      "<interface type='bridge'><mac address='52:54:00:aa:00:01'/><source bridge='lan'/>"
      "</interface><interface type='bridge'><mac address='52:54:00:aa:00:02'/><source "
      "bridge='lan'/></interface>";
  const std::string text =
      adapt(two, {{"lan", Kind::kBridge, "br1"}, {"52:54:00:AA:00:02", Kind::kBridge, "br2"}});
  EXPECT_EQ(facts(text, 0).source, "br1");
  EXPECT_EQ(facts(text, 1).source, "br2");
}

TEST(AdaptInterfaces, GivesAnInterfaceOfItsOwnNetworkASource) {
  const std::string text = adapt(
      "<interface type='user'><mac address='52:54:00:aa:00:01'/><backend type='passt'/><ip "
      "family='ipv4' address='10.0.2.15'/></interface>",
      {{"52:54:00:aa:00:01", Kind::kNetwork, "prod"}});
  EXPECT_EQ(facts(text).source, "prod");
  EXPECT_FALSE(text.contains("passt") || text.contains("10.0.2.15")) << text;
}

TEST(AdaptInterfaces, LeavesOthersAsTheyAre) {
  const std::string others =
      "<interface type='hostdev'><mac address='52:54:00:aa:00:01'/></interface>"
      "<interface type='bridge'><mac address='52:54:00:aa:00:02'/><source bridge='dmz'/>"
      "</interface>";
  EXPECT_EQ(
      adapt(others, {{"lan", Kind::kBridge, "br1"}, {"52:54:00:aa:00:01", Kind::kBridge, "x"}}),
      domain(others));
  EXPECT_EQ(adapt(kBridged, {}), domain(kBridged)) << "byte for byte";
}

TEST(Mac, IsKnownInAnyCase) {
  EXPECT_TRUE(is_mac("52:54:00:aA:00:01"));
  for (const char* none : {"", "lan", "52:54:00:aa:00", "52-54-00-aa-00-01", "52:54:00:aa:00:0g"})
    EXPECT_FALSE(is_mac(none)) << none;
  EXPECT_TRUE(same_mac("52:54:00:AA:00:01", "52:54:00:aa:00:01"));
  EXPECT_FALSE(same_mac("52:54:00:AA:00:01", "52:54:00:aa:00:02"));
}

}  // namespace
}  // namespace drover
