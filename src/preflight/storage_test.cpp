// SPDX-License-Identifier: Apache-2.0
// Storage moves of a VM that is fine but for one thing.
#include "preflight/storage.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "hypervisor/domain_xml.h"

namespace drover::preflight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";

class CheckStorage : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-storage-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::permissions(root_, fs::perms(0711));
    for (const char* name : {"old", "new"}) {
      fs::create_directory(root_ / name);
      std::ofstream(root_ / "old" / (std::string(name) + ".img")) << "x";
    }
    view_.host.name = "host1";
    view_.host.hypervisor_up = true;
    view_.host.settings.allowed_folders = {root_.string()};
    view_.host.pools = {{"fast", "dir", (root_ / "new").string(), true},
                        {"idle", "dir", "/idle", false},
                        {"lvm", "logical", "/dev/vg", true},
                        {"lun", "iscsi", "/dev/disk/by-path", true}};
    view_.request.vm = "web01";
    view_.request.kind = MoveKind::kStorage;
    view_.request.disks_to = (root_ / "new").string();
    describe(disk("vda", "old.img") + disk("vdb", "new.img"));
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string disk(const std::string& target, const std::string& name,
                   const std::string& more = "") {
    return "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='" +
           (root_ / "old" / name).string() + "'/><target dev='" + target + "'/>" + more + "</disk>";
  }
  void describe(const std::string& disks) {
    view_.persistent_xml = std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
                           "</uuid><memory unit='MiB'>512</memory><devices>" + disks +
                           "</devices></domain>";
    view_.live_xml = view_.persistent_xml;
    view_.vm = parse_domain(view_.live_xml)->vm;
    view_.vm.state = VmState::kRunning;
    for (Disk& each : view_.vm.disks) {
      each.virtual_size = gib(1);
      each.allocated = mib(1);
    }
  }
  StorageReport check(std::vector<Vm> others = {}) {
    auto report = check_storage(view_, others);
    EXPECT_TRUE(report) << report.error().text();
    return report.value_or(StorageReport{});
  }
  const Finding* find(const StorageReport& report, const std::string& code) {
    const auto found = std::ranges::find(report.findings, code, &Finding::code);
    return found == report.findings.end() ? nullptr : &*found;
  }
  void expect(const std::string& code, FindingLevel level = FindingLevel::kBlocker) {
    const StorageReport report = check();
    const Finding* found = find(report, code);
    ASSERT_NE(found, nullptr) << code << " is missing";
    EXPECT_EQ(found->level, level);
    EXPECT_TRUE(found->what.ends_with('.')) << found->what;
    if (level != FindingLevel::kNote) {
      EXPECT_FALSE(found->fixes.empty());
    }
  }
  Error refused() {
    const auto report = check_storage(view_, {});
    EXPECT_FALSE(report);
    return report ? Error{} : report.error();
  }

  fs::path root_;
  SourceView view_;
};

TEST_F(CheckStorage, AllDisksGoToOneFolder) {
  const StorageReport report = check();
  ASSERT_EQ(report.placements.size(), 2u);
  EXPECT_EQ(report.placements[0].destination_path, (root_ / "new/old.img").string());
  EXPECT_EQ(report.placements[1].target, "vdb");
  for (const Finding& finding : report.findings) {
    EXPECT_TRUE(finding.code == "SAME_DEVICE" || finding.level == FindingLevel::kNote)
        << finding.code;
  }
}

TEST_F(CheckStorage, AnItemGoesToItsOwnPlaceAndAPoolIsAFolder) {
  view_.request.disks_to.clear();
  view_.request.items = {{"vdb", "fast"}};
  const StorageReport report = check();
  ASSERT_EQ(report.placements.size(), 1u);
  EXPECT_EQ(report.placements[0].destination_path, (root_ / "new/new.img").string());
}

TEST_F(CheckStorage, AVmThatIsOffMovesToo) {
  view_.vm.state = VmState::kOff;
  view_.live_xml.clear();
  EXPECT_EQ(check().placements.size(), 2u);
  EXPECT_EQ(find(check(), "VM_OFF"), nullptr);
}

TEST_F(CheckStorage, RequestsThatMakeNoSenseAreRefused) {
  view_.request.items = {{"vda", "fast"}, {"vda", "/srv"}};
  EXPECT_NE(refused().message.find("twice"), std::string::npos);
  view_.request.items = {{"vdz", "fast"}};
  EXPECT_NE(refused().message.find("vda, vdb"), std::string::npos);
  view_.request.items = {{"vda", "nowhere"}};
  EXPECT_EQ(refused().code, ErrorCode::kNotFound);
  view_.request.items = {{"vda", "idle"}};
  EXPECT_NE(refused().message.find("pool-start"), std::string::npos);
  view_.request.items = {{"vda", "lun"}};
  EXPECT_NE(refused().message.find("iscsi"), std::string::npos);
  view_.request.items.clear();
  view_.request.disks_to.clear();
  EXPECT_NE(refused().message.find("--to-storage"), std::string::npos);
}

