// SPDX-License-Identifier: Apache-2.0
#include "preflight/interface_map.h"

#include <gtest/gtest.h>

namespace drover::preflight {
namespace {

constexpr const char* kFirst = "52:54:00:aa:00:01";
constexpr const char* kSecond = "52:54:00:aa:00:02";

DomainFacts vm() {
  DomainFacts facts;
  facts.vm.name = "web01";
  facts.interfaces = {{kFirst, "bridge", "lan", "", false},
                      {kSecond, "network", "default", "", false},
                      {"52:54:00:aa:00:03", "hostdev", "", "", false}};
  return facts;
}

using Places = std::vector<InterfacePlace>;

std::string refusal(const Places& places) {
  const auto chosen = choose_interface_places(vm(), nullptr, places, {});
  EXPECT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
  return chosen.error().message;
}

std::string text(const Places& places) {
  std::string out;
  for (const auto& place : places) out += place.from + "=" + place.to + " ";
  return out;
}

std::string chosen(const Places& requested, const Places& remembered) {
  const auto places = choose_interface_places(vm(), nullptr, requested, remembered);
  EXPECT_TRUE(places) << places.error().text();
  return places ? text(*places) : "";
}

TEST(InterfacePlaces, OfARequestNameWhatIsThere) {
  EXPECT_EQ(chosen({{"lan", "prod"}, {"52:54:00:AA:00:02", "br1"}}, {}),
            "lan=prod 52:54:00:AA:00:02=br1 ");
  EXPECT_TRUE(refusal({{"dmz", "prod"}}).contains("web01 has no interface dmz. It has"));
  EXPECT_TRUE(refusal({{"52:54:00:aa:00:03", "prod"}}).contains("cannot be plugged in elsewhere"));
  EXPECT_TRUE(refusal({{"lan", ""}}).contains("to nothing"));
  EXPECT_TRUE(refusal({{"lan", "network:"}}).contains("to nothing"));
  EXPECT_TRUE(refusal({{"", "prod"}}).contains("maps nothing"));
  EXPECT_TRUE(refusal({{"lan", "a"}, {"lan", "b"}}).contains("lan twice: as a and as b"));
  EXPECT_TRUE(refusal({{kFirst, "a"}, {"52:54:00:AA:00:01", "b"}}).contains("twice"));
  EXPECT_TRUE(refusal(Places(65, {"lan", "prod"})).contains("At most 64"));
}

TEST(InterfacePlaces, AreRememberedWhereTheRequestSaysNothing) {
  EXPECT_EQ(chosen({}, {{"lan", "prod"}, {"dmz", "x"}, {"52:54:00:aa:00:99", "x"}}), "lan=prod ");
  EXPECT_EQ(chosen({{"lan", "test"}}, {{"lan", "prod"}, {kFirst, "dev"}, {"default", "nat"}}),
            "lan=test default=nat ");
  EXPECT_EQ(chosen({{kFirst, "test"}}, {{"lan", "prod"}}), "52:54:00:aa:00:01=test ");
}

TEST(InterfacePlaces, OfTheNextBootCountToo) {
  DomainFacts next = vm();
  next.interfaces[0].source = "dmz";
  const auto places = choose_interface_places(vm(), &next, Places{{"dmz", "prod"}}, {});
  ASSERT_TRUE(places) << places.error().text();
}

TEST(InterfacePlaces, AreToldAsNotes) {
  Findings findings;
  note_interface_places(vm(), Places{{"lan", "prod"}, {"default", "default"}},
                        Places{{"lan", "prod"}}, "host2", findings);
  const auto list = findings.take();
  ASSERT_EQ(list.size(), 1u) << "nothing is said of what stays as it is called";
  EXPECT_EQ(list[0].code, "NETWORK_MAPPED");
  EXPECT_EQ(list[0].what,
            "On host2 the interface 52:54:00:aa:00:01 is plugged into prod; here it is on lan.");
}

HostFacts host() {
  HostFacts facts;
  facts.name = "host2";
  facts.networks = {{"br1", "both", "virbr0"}, {"both", "default"}, {}, {}};
  facts.networks.links = {
      {"br1", 1500, 0, ""}, {"both", 1500, 0, ""}, {"virbr0", 1500, 0, "default"}};
  return facts;
}

TEST(InterfaceTargets, AreNetworksBeforeBridges) {
  Findings findings;
  const auto targets = find_interface_targets(
      Places{{"a", "default"}, {"b", "br1"}, {"c", "both"}, {"d", "bridge:both"}}, host(),
      findings);
  ASSERT_EQ(targets.size(), 4u);
  using Kind = InterfaceTarget::Kind;
  EXPECT_EQ(targets[0].kind, Kind::kNetwork);
  EXPECT_EQ(targets[1].kind, Kind::kBridge);
  EXPECT_EQ(targets[2].kind, Kind::kNetwork);
  EXPECT_EQ(targets[3].kind, Kind::kBridge);
  EXPECT_EQ(targets[3].name, "both");
  EXPECT_TRUE(findings.take().empty());
}

TEST(InterfaceTargets, ThatAreNotThereAreBlockersThatNameWhatIs) {
  Findings findings;
  EXPECT_TRUE(
      find_interface_targets(Places{{"lan", "nowhere"}, {"x", "network:br1"}}, host(), findings)
          .empty());
  const auto list = findings.take();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].code, "NETWORK_MAP_UNKNOWN");
  EXPECT_EQ(list[0].level, FindingLevel::kBlocker);
  EXPECT_EQ(list[0].fixes.at(0), "--network lan=both, if it is the same network there");
  EXPECT_EQ(list[0].fixes.at(1), "--network lan=default, if it is the same network there");
  EXPECT_EQ(list[0].fixes.at(2), "--network lan=br1, if it is the same network there");
}

}  // namespace
}  // namespace drover::preflight
