// SPDX-License-Identifier: Apache-2.0
// Each check of the destination on a VM that is fine but for one thing.
#include <gtest/gtest.h>

#include "hypervisor/domain_xml.h"
#include "preflight/destination_view.h"
#include "preflight/placement.h"
#include "preflight/preflight_fixture.h"

namespace drover::preflight {
namespace {

// A destination on which the VM would be fine; tests spoil one thing each.
class Destination : public testing::Test {
 protected:
  void use(const std::string& xml, const std::string& disks_to = "") {
    proposal_.live_xml = proposal_.persistent_xml = xml;
    const auto facts = parse_domain(xml);
    ASSERT_TRUE(facts) << facts.error().text();
    proposal_.vm = facts->vm;
    for (auto& disk : proposal_.vm.disks) {
      disk.virtual_size = gib(10);
      disk.allocated = gib(2);
    }
    proposal_.request.destination = "host2";
    proposal_.request.disks_to = disks_to;
    proposal_.source.name = "host1";
    proposal_.source.libvirt_version = 9'000'000;
    proposal_.source.qemu_version = 7'002'000;
    view_.emplace(proposal_);
    view_->live = *facts;
    view_->host.name = "host2";
    view_->host.settings.incoming = true;
    view_->host.libvirt_version = 9'000'000;
    view_->host.qemu_version = 7'002'000;
    view_->host.memory_free = gib(8);
    view_->host.machine_types = {"pc-q35-7.2"};
    view_->host.kvm_usable = true;
    view_->host.networks = {{"br0"}, {"default"}, {}};
    view_->cpu = CpuComparison::kSame;
    const auto folders = usable_folders(view_->host, view_->settings());
    view_->placements =
        place_disks(view_->live, proposal_.vm, disks_to, folders, view_->settings());
    for (const auto& placement : view_->placements) {
      FolderFacts folder;
      folder.path = folder_of(placement.destination_path);
      folder.allowed = folder.exists = true;
      folder.free = gib(100);
      folder.file_system = 1;
      if (view_->folder(folder.path) == nullptr) view_->folders.push_back(folder);
    }
  }
  std::vector<Finding> check() {
    Findings findings;
    for (const auto& one :
         {check_destination_host, check_identity, check_machine, check_versions, check_cpu,
          check_memory, check_folders, check_paths, check_space, check_media, check_host_files,
          check_tpm_program, check_tpm_place, check_networks, check_graphics}) {
      one(*view_, findings);
    }
    return findings.take();
  }
  void expect(const std::string& code, FindingLevel level = FindingLevel::kBlocker) {
    const auto findings = check();
    expect_helpful(findings);
    const auto* found = find(findings, code);
    ASSERT_NE(found, nullptr) << code << " is not among: " << codes(findings);
    EXPECT_EQ(found->level, level);
  }