TEST_F(CheckStorage, OneFileSystemIsAWarning) { expect("SAME_DEVICE", FindingLevel::kWarning); }

TEST_F(CheckStorage, AFileThatIsThereIsNeverReplaced) {
  std::ofstream(root_ / "new/old.img") << "another";
  expect("DISK_EXISTS");
}

TEST_F(CheckStorage, FoldersThatCannotTakeThem) {
  view_.request.disks_to = "/etc";
  expect("FOLDER_NOT_ALLOWED");
  view_.request.disks_to = (root_ / "absent").string();
  expect("FOLDER_MISSING");
  fs::create_symlink(root_ / "new", root_ / "link");
  view_.request.disks_to = (root_ / "link").string();
  expect("FOLDER_LINK");
}

TEST_F(CheckStorage, SpaceIsCounted) {
  for (Disk& each : view_.vm.disks) each.allocated = each.virtual_size = gib(900'000);
  expect("SPACE_SHORT");
}

TEST_F(CheckStorage, WhatLiesThereStays) {
  view_.request.disks_to = (root_ / "old").string();
  expect("NOTHING_TO_MOVE");
  expect("DISK_STAYS", FindingLevel::kNote);
}

TEST_F(CheckStorage, DisksThatCannotMoveStayUnlessTheyAreNamed) {
  describe(disk("vda", "old.img") + disk("vdb", "new.img", "<shareable/>"));
  const StorageReport report = check();
  EXPECT_EQ(report.placements.size(), 1u);
  EXPECT_NE(find(report, "DISK_STAYS"), nullptr);
  EXPECT_EQ(find(report, "DISK_SHAREABLE"), nullptr);
  view_.request.items = {{"vdb", "fast"}};
  expect("DISK_SHAREABLE");
}

TEST_F(CheckStorage, AChainOrSnapshotStopsIt) {
  view_.vm.disks[0].backing_chain = {"/base.img"};
  expect("DISK_BACKING_CHAIN");
  view_.request.flatten = true;
  expect("DISK_BACKING_CHAIN", FindingLevel::kNote);
  view_.vm.snapshots = 1;
  expect("SNAPSHOTS");
}

TEST_F(CheckStorage, WhatADiskIsBuiltOnGoesAlong) {
  const std::string base = (root_ / "old/base.img").string();
  std::ofstream(base) << "x";
  for (Disk& each : view_.vm.disks) {
    each.backing_chain = {base};
    each.layers = {{base, "raw", gib(1), mib(3), {}}};
  }
  StorageReport report = check();
  ASSERT_EQ(report.files.size(), 2u) << "one for each disk; both mean the same file";
  EXPECT_EQ(report.files[1].destination_path, (root_ / "new/base.img").string());
  EXPECT_EQ(report.placements[0].allocated, mib(1)) << "of the disk's own image";
  EXPECT_EQ(find(report, "DISK_COLLISION"), nullptr);
  expect("DISK_BACKING_CHAIN", FindingLevel::kNote);
  // As large a layer has no room there.
  view_.vm.disks[0].layers[0].allocated = gib(900'000);
  expect("SPACE_SHORT");
  view_.vm.disks[0].layers[0].allocated = mib(3);
  Vm other;
  other.name = "db01";
  other.disks.emplace_back().backing_chain = {base};
  report = check({other});
  EXPECT_EQ(find(report, "DISK_SHAREABLE"), nullptr);
  ASSERT_NE(find(report, "DISK_STAYS"), nullptr);
  EXPECT_NE(find(report, "DISK_STAYS")->what.find("db01"), std::string::npos);
  std::ofstream(root_ / "new/base.img") << "another";
  expect("DISK_EXISTS");
  view_.request.flatten = true;
  EXPECT_TRUE(check().files.empty());
}

TEST_F(CheckStorage, AnImageMayBecomeAnotherFormat) {
  view_.request.format = "qcow2";
  StorageReport report = check();
  ASSERT_EQ(report.placements.size(), 2u);
  EXPECT_EQ(report.placements[0].format, "qcow2");
  EXPECT_EQ(report.placements[0].destination_path, (root_ / "new/old.qcow2").string());
  view_.request.disks_to = (root_ / "old").string();
  EXPECT_EQ(check().placements.size(), 2u) << "within its folder, under another name";
  view_.request.format = "raw";
  EXPECT_TRUE(check().placements.empty()) << "it is so already";
  view_.request.format = "qcow2";
  view_.vm.disks[0].backing_chain = {"/srv/base.img"};
  view_.vm.disks[0].layers = {{"/srv/base.img", "raw", gib(1), mib(3), {}}};
  const Finding* chain = nullptr;
  report = check();
  for (const Finding& finding : report.findings) {
    if (finding.code == "DISK_BACKING_CHAIN" && finding.level == FindingLevel::kBlocker)
      chain = &finding;
  }
  ASSERT_NE(chain, nullptr);
  EXPECT_NE(chain->what.find("qcow2"), std::string::npos);
}

TEST_F(CheckStorage, AFullImageNeedsItsRoomAndNoChain) {
  view_.request.allocation = Allocation::kFull;
  StorageReport report = check();
  ASSERT_EQ(report.placements.size(), 2u);
  EXPECT_EQ(report.placements[0].allocation, Allocation::kFull);
  EXPECT_EQ(find(report, "SPACE_SHORT"), nullptr);
  view_.vm.disks[0].virtual_size = gib(900'000);
  expect("SPACE_SHORT");
  view_.request.allocation = Allocation::kThin;
  report = check();
  EXPECT_EQ(find(report, "SPACE_SHORT"), nullptr);
  view_.vm.disks[0].backing_chain = {"/srv/base.img"};
  view_.vm.disks[0].layers = {{"/srv/base.img", "raw", gib(1), mib(3), {}}};
  report = check();
  EXPECT_TRUE(std::ranges::any_of(report.findings, [](const Finding& finding) {
    return finding.code == "DISK_BACKING_CHAIN" && finding.level == FindingLevel::kBlocker;
  }));
}

TEST_F(CheckStorage, LayersThatLieThereAlreadyStayWithAllBelow) {
  const std::string near = (root_ / "new/near.qcow2").string();
  const std::string far = (root_ / "old/far.img").string();
  view_.request.disks_to.clear();
  view_.request.items = {{"vda", "fast"}};
  view_.vm.disks[0].backing_chain = {near, far};
  view_.vm.disks[0].layers = {{near, "qcow2", gib(1), mib(3), kib(64)},
                              {far, "raw", gib(1), mib(3), {}}};
  const StorageReport report = check();
  ASSERT_EQ(report.files.size(), 2u);
  for (const FilePlacement& file : report.files)
    EXPECT_TRUE(file.shared && file.destination_path == file.source_path) << file.source_path;
}

TEST_F(CheckStorage, TwoLayersCannotHaveOneName) {
  const std::string one = (root_ / "old/base.img").string(), two = "/else/base.img";
  view_.vm.disks[0].backing_chain = {one, two};
  view_.vm.disks[0].layers = {{one, "qcow2", gib(1), mib(3), kib(64)},
                              {two, "raw", gib(1), mib(3), {}}};
  expect("DISK_COLLISION");
}

TEST_F(CheckStorage, CheckpointsWithinAnImageGoAlongOnlyWhileTheVmIsOff) {
  view_.vm.snapshots = 1;
  view_.vm.checkpoints.resize(1);
  view_.vm.checkpoints[0].name = "clean";
  view_.vm.checkpoints[0].internal_disks = {"vda"};
  view_.checkpoints = {{"clean", "<domainsnapshot><name>clean</name></domainsnapshot>", true}};
  expect("CHECKPOINT_INTERNAL");
  view_.request.disks_to.clear();
  view_.request.items = {{"vdb", "fast"}};
  EXPECT_EQ(find(check(), "CHECKPOINT_INTERNAL"), nullptr) << "that disk stays";
  view_.request.items = {{"vda", "fast"}};
  view_.vm.state = VmState::kOff;
  view_.live_xml.clear();
  EXPECT_EQ(find(check(), "CHECKPOINT_INTERNAL"), nullptr);
  expect("CHECKPOINTS_TRAVEL", FindingLevel::kNote);
  view_.request.flatten = true;
  expect("CHECKPOINT_INTERNAL");
}

TEST_F(CheckStorage, AnImageThatAnotherVmUsesStays) {
  Vm other;
  other.name = "db01";
  other.disks.emplace_back();
  other.disks[0].path = "/x";
  other.disks[0].backing_chain = {(root_ / "old/old.img").string()};
  const StorageReport report = check({other});
  ASSERT_NE(find(report, "DISK_SHAREABLE"), nullptr);
  EXPECT_NE(find(report, "DISK_SHAREABLE")->what.find("db01"), std::string::npos);
}

}  // namespace
}  // namespace drover::preflight
