// SPDX-License-Identifier: Apache-2.0
#include "preflight/road.h"

#include <gtest/gtest.h>

namespace drover::preflight {
namespace {

class ChooseRoad : public testing::Test {
 protected:
  void SetUp() override {
    source_.name = "host1";
    source_.networks.addresses = {
        {"10.77.0.1", 24, "move0"}, {"10.77.1.1", 24, "move1"}, {"fd00:1::1", 64, "move1"}};
    destination_.name = "host2";
    destination_.networks.addresses = {
        {"10.77.1.2", 24, "move1"}, {"10.77.0.2", 24, "move0"}, {"fd00:1::2", 64, "move1"}};
  }
  Result<Road> choose() {
    return choose_road({request_, source_, destination_, "10.77.0.2", "10.77.0.1"});
  }
  std::vector<std::string> ways() {
    std::vector<std::string> words;
    const auto road = choose();
    for (const auto& pair : road->pairs) {
      words.push_back(pair.network + " " + pair.source_address + " " + pair.destination_address);
    }
    return words;
  }
  using Words = std::vector<std::string>;

  MoveRequest request_;
  HostFacts source_, destination_;
};

TEST_F(ChooseRoad, WithoutAWishItIsTheWayOfThePairing) {
  EXPECT_EQ(ways(), Words{"any 10.77.0.1 10.77.0.2"});
  EXPECT_TRUE(choose()->findings.empty());
}

TEST_F(ChooseRoad, PairsKeepTheOrderOfTheWish) {
  request_.networks = Words{"10.77.1.0/24", "fd00:1::/64", "10.77.0.0/24"};
  EXPECT_EQ(ways(), (Words{"10.77.1.0/24 10.77.1.1 10.77.1.2", "fd00:1::/64 fd00:1::1 fd00:1::2",
                           "10.77.0.0/24 10.77.0.1 10.77.0.2"}));
}

TEST_F(ChooseRoad, ANetworkOfOneHostAloneIsLeftOut) {
  source_.networks.addresses.push_back({"10.9.0.1", 24, "eth9"});
  request_.networks = Words{"10.9.0.0/24", "10.77.1.0/24"};
  EXPECT_EQ(ways(), Words{"10.77.1.0/24 10.77.1.1 10.77.1.2"});
}

TEST_F(ChooseRoad, TheSamePairIsUsedOnce) {
  request_.networks = Words{"10.77.0.0/24", "10.77.0.0/25"};
  EXPECT_EQ(ways(), Words{"10.77.0.0/24 10.77.0.1 10.77.0.2"});
}

TEST_F(ChooseRoad, TheRequestGoesBeforeTheSourceAndTheSourceBeforeTheDestination) {
  destination_.settings.networks = {"10.77.0.0/24", "10.77.1.0/24"};
  EXPECT_EQ(ways().size(), 2u) << "the destination takes moves in there only";
  source_.settings.networks = {"10.77.0.0/24"};
  EXPECT_EQ(ways(), Words{"10.77.0.0/24 10.77.0.1 10.77.0.2"});
  request_.networks = Words{"10.77.1.0/24"};
  EXPECT_EQ(ways(), Words{"10.77.1.0/24 10.77.1.1 10.77.1.2"});
}

TEST_F(ChooseRoad, NothingLeadsToWhatTheDestinationForbids) {
  destination_.settings.networks = {"10.77.1.0/24"};
  request_.networks = Words{};  // any
  EXPECT_EQ(ways(), Words{"10.77.1.0/24 10.77.1.1 10.77.1.2"});
  request_.networks = Words{"10.77.0.0/16"};
  EXPECT_EQ(ways(), Words{"10.77.0.0/16 10.77.0.1 10.77.1.2"}) << "one routed network";
  request_.networks = Words{"10.77.0.0/24"};
  const auto road = choose();
  EXPECT_TRUE(road->pairs.empty());
  ASSERT_EQ(road->findings.size(), 1u);
  EXPECT_EQ(road->findings[0].code, "NO_COMMON_NETWORK");
}

TEST_F(ChooseRoad, ABlockerNamesWhatIsCommon) {
  request_.networks = Words{"192.0.2.0/24"};
  const auto road = choose();
  ASSERT_EQ(road->findings.size(), 1u);
  EXPECT_EQ(road->findings[0].level, FindingLevel::kBlocker);
  ASSERT_FALSE(road->findings[0].fixes.empty());
  EXPECT_NE(road->findings[0].fixes[0].find("--networks 10.77.0.0/24,10.77.1.0/24,fd00:1::/64"),
            std::string::npos)
      << road->findings[0].fixes[0];
}

TEST_F(ChooseRoad, ABridgeWithGuestsIsNotedOnEitherSide) {
  source_.networks.addresses[0].guests = true;
  auto road = choose();
  ASSERT_EQ(road->findings.size(), 1u);
  EXPECT_EQ(road->findings[0].code, "NETWORK_SHARED_WITH_GUESTS");
  EXPECT_EQ(road->findings[0].level, FindingLevel::kNote);
  destination_.networks.addresses[1].guests = true;
  EXPECT_EQ(choose()->findings.size(), 2u);
  request_.networks = Words{"10.77.1.0/24"};
  EXPECT_TRUE(choose()->findings.empty()) << "the bridge is not on this way";
}

TEST_F(ChooseRoad, RefusesWhatIsNoNetwork) {
  request_.networks = Words{"host2"};
  EXPECT_EQ(choose().error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ChooseRoad, ASlowDeviceIsAWarning) {
  destination_.networks.links = {{"move0", 1500, 10'000, ""}, {"move1", 1500, 100, ""}};
  source_.networks.links = {{"move0", 1500, 0, ""}, {"move1", 1500, 1000, ""}};
  EXPECT_TRUE(choose()->findings.empty());
  request_.networks = Words{"10.77.1.0/24"};
  const auto findings = choose()->findings;
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, "LINK_SLOW");
  EXPECT_EQ(findings[0].what, "move1 on host2, which the move goes over, has 100 Mbit/s.");
}

}  // namespace
}  // namespace drover::preflight
