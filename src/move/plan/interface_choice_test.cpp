// SPDX-License-Identifier: Apache-2.0
#include "move/plan/interface_choice.h"

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Places = std::vector<InterfacePlace>;

class InterfaceChoice : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peers_);
    for (const char* name : {"host2", "host3"}) pair_with(name);
    view_.live_xml = view_.persistent_xml =
        "<domain type='kvm'><name>web01</name><devices><interface type='bridge'><mac "
        "address='52:54:00:aa:00:01'/><source bridge='lan'/></interface></devices></domain>";
  }
  void TearDown() override { close_world(); }
  static std::string text(const Places& places) {
    std::string out;
    for (const auto& place : places) out += place.from + "=" + place.to + " ";
    return out;
  }
  std::string kept(const char* host) {
    return text(book_->interface_places().of(book_->find_peer(host)->public_key).value());
  }
  std::string chosen(const char* host) {
    const auto places = choose_interfaces(*world_, *book_->find_peer(host), view_);
    return places ? text(*places) : places.error().message;
  }

  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
  preflight::SourceView view_;
};

TEST_F(InterfaceChoice, IsRememberedOfTheHostItWasSaidOf) {
  MoveRequest request;
  request.destination = "host2";
  request.interfaces = {{"lan", "prod"}};
  ASSERT_TRUE(remember_interfaces(*world_, request));
  EXPECT_EQ(chosen("host2"), "lan=prod ");
  EXPECT_EQ(chosen("host3"), "");
  view_.request.interfaces = {{"lan", "test"}};
  EXPECT_EQ(chosen("host2"), "lan=test ") << "what is asked goes before";
  EXPECT_EQ(kept("host2"), "lan=prod ") << "a plan remembers nothing";
}

TEST_F(InterfaceChoice, TellsWhatItMeansForEachInterface) {
  std::vector<Finding> findings;
  view_.request.destination = "host2";
  note_interfaces(Places{{"lan", "prod"}}, view_, findings);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_TRUE(findings[0].why.contains("remembered")) << findings[0].why;
}

TEST_F(InterfaceChoice, KeepsTheWayBackWhereItIsClear) {
  ASSERT_TRUE(remember_way_back(*world_, "host2",
                                Places{{"lan", "prod"},
                                       {"dmz", "network:edge"},
                                       {"a", "both"},
                                       {"b", "both"},
                                       {"52:54:00:aa:00:01", "mine"},
                                       {"same", "same"}}));
  EXPECT_EQ(kept("host2"), "edge=dmz prod=lan ");
  ASSERT_TRUE(remember_way_back(*world_, "host2", Places{{"other", "prod"}}));
  EXPECT_EQ(kept("host2"), "edge=dmz prod=lan ") << "what is known stays";
  EXPECT_FALSE(remember_way_back(*world_, "host9", Places{{"lan", "prod"}}));
}

TEST(CheckClock, AllowsForTheTimeOfTheCall) {
  const auto now = std::chrono::system_clock::now();
  const auto found = [&](std::chrono::milliseconds ahead) {
    HostFacts facts;
    facts.name = "host2";
    facts.clock = now + ahead;
    std::vector<Finding> findings;
    check_clock(facts, now, now + 2s, findings);
    return findings.empty() ? std::string() : findings[0].code + ": " + findings[0].what;
  };
  EXPECT_EQ(found(6s), "");
  EXPECT_EQ(found(-4s), "");
  EXPECT_EQ(found(8s), "TIME_SKEW: The clock of host2 is 6.0 s ahead of this host's.");
  EXPECT_EQ(found(-7500ms), "TIME_SKEW: The clock of host2 is 7.5 s behind this host's.");
  std::vector<Finding> findings;
  check_clock(HostFacts{}, now, now, findings);
  EXPECT_TRUE(findings.empty()) << "an earlier release says nothing";
}

}  // namespace
}  // namespace drover::move
