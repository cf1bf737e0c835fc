// SPDX-License-Identifier: Apache-2.0
#include "fit/mobility.h"

#include <atomic>

#include <gtest/gtest.h>

namespace drover::fit {
namespace {

Finding blocker(const std::string& code, const std::string& object) {
  return {code, FindingLevel::kBlocker, object, "It is so.", "It matters.", {"Mend it."}};
}

MobilityPlace place(const std::string& host, std::vector<Finding> blockers,
                    MoveKind kind = MoveKind::kLive) {
  MobilityPlace one;
  one.host = host;
  one.kind = kind;
  one.possible = blockers.empty();
  one.blockers = std::move(blockers);
  return one;
}

TEST(BestChange, IsWhatAddsTheMostHosts) {
  const auto media = blocker("MEDIA_INSERTED", "sda");
  const auto change = best_change({place("host2", {media}), place("host3", {media}),
                                   place("host4", {blocker("MEMORY_SHORT", "host4")}),
                                   place("host5", {media, blocker("MEMORY_SHORT", "host5")})});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->finding.code, "MEDIA_INSERTED");
  EXPECT_EQ(change->hosts, (std::vector<std::string>{"host2", "host3"}));
}

TEST(BestChange, IsNoneWhereEveryHostNeedsMoreOrCanTakeItAlready) {
  EXPECT_FALSE(best_change({}));
  EXPECT_FALSE(best_change({place("host2", {})}));
  EXPECT_FALSE(
      best_change({place("host2", {blocker("A", "x"), blocker("B", "x")}, MoveKind::kLive)}));
  EXPECT_FALSE(
      best_change({place("host2", {}, MoveKind::kQuick), place("host2", {blocker("A", "x")})}))
      << "it can go there in another way";
}

TEST(BestChange, PrefersWhatDroverCanDo) {
  auto mine = blocker("MIGRATION_DISABLED", "host1");
  mine.appliable = true;
  const auto change =
      best_change({place("host2", {blocker("MEMORY_SHORT", "host2")}), place("host3", {mine})});
  ASSERT_TRUE(change);
  EXPECT_EQ(change->finding.code, "MIGRATION_DISABLED");
}

Vm vm(const std::string& name, VmState state) {
  Vm one;
  one.uuid = one.name = name;
  one.state = state;
  return one;
}

TEST(LookForPlaces, AsksForEachVmHostAndKindThatMakesSense) {
  std::atomic<int> asked = 0;
  MobilityView view;
  view.host = "host1";
  view.hosts = {"host2", "host3"};
  view.moving = [](std::string_view uuid) { return uuid == "busy" ? "k3f9x2qa" : ""; };
  view.plan = [&](const MoveRequest& request) -> Result<Plan> {
    ++asked;
    EXPECT_FALSE(request.measure) << "nobody asked how long it would take";
    if (request.destination == "host3") return fail(ErrorCode::kUnavailable, "host3 is silent.");
    if (request.kind == MoveKind::kQuick)
      return fail(ErrorCode::kInvalidArgument, "Not there yet.");
    Plan plan;
    if (request.vm == "off") plan.findings = {blocker("A", "x")};
    plan.findings.push_back({"W", FindingLevel::kWarning, "x", "It is so.", "Why.", {}});
    return plan;
  };
  const auto found = look_for_places(view, {vm("web", VmState::kRunning), vm("off", VmState::kOff),
                                            vm("busy", VmState::kRunning)});
  ASSERT_EQ(found.vms.size(), 3u);
  EXPECT_EQ(found.vms[0].places.size(), 4u);
  EXPECT_EQ(found.vms[0].hosts_now, std::vector<std::string>{"host2"});
  EXPECT_EQ(found.vms[0].places[0].warnings, std::vector<std::string>{"W"});
  EXPECT_EQ(found.vms[1].places.size(), 2u);
  EXPECT_EQ(found.vms[1].places[0].kind, MoveKind::kOffline);
  ASSERT_TRUE(found.vms[1].change);
  EXPECT_EQ(found.vms[1].change->finding.code, "A");
  EXPECT_EQ(found.vms[2].state, VmState::kRunning);
  EXPECT_EQ(found.vms[2].move_id, "k3f9x2qa");
  EXPECT_EQ(found.vms[0].move_id, "");
  EXPECT_TRUE(found.vms[2].places.empty());
  ASSERT_EQ(found.unreachable.size(), 1u);
  EXPECT_EQ(found.unreachable[0].host, "host3");
  EXPECT_LE(asked, 6) << "a silent host need not be asked each time";
}

// Another host may run it: nobody is asked, and each place says what is to be settled first.
TEST(LookForPlaces, AVmWhoseMoveIsParkedGoesNowhere) {
  MobilityView view;
  view.host = "host1";
  view.hosts = {"host2", "host3"};
  view.moving = [](std::string_view) { return ""; };
  view.in_doubt = [](const Vm& one) -> Status {
    if (one.name != "parked") return {};
    return fail(ErrorCode::kConflict, "Its move is parked: drover resolve k3f9x2qa.");
  };
  view.plan = [](const MoveRequest& request) -> Result<Plan> {
    EXPECT_EQ(request.vm, "web");
    return Plan{};
  };
  const auto found = look_for_places(view, {vm("parked", VmState::kOff), vm("web", VmState::kOff)});
  ASSERT_EQ(found.vms[0].places.size(), 2u);
  for (const MobilityPlace& one : found.vms[0].places) {
    EXPECT_FALSE(one.possible);
    EXPECT_TRUE(one.text.contains("drover resolve k3f9x2qa")) << one.text;
  }
  EXPECT_TRUE(found.vms[0].hosts_now.empty());
  EXPECT_FALSE(found.vms[0].change);
  EXPECT_TRUE(found.unreachable.empty());
  EXPECT_EQ(found.vms[1].hosts_now, view.hosts);
}

// Of a thousand VMs on ten hosts nobody waits for the last plan, nor does a droverd that stops.
TEST(LookForPlaces, EndsWhenThereIsNoTimeLeft) {
  std::atomic<int> asked = 0;
  MobilityView view;
  view.host = "host1";
  view.hosts = {"host2"};
  view.moving = [](std::string_view) { return ""; };
  view.over = [&] { return asked >= 3; };
  view.plan = [&](const MoveRequest&) -> Result<Plan> {
    ++asked;
    return Plan{};
  };
  const auto found = look_for_places(view, std::vector<Vm>(500, vm("web", VmState::kOff)));
  ASSERT_EQ(found.vms.size(), 500u);
  EXPECT_LT(asked, 30) << "those under way at that moment";
  EXPECT_TRUE(found.unreachable.empty()) << "nobody is to blame";
  EXPECT_EQ(found.vms.back().places.at(0).text, "There was no time to ask.");
  EXPECT_TRUE(found.vms.back().hosts_now.empty());
}

}  // namespace
}  // namespace drover::fit
