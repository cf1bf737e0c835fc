// SPDX-License-Identifier: Apache-2.0
// Disks that become volumes of pools of block devices, and disks that are some.
#include "preflight/volumes.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "preflight/placement.h"
#include "preflight/preflight_fixture.h"
#include "preflight/storage.h"

namespace drover::preflight {
namespace {

namespace fs = std::filesystem;

HostFacts with_pools(const std::string& folder) {
  HostFacts facts;
  facts.pools = {{"vg", "logical", folder, true}};
  return facts;
}

class Volumes : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-volumes-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    hypervisor_.emplace(fake::FakeOptions{"host2", with_pools(folder_), {}, {}});
    hypervisor_->volume_pools = {{"vg", "logical", folder_, "", gib(11), {}}};
    const std::string second =
        "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source "
        "dev='/dev/far/b'/><target dev='vdb'/></disk>";
    proposal_.live_xml = proposal_.persistent_xml = definition(kDisk + second);
    proposal_.vm = parse_domain(proposal_.live_xml)->vm;
    proposal_.vm.disks[0].virtual_size = gib(10);
    proposal_.vm.disks[0].allocated = gib(1);
    proposal_.vm.disks[1].virtual_size = proposal_.vm.disks[1].allocated = gib(1);
    proposal_.vm.disks[1].pool = "far";
    proposal_.request.destination = "host2";
    proposal_.source.name = "host1";
    settings_.incoming = true;
  }
  void TearDown() override { fs::remove_all(folder_); }

  DestinationReport check() {
    auto report = check_destination(proposal_, *hypervisor_, settings_);
    EXPECT_TRUE(report) << report.error().text();
    return report.value_or(DestinationReport{});
  }
  const Finding* found(const DestinationReport& report, const std::string& code) {
    return find(report.findings, code);
  }

  std::string folder_;
  std::optional<fake::FakeHypervisor> hypervisor_;
  Proposal proposal_;
  HostSettings settings_;
};

TEST_F(Volumes, ADiskOfAFileBecomesARawVolumeOfItsWholeSize) {
  proposal_.request.items = {{"vda", "vg"}};
  const auto report = check();
  ASSERT_EQ(report.placements.size(), 2u);
  const DiskPlacement& disk = report.placements[0];
  EXPECT_EQ(disk.destination_path, folder_ + "/web01-vda");
  EXPECT_EQ(disk.destination_pool, "vg");
  EXPECT_EQ(disk.source_pool, "");
  EXPECT_EQ(disk.format, "raw");
  EXPECT_EQ(disk.allocated, gib(10));
  EXPECT_EQ(found(report, "SPACE_SHORT"), nullptr) << codes(report.findings);
  EXPECT_EQ(found(report, "FOLDER_NOT_ALLOWED"), nullptr) << "pools are allowed places";
}

TEST_F(Volumes, AVolumeBecomesAFileThatIsCalledAfterVmAndDisk) {
  const auto report = check();
  ASSERT_EQ(report.placements.size(), 2u);
  const DiskPlacement& disk = report.placements[1];
  EXPECT_EQ(disk.source_path, "/dev/far/b");
  EXPECT_EQ(disk.source_pool, "far");
  EXPECT_EQ(disk.destination_path, "/var/lib/libvirt/images/web01-vdb.img");
  EXPECT_EQ(disk.destination_pool, "");
  proposal_.vm.disks[1].pool.clear();
  EXPECT_EQ(check().placements.size(), 1u) << "a device of no pool is not placed";
}

TEST_F(Volumes, APoolHasRoomForAllOfThemOrForNone) {
  proposal_.request.disks_to = "vg";
  EXPECT_EQ(found(check(), "SPACE_SHORT"), nullptr);
  EXPECT_EQ(found(check(), "FOLDER_NOT_ALLOWED"), nullptr) << codes(check().findings);
  hypervisor_->volume_pools[0].free = gib(11) - mib(1);
  const auto report = check();
  ASSERT_NE(found(report, "SPACE_SHORT"), nullptr) << codes(report.findings);
  EXPECT_EQ(found(report, "SPACE_SHORT")->object, "vg");
}

TEST_F(Volumes, OneThatIsThereIsNeverReplaced) {
  std::ofstream(folder_ + "/web01-vdb") << "another's";
  proposal_.request.items = {{"vdb", "vg"}};
  const auto report = check();
  ASSERT_NE(found(report, "DISK_EXISTS"), nullptr) << codes(report.findings);
  EXPECT_EQ(found(report, "DISK_EXISTS")->object, "vdb");
}

TEST_F(Volumes, ARawDiskHoldsNoCheckpointsAndStandsOnNothing) {
  proposal_.request.items = {{"vdb", "vg"}};
  proposal_.vm.snapshots = 1;
  EXPECT_NE(found(check(), "DISK_BACKING_CHAIN"), nullptr);
  proposal_.vm.snapshots = 0;
  EXPECT_EQ(found(check(), "DISK_BACKING_CHAIN"), nullptr);
  proposal_.vm.disks[0].layers = {{"/base.img", "raw", gib(10), gib(1), {}}};
  EXPECT_NE(found(check(), "DISK_BACKING_CHAIN"), nullptr)
      << "where one disk keeps its chain, QEMU copies of no disk what it takes for empty";
}

TEST_F(Volumes, ADiscStaysAFile) {
  std::string& xml = proposal_.live_xml;
  xml.insert(
      xml.find("</devices>"),
      "<disk type='file' device='cdrom'><source file='/iso/a.iso'/><target dev='sda'/></disk>");
  proposal_.vm.disks.push_back(parse_domain(xml)->vm.disks.back());
  proposal_.request.disks_to = "vg";
  proposal_.request.media = Media::kCopy;
  const auto report = check();
  ASSERT_EQ(report.files.size(), 1u) << codes(report.findings);
  EXPECT_EQ(report.files[0].destination_path, "/var/lib/libvirt/images/a.iso");
  EXPECT_EQ(found(report, "DISK_BACKING_CHAIN"), nullptr);
}

TEST_F(Volumes, WithinAHostTheyGoToAPoolAndBack) {
  SourceView view;
  view.vm = proposal_.vm;
  view.vm.state = VmState::kRunning;
  view.live_xml = view.persistent_xml = proposal_.live_xml;
  view.host = with_pools(folder_);
  view.host.name = "host1";
  view.host.hypervisor_up = true;
  view.request.kind = MoveKind::kStorage;
  view.request.items = {{"vda", "vg"}, {"vdb", "/var/lib/libvirt/images"}};
  const auto pools = volume_pools_asked(view.request, view.host, *hypervisor_);
  ASSERT_TRUE(pools) << pools.error().text();
  ASSERT_EQ(pools->size(), 1u);
  const auto report = check_storage(view, {}, *pools);
  ASSERT_TRUE(report) << report.error().text();
  ASSERT_EQ(report->placements.size(), 2u) << codes(report->findings);
  EXPECT_EQ(report->placements[0].destination_path, folder_ + "/web01-vda");
  EXPECT_EQ(report->placements[0].destination_pool, "vg");
  EXPECT_EQ(report->placements[1].destination_path, "/var/lib/libvirt/images/web01-vdb.img");
  EXPECT_EQ(report->placements[1].source_pool, "far");
  view.request.format = "qcow2";
  const auto refused = check_storage(view, {}, *pools);
  ASSERT_TRUE(refused) << refused.error().text();
  EXPECT_NE(find(refused->findings, "DISK_FORMAT"), nullptr) << codes(refused->findings);
}

}  // namespace
}  // namespace drover::preflight