  Proposal proposal_;
  std::optional<DestinationView> view_;
};

TEST_F(Destination, HasNothingAgainstAnOrdinaryVm) {
  use(definition(std::string(kDisk) +
                 "<interface type='bridge'><source bridge='br0'/></interface>"));
  const auto findings = check();
  EXPECT_TRUE(findings.empty()) << codes(findings);
  EXPECT_EQ(view_->placements.at(0).destination_path, "/var/lib/libvirt/images/web01.qcow2");
}

TEST_F(Destination, LooksAtItself) {
  use(definition(kDisk));
  view_->host.settings.incoming = false;
  expect("MIGRATION_DISABLED");
  view_->tls_forced = true;
  expect("TLS_FORCED");
  view_->host.qemu_version = 6'000'000;
  expect("HYPERVISOR_OLDER", FindingLevel::kNote);
  view_->host.machine_types = {"pc-q35-6.2"};
  expect("MACHINE_UNKNOWN");
  view_->host.kvm_usable = false;
  expect("KVM_MISSING");
  view_->live.emulator = "/usr/bin/kvm";
  view_->readable["/usr/bin/kvm"] = false;
  expect("EMULATOR_MISSING");
  view_->host.memory_free = gib(1);
  expect("MEMORY_SHORT");
}

TEST_F(Destination, ComparesTheCpu) {
  use(definition(kDisk));
  view_->cpu = CpuComparison::kIncompatible;
  view_->cpu_missing = {"avx512f", "sgx"};
  expect("CPU_MISMATCH");
  EXPECT_NE(find(check(), "CPU_MISMATCH")->what.find("avx512f, sgx"), std::string::npos);
  view_->cpu.reset();
  view_->cpu_error = "libvirt said so.";
  expect("CPU_UNKNOWN", FindingLevel::kWarning);
  view_->live.cpu_mode = "host-passthrough";
  expect("CPU_PASSTHROUGH", FindingLevel::kWarning);
}

TEST_F(Destination, LooksForAnotherOfThatIdentity) {
  use(definition(kDisk));
  Vm there;
  there.name = "web01";
  there.uuid = "other";
  view_->vms = {there};
  expect("NAME_TAKEN");
  there = {};
  there.name = "other";
  there.uuid = kUuid;
  view_->vms = {there};
  expect("UUID_TAKEN");
  there.name = "web01";
  there.state = VmState::kOff;
  view_->vms = {there};
  expect("VM_LEFTOVER");
  there.state = VmState::kRunning;
  view_->vms = {there};
  expect("UUID_TAKEN");
}

TEST_F(Destination, LooksAtItsFolders) {
  use(definition(kDisk), "/srv/vms");
  view_->folders[0].allowed = false;
  expect("FOLDER_NOT_ALLOWED");
  const auto findings = check();
  const auto* refused = find(findings, "FOLDER_NOT_ALLOWED");
  EXPECT_EQ(refused->what, "/srv/vms is not an allowed folder on host2.");
  EXPECT_EQ(refused->fixes,
            (std::vector<std::string>{"--disks-to /var/lib/libvirt/images",
                                      "on host2: drover settings allowed-folders+=/srv/vms"}));
  view_->folders[0].allowed = true;
  view_->folders[0].exists = false;
  expect("FOLDER_MISSING");
  view_->folders[0].through_link = true;
  expect("FOLDER_LINK");
  view_->folders[0] = {.path = "/srv/vms",
                       .allowed = true,
                       .exists = true,
                       .through_link = false,
                       .read_only = true,
                       .closed_at = "",
                       .file_system = 1,
                       .free = gib(100)};
  expect("FOLDER_CLOSED");
  view_->folders[0].read_only = false;
  view_->folders[0].closed_at = "/srv";
  expect("FOLDER_CLOSED");
  view_->folders[0].closed_at.clear();
  view_->folders[0].keeps_room = false;
  expect("ROOM_NOT_KEPT");
}

TEST_F(Destination, LooksAtThePathsOfFiles) {
  use(definition(kDisk));
  view_->taken["/var/lib/libvirt/images/web01.qcow2"] = true;
  expect("DISK_EXISTS");
  view_->nvram_destination = "/var/lib/libvirt/qemu/nvram/web01_VARS.fd";
  view_->taken[view_->nvram_destination] = true;
  expect("NVRAM_EXISTS");
  view_->live.host_files = {"/usr/share/OVMF/OVMF_CODE_4M.fd"};
  view_->readable["/usr/share/OVMF/OVMF_CODE_4M.fd"] = false;
  expect("FILE_MISSING");
}

TEST_F(Destination, NeedsTheProgramThatPlaysATpm) {
  use(definition(std::string(kDisk) + "<tpm><backend type='emulator'/></tpm>"));
  EXPECT_EQ(find(check(), "FILE_MISSING"), nullptr);
  view_->swtpm_there = false;
  expect("FILE_MISSING");
}

TEST_F(Destination, WritesOverNoStateOfATpm) {
  use(definition(std::string(kDisk) + "<tpm><backend type='emulator'/></tpm>"));
  view_->tpm_state = "/var/lib/libvirt/swtpm/uuid/tpm2/tpm2-00.permall";
  EXPECT_EQ(find(check(), "TPM_STAYS"), nullptr) << "libvirt's migration makes its own";
  proposal_.request.kind = MoveKind::kOffline;
  expect("TPM_STAYS");
}

TEST_F(Destination, SaysWhatAnOldLibvirtIsToldOfATpm) {
  const std::string sealed =
      definition(std::string(kDisk) + "<tpm><backend type='emulator'/></tpm>");
  use(sealed);
  view_->host.libvirt_version = 8'008'000;
  EXPECT_EQ(find(check(), "TPM_TRAVELS"), nullptr) << "libvirt's migration looks after it";
  proposal_.request.kind = MoveKind::kQuick;
  proposal_.persistent_xml = sealed;
  expect("TPM_TRAVELS", FindingLevel::kNote);
  EXPECT_TRUE(find(check(), "TPM_TRAVELS")->why.contains("persistent_state='yes'"));
  view_->host.libvirt_version = 8'009'000;
  EXPECT_EQ(find(check(), "TPM_TRAVELS"), nullptr);
}

TEST_F(Destination, PlacesDisksElsewhereAndSeesCollisions) {
  const std::string two =
      "<disk type='file' device='disk'><driver type='raw'/><source file='/srv/a/disk.img'/><target "
      "dev='vda'/></disk>"
      "<disk type='file' device='disk'><driver type='raw'/><source file='/srv/b/disk.img'/><target "
      "dev='vdb'/></disk>";
  use(definition(two));
  expect("PLACED_ELSEWHERE", FindingLevel::kNote);
  expect("DISK_COLLISION");
  EXPECT_EQ(view_->placements.at(1).destination_path, "/var/lib/libvirt/images/disk.img");
}

TEST_F(Destination, AddsUpTheDisksOfAFileSystem) {
  const std::string two = std::string(kDisk) +
                          "<disk type='file' device='disk'><driver type='raw'/><source "
                          "file='/var/lib/libvirt/images/b.img'/><target dev='vdb'/></disk>";
  use(definition(two));
  view_->folders[0].free = gib(3);  // either disk would fit, not both
  expect("SPACE_SHORT");
  view_->folders[0].free = gib(5);
  expect("SPACE_GROWTH", FindingLevel::kNote);
}

TEST_F(Destination, AsksForInsertedMedia) {
  use(definition(std::string(kDisk) +
                 "<disk type='file' device='cdrom'><source file='/iso/a b.iso'/><target "
                 "dev='sda'/><readonly/></disk>"
                 "<disk type='file' device='cdrom'><target dev='sdb'/><readonly/></disk>"));
  view_->readable["/iso/a b.iso"] = false;
  expect("MEDIA_INSERTED");
  view_->readable["/iso/a b.iso"] = true;
  expect("MEDIA_INSERTED", FindingLevel::kWarning);
  EXPECT_EQ(find(check(), "MEDIA_INSERTED")->fixes.at(0), "virsh change-media web01 sda --eject");
  EXPECT_EQ(view_->placements.size(), 1u);
}

TEST_F(Destination, LooksForNetworks) {
  use(definition("<interface type='bridge'><source bridge='br7'/></interface>"));
  expect("NETWORK_MISSING");
  view_->devices["br7"] = true;
  expect("NETWORK_UNPROVEN", FindingLevel::kWarning);
  use(definition("<interface type='network'><source network='lan'/></interface>"));
  expect("NETWORK_MISSING");
  use(definition("<interface type='direct'><source dev='eth7'/></interface>"));
  expect("NETWORK_MISSING");
  use(definition("<graphics type='vnc' listen='10.0.0.1'/>"));
  expect("GRAPHICS_ADDRESS");
  view_->addresses = {"10.0.0.1"};
  EXPECT_EQ(find(check(), "GRAPHICS_ADDRESS"), nullptr);
}

}  // namespace
}  // namespace drover::preflight
