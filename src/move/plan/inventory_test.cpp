// SPDX-License-Identifier: Apache-2.0
#include "move/plan/inventory.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

class HostWithVms : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peers_);
    inventory_.emplace(hypervisor_, *book_, peers_, "host1");
  }
  void TearDown() override {
    inventory_.reset();
    close_world();
  }
  void define() {
    ASSERT_TRUE(hypervisor_.define(std::string("<domain type='kvm'><name>web01</name><uuid>") +
                                   kUuid + "</uuid></domain>"));
  }
  static bool shows_it(const std::vector<Vm>& vms) {
    return std::ranges::any_of(vms, [](const Vm& vm) { return vm.uuid == kUuid; });
  }

  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
  std::optional<Inventory> inventory_;
};

// A command may follow the end of a move within milliseconds; an old list would show the VM twice.
TEST_F(HostWithVms, AreListedAsTheyAreWhenSomebodyAsks) {
  inventory_->start();
  for (int round = 0; round < 50; ++round) {
    define();
    EXPECT_TRUE(shows_it(inventory_->here_now())) << round;
    EXPECT_TRUE(shows_it(inventory_->everywhere().vms)) << round;
    ASSERT_TRUE(hypervisor_.undefine(kUuid));
    EXPECT_FALSE(shows_it(inventory_->here_now())) << round;
  }
}

TEST_F(HostWithVms, AreReadAgainWhereNoEventTellsOfAChange) {
  inventory_->start();
  define();
  ASSERT_EQ(inventory_->here_now().at(0).snapshots, 0u);
  hypervisor_.set_snapshots(kUuid, 3);
  ASSERT_EQ(inventory_->here_now().at(0).snapshots, 0u) << "the fake has an event for it";
  inventory_->look_again();
  EXPECT_EQ(inventory_->here_now().at(0).snapshots, 3u);
}

TEST_F(HostWithVms, AreNotWaitedForByWhoIsToldOfThem) {
  std::atomic<bool> told = false;
  inventory_->add_listener([&](const VmEvent&) {
    (void)inventory_->here_now();
    told = true;
  });
  inventory_->start();
  define();
  (void)inventory_->here_now();
  while (!told) std::this_thread::yield();
}

TEST_F(HostWithVms, AreNoneWhileTheHypervisorIsAway) {
  inventory_->start();
  define();
  EXPECT_TRUE(shows_it(inventory_->here_now()));
  hypervisor_.set_answering(false);
  inventory_->look_again();
  EXPECT_TRUE(inventory_->here_now().empty());
  hypervisor_.set_answering(true);
  inventory_->look_again();
  EXPECT_TRUE(shows_it(inventory_->here_now()));
}

}  // namespace
}  // namespace drover::move
