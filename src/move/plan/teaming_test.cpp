// SPDX-License-Identifier: Apache-2.0
#include "move/plan/teaming.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

std::string definition(const std::string& card) {
  return "<domain type='kvm'><name>web</name><uuid>6a0e9c1e-5f5c-4a63-9a1e-1f2d3c4b5a69</uuid>"
         "<devices><interface type='bridge'><mac address='52:54:00:00:00:01'/>"
         "<source bridge='br0'/><teaming type='persistent'/><alias name='ua-a'/></interface>" +
         card + "</devices></domain>";
}

const std::string kFixed =
    "<interface type='hostdev'><mac address='52:54:00:00:00:01'/><source><address type='pci' "
    "domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source><teaming type='transient' "
    "persistent='ua-a'/></interface>";
const std::string kOfNetwork =
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='vfs'/><teaming "
    "type='transient' persistent='ua-a'/></interface>";

TEST(TeamedCards, ACardOfThisHostDoesNotTravelAndIsToldOf) {
  preflight::SourceView view;
  view.vm.name = "web";
  view.live_xml = view.persistent_xml = definition(kFixed);
  std::vector<Finding> findings;
  ASSERT_TRUE(take_teamed_out(view, findings));
  EXPECT_FALSE(view.live_xml.contains("0x03") || view.persistent_xml.contains("0x03"));
  EXPECT_TRUE(view.live_xml.contains("br0"));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, "NIC_TEAMED");
  EXPECT_TRUE(findings[0].why.contains("has none")) << findings[0].why;
}

TEST(TeamedCards, OneThatANetworkGivesIsThereAgainAtTheNextBoot) {
  preflight::SourceView view;
  view.live_xml = definition(kFixed);  // libvirt shows what the network gave
  view.persistent_xml = definition(kOfNetwork);
  std::vector<Finding> findings;
  ASSERT_TRUE(take_teamed_out(view, findings));
  EXPECT_FALSE(view.live_xml.contains("transient"));
  EXPECT_TRUE(view.persistent_xml.contains("vfs"));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_TRUE(findings[0].why.contains("of the same name")) << findings[0].why;
}

TEST(TeamedCards, AVmWithoutThemStaysAsItIs) {
  preflight::SourceView view;
  view.live_xml = view.persistent_xml = definition("");
  std::vector<Finding> findings;
  ASSERT_TRUE(take_teamed_out(view, findings));
  EXPECT_EQ(view.live_xml, definition(""));
  EXPECT_TRUE(findings.empty());
}

}  // namespace
}  // namespace drover::move
