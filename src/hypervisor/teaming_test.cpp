// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/teaming.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

constexpr std::string_view kGuest = R"(<domain type='kvm'><name>web01</name><devices>
  <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='virtio'/>
    <teaming type='persistent'/><alias name='ua-standby'/></interface>
  <interface type='network'><mac address='52:54:00:00:00:01'/><source network='vfs'/>
    <teaming type='transient' persistent='ua-standby'/></interface>
  <interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:02'/>
    <source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source>
    <teaming type='transient' persistent='ua-standby'/></interface>
  <hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x04' slot='0x00' function='0x2'/></source>
    <teaming type='transient' persistent='ua-standby'/></hostdev>
  <hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></source></hostdev>
  </devices></domain>)";

TEST(Teaming, FindsTheCardsThatAGuestCanLiveWithout) {
  const auto devices = teamed_devices(kGuest);
  ASSERT_TRUE(devices);
  ASSERT_EQ(devices->size(), 3u);
  EXPECT_EQ((*devices)[0].label, "52:54:00:00:00:01");
  EXPECT_TRUE((*devices)[0].of_network);
  EXPECT_TRUE((*devices)[0].xml.starts_with("<interface type='network'>")) << (*devices)[0].xml;
  EXPECT_EQ((*devices)[1].label, "52:54:00:00:00:02");
  EXPECT_FALSE((*devices)[1].of_network);
  EXPECT_EQ((*devices)[2].label, "0000:04:00.2");
}

TEST(Teaming, TakesThemOutAndNothingElse) {
  const auto none = without_teamed(kGuest, KeepTeamed::kNone);
  ASSERT_TRUE(none);
  EXPECT_TRUE(teamed_devices(*none)->empty());
  EXPECT_TRUE(none->contains("ua-standby")) << "the card that stays";
  EXPECT_TRUE(none->contains("bus='0x05'")) << "a device without a stand-in is no part of a team";
  EXPECT_FALSE(none->contains("vfs") || none->contains("bus='0x03'") ||
               none->contains("bus='0x04'"));
  const auto kept = without_teamed(kGuest, KeepTeamed::kOfNetworks);
  ASSERT_TRUE(kept);
  ASSERT_EQ(teamed_devices(*kept)->size(), 1u);
  EXPECT_TRUE(kept->contains("vfs"));
}

TEST(Teaming, WhatIsNoDefinitionIsAnError) {
  EXPECT_FALSE(teamed_devices("<network/>"));
  EXPECT_FALSE(without_teamed("", KeepTeamed::kNone));
}

}  // namespace
}  // namespace drover
