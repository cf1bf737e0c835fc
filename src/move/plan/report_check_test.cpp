// SPDX-License-Identifier: Apache-2.0
#include "move/plan/report_check.h"

#include <functional>

#include <gtest/gtest.h>

namespace drover::move {
namespace {

class ReportCheck : public testing::Test {
 protected:
  void SetUp() override {
    proposal_.request.destination = "host2";
    proposal_.vm.name = "web01";
    proposal_.vm.nvram_path = "/nvram/web01";
    proposal_.vm.disks.resize(1);
    Disk& disk = proposal_.vm.disks[0];
    disk.target = "vda";
    disk.path = "/images/web01.qcow2";
    disk.format = "qcow2";
    disk.layers = {{"/images/base.img", "raw", mib(64), mib(1), {}}};
    proposal_.vm.checkpoints.resize(1);
    proposal_.vm.checkpoints[0].name = "warm";
    proposal_.vm.checkpoints[0].memory_file = "/images/warm.memory";
    proposal_.checkpoints = {{"warm", "<domainsnapshot/>", true}};
    report_.takes_items = true;
    report_.placements = {
        {"vda", "/images/web01.qcow2", "/there/web01.qcow2", "qcow2", mib(64), mib(1), {}}};
    report_.files = {{"vda", "/images/base.img", "/there/base.img", "raw", mib(64), mib(1), {}},
                     {"memory of warm", "/images/warm.memory", "/there/warm", "raw", {}, {}, {}}};
    report_.checkpoints = proposal_.checkpoints;
    report_.nvram_destination = "/nvram/web01";
  }
  void expect_refused(const std::function<void()>& change) {
    const auto before = report_;
    change();
    const auto refused = check_report(proposal_, report_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kProtocol) << refused.error().text();
    report_ = before;
  }

  preflight::Proposal proposal_;
  preflight::DestinationReport report_;
};

TEST_F(ReportCheck, WhatWasAskedForIsTaken) {
  EXPECT_TRUE(check_report(proposal_, report_));
  report_.files.clear();
  report_.checkpoints.clear();
  EXPECT_FALSE(check_report(proposal_, report_)) << "the disk would stand on nothing";
  report_.findings = {{"CODE", FindingLevel::kBlocker, "vda", "So.", "It matters.", {}}};
  EXPECT_TRUE(check_report(proposal_, report_)) << "there is a reason, and no move";
  report_.findings.clear();
  report_.takes_items = false;
  EXPECT_TRUE(check_report(proposal_, report_)) << "an earlier release; the planner blocks it";
}

TEST_F(ReportCheck, ACopyHasTheFormatThatWasAskedFor) {
  proposal_.request.format = "raw";
  const auto kept = check_report(proposal_, report_);
  ASSERT_FALSE(kept) << "an earlier release";
  EXPECT_EQ(kept.error().code, ErrorCode::kConflict);
  report_.placements[0].format = "raw";
  EXPECT_TRUE(check_report(proposal_, report_));
  expect_refused([&] { report_.placements[0].shared = true; });
  expect_refused([&] { report_.placements[0].format = "vmdk"; });
  proposal_.request.allocation = Allocation::kFull;
  EXPECT_FALSE(check_report(proposal_, report_)) << "an earlier release";
  report_.placements[0].allocation = Allocation::kFull;
  EXPECT_TRUE(check_report(proposal_, report_));
  report_.placements[0].allocation.reset();
  report_.placements[0].format = "qcow2";
  report_.placements[0].shared = true;
  EXPECT_TRUE(check_report(proposal_, report_)) << "what both hosts see stays as it is";
}

TEST_F(ReportCheck, NoOtherFileOfOursIsNamed) {
  expect_refused([&] { report_.placements[0].source_path = "/etc/shadow"; });
  expect_refused([&] { report_.placements[0].target = "vdb"; });
  expect_refused([&] { report_.placements[0].format = "raw"; });
  expect_refused([&] { report_.placements.push_back(report_.placements[0]); });
  expect_refused([&] { report_.files[0].source_path = "/etc/shadow"; });
  expect_refused([&] { report_.files.push_back(report_.files[0]); });
  expect_refused([&] { report_.files[1].item = "vda"; });
  proposal_.vm.disks[0].device = DiskDevice::kCdrom;
  EXPECT_FALSE(check_report(proposal_, report_)) << "a disc in a drive is no disk";
}

// Its definition names no path; where it is reached is judged apart.
TEST_F(ReportCheck, ANetworkDiskIsOneOfTheVmsToo) {
  Disk disk;
  disk.target = "vdb";
  disk.kind = DiskKind::kNetwork;
  disk.format = "raw";
  proposal_.vm.disks.push_back(disk);
  const std::string name = "nbd://10.0.0.9:10809/web01";
  report_.placements.push_back({"vdb", name, name, "raw", mib(64), {}, {}});
  EXPECT_TRUE(check_report(proposal_, report_));
  expect_refused([&] { report_.placements[1].target = "vdc"; });
  expect_refused([&] { report_.placements[0].destination_path = name; });
}

TEST_F(ReportCheck, AFlattenedDiskHasNoFiles) {
  proposal_.request.flatten = true;
  EXPECT_FALSE(check_report(proposal_, report_));
  report_.files.clear();
  EXPECT_TRUE(check_report(proposal_, report_));
}

TEST_F(ReportCheck, DiscsTravelOnlyIfTheyAreAskedTo) {
  Disk disc;
  disc.target = "sda";
  disc.device = DiskDevice::kCdrom;
  disc.path = "/iso/a.iso";
  disc.format = "raw";
  disc.read_only = true;
  proposal_.vm.disks.push_back(disc);
  EXPECT_TRUE(check_report(proposal_, report_));
  report_.files.push_back({"sda", "/iso/a.iso", "/there/a.iso", "raw", mib(3), mib(3), {}});
  expect_refused([] {});
  proposal_.request.media = Media::kCopy;
  EXPECT_TRUE(check_report(proposal_, report_));
  expect_refused([&] { report_.files.back().source_path = "/etc/shadow"; });
  expect_refused([&] { report_.files.pop_back(); });
}

TEST_F(ReportCheck, CheckpointsAndVariablesAreTheVms) {
  expect_refused([&] { report_.checkpoints.clear(); });
  expect_refused([&] { report_.checkpoints[0].name = "other"; });
  proposal_.vm.nvram_path.clear();
  EXPECT_FALSE(check_report(proposal_, report_));
}

}  // namespace
}  // namespace drover::move
