// SPDX-License-Identifier: Apache-2.0
#include "move/health/outside_watch.h"

#include <atomic>

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Kind = VmEvent::Kind;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";

// One host, called host1, that hears of starts and stops of one VM.
class OutsideWatchTest : public testing::Test {
 protected:
  // What is said of the VM once the event has been looked at.
  std::string after(Kind kind, bool by_migration = false) {
    const int before = looked_;
    watch_.take_vm_event({kind, kUuid, "web01", by_migration});
    while (looked_ == before) std::this_thread::sleep_for(1ms);
    // A second event is looked at only after the first one's remark stands.
    watch_.take_vm_event({kind, "another", "web02", false});
    while (looked_ == before + 1) std::this_thread::sleep_for(1ms);
    return watch_.remark(kUuid);
  }

  std::atomic<int> looked_ = 0;
  std::atomic<bool> ours_ = false;
  std::vector<Vm> vms_;
  OutsideWatch watch_{"host1",
                      [this](std::string_view) {
                        ++looked_;
                        return ours_.load();
                      },
                      [this] { return vms_; }};
};

Vm vm_on(const char* host, VmState state) {
  Vm vm;
  vm.uuid = kUuid;
  vm.host = host;
  vm.state = state;
  return vm;
}

TEST_F(OutsideWatchTest, AnOrdinaryStartIsNoRemark) {
  vms_ = {vm_on("host1", VmState::kRunning)};
  EXPECT_EQ(after(Kind::kStarted), "");
  EXPECT_EQ(after(Kind::kStopped), "");
}

TEST_F(OutsideWatchTest, AStartOfWhatAnotherHostHasIsOne) {
  vms_ = {vm_on("host1", VmState::kRunning), vm_on("host2", VmState::kOff)};
  EXPECT_EQ(after(Kind::kStarted),
            "it was started here, and host2 has it too (off). Only one of them may run: find out "
            "which disks are newer, and undefine the other.");
  EXPECT_EQ(after(Kind::kStopped), "") << "it does not run here any more";
}

TEST_F(OutsideWatchTest, MovesOfOtherToolsAreTold) {
  EXPECT_EQ(after(Kind::kStarted, true), "another tool than Drover moved it here.");
  EXPECT_EQ(after(Kind::kStopped, true), "another tool than Drover moved it away.");
}

TEST_F(OutsideWatchTest, MovesOfDroverAreNot) {
  ours_ = true;
  vms_ = {vm_on("host1", VmState::kRunning), vm_on("host2", VmState::kPaused)};
  EXPECT_EQ(after(Kind::kStarted, true), "");
  EXPECT_EQ(after(Kind::kStopped, true), "");
  EXPECT_EQ(after(Kind::kStarted), "");
}

}  // namespace
}  // namespace drover::move
