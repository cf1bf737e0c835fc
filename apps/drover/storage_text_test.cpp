// SPDX-License-Identifier: Apache-2.0
// What plan, show and moves print of storage moves, in full.
#include "storage_text.h"

#include <gtest/gtest.h>

#include "cli_test_values.h"
#include "evacuate_folder.h"
#include "move_text.h"
#include "plan_text.h"
#include "request_options.h"

namespace drover::cli {
namespace {

Plan storage_plan() {
  Plan plan = sample_plan();
  plan.kind = MoveKind::kStorage;
  plan.request.kind = MoveKind::kStorage;
  plan.request.destination = "host1";
  plan.placements = {{"vdb", "/srv/big disk.raw", "/fast/big disk.raw", "raw", gib(1), mib(12),
                      ByteCount{}, false}};
  plan.bytes_expected = plan.quarantine_bytes = mib(12);
  return plan;
}

TEST(StorageText, ThePlanSaysWhereDisksGoAndWhatIsKept) {
  EXPECT_EQ(plan_text(storage_plan()),
            R"(web01 on host1: disks to another place (running)

  DISK  FROM               TO                  FORMAT     SIZE  IN USE
  vdb   /srv/big disk.raw  /fast/big disk.raw  raw     1.0 GiB  12 MiB

  About 12 MiB to copy, and what changes meanwhile.
  The old images are kept for a while (12 MiB); drover quarantine list shows them.
)");
}

TEST(StorageText, ThePlanSaysWhatImagesBecome) {
  Plan plan = storage_plan();
  plan.vm.disks.resize(1);
  plan.vm.disks[0].target = "vdb";
  plan.vm.disks[0].format = "raw";
  plan.placements[0].allocation = Allocation::kThin;
  EXPECT_NE(plan_text(plan).find("  raw, thin  "), std::string::npos) << plan_text(plan);
  plan.placements[0].format = "qcow2";
  plan.placements[0].allocation = Allocation::kFull;
  EXPECT_NE(plan_text(plan).find("  raw to qcow2, full  "), std::string::npos) << plan_text(plan);
}

TEST(StorageText, TheReportNamesTheWayBack) {
  Move move = sample_move();
  move.plan = storage_plan();
  move.destination = "host1";
  move.state = MoveState::kDone;
  move.report.emplace();
  move.report->disks_sent = mib(12);
  move.report->duration = std::chrono::milliseconds(2400);
  EXPECT_EQ(report_text(move, {}), R"(The disks of web01 lie in their new place.
  vdb      /fast/big disk.raw
  written  12 MiB
  took     2.4 s
  undo     drover move web01 --item vdb=/srv
)");
  EXPECT_NE(moves_text({move}).find("other storage"), std::string::npos);
}

TEST(StorageText, OneThatFailedSaysWhy) {
  Move move = sample_move();
  move.plan = storage_plan();
  move.state = MoveState::kFailed;
  move.explanation = "The disks of web01 lie where they lay.";
  move.error = Error{ErrorCode::kHypervisor, Retry::kLater, "QEMU gave up.", {}};
  const std::string text = report_text(move, {});
  EXPECT_TRUE(text.starts_with("The disks of web01 did not move.\n")) << text;
  EXPECT_NE(text.find("lie where they lay"), std::string::npos) << text;
  EXPECT_NE(text.find("QEMU gave up."), std::string::npos) << text;
}

TEST(StorageRequest, ItemsAreADiskAndAPlace) {
  RequestOptions options;
  options.to_storage = "fast";
  options.items = {"vda=/srv/a=b"};
  const auto request = options.request("uuid", "host1");
  ASSERT_TRUE(request) << request.error().text();
  EXPECT_EQ(request->kind, MoveKind::kStorage);
  EXPECT_EQ(request->disks_to, "fast");
  ASSERT_EQ(request->items.size(), 1u);
  EXPECT_EQ(request->items[0].place, "/srv/a=b");
  for (const char* bad : {"vda", "=/srv", "vda="}) {
    options.items = {bad};
    EXPECT_FALSE(options.request("uuid", "host1")) << bad;
  }
}

TEST(EvacuateFolder, MeansDisksBeneathItAndNoNeighbour) {
  Vm vm;
  const auto add = [&](const char* target, const char* path, DiskDevice device) {
    Disk disk;
    disk.target = target;
    disk.path = path;
    disk.device = device;
    vm.disks.push_back(disk);
  };
  add("vda", "/srv/old/web01.qcow2", DiskDevice::kDisk);
  add("vdb", "/srv/old/deep/data.raw", DiskDevice::kDisk);
  add("vdc", "/srv/old2/data.raw", DiskDevice::kDisk);
  add("vdd", "/srv/old", DiskDevice::kDisk);
  add("sda", "/srv/old/install.iso", DiskDevice::kCdrom);
  add("sdb", "", DiskDevice::kDisk);
  EXPECT_EQ(disks_beneath(vm, "/srv/old"), (std::vector<std::string>{"vda", "vdb"}));
  EXPECT_EQ(disks_beneath(vm, "/").size(), 4u);
  EXPECT_TRUE(disks_beneath(vm, "/srv/ol").empty());
}

}  // namespace
}  // namespace drover::cli
