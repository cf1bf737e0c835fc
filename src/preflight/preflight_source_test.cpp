// SPDX-License-Identifier: Apache-2.0
// Each check of the source on a VM that is fine but for one thing.
#include <gtest/gtest.h>

#include "hypervisor/domain_xml.h"
#include "preflight/finding.h"
#include "preflight/preflight.h"
#include "preflight/preflight_fixture.h"

namespace drover::preflight {
namespace {

SourceView source_view(const std::string& xml) {
  SourceView view;
  const auto facts = parse_domain(xml);
  EXPECT_TRUE(facts) << facts.error().text();
  view.vm = facts->vm;
  view.vm.state = VmState::kRunning;
  for (auto& disk : view.vm.disks) disk.virtual_size = gib(10);
  view.live_xml = view.persistent_xml = xml;
  view.host.name = "host1";
  view.host.hypervisor_up = true;
  view.host.libvirt_version = 9'000'000;
  view.host.settings.outgoing = true;
  view.request.vm = "web01";
  view.request.destination = "host2";
  return view;
}

void expect_source(const SourceView& view, const std::string& code,
                   FindingLevel level = FindingLevel::kBlocker) {
  const auto findings = check_source(view);
  expect_helpful(findings);
  const auto* found = find(findings, code);
  ASSERT_NE(found, nullptr) << code << " is not among: " << codes(findings);
  EXPECT_EQ(found->level, level);
}

TEST(CheckSource, FindsNothingWrongWithAnOrdinaryVm) {
  const auto findings = check_source(source_view(definition(kDisk)));
  EXPECT_TRUE(findings.empty()) << codes(findings);
}

TEST(CheckSource, LooksAtTheStateOfTheVm) {
  auto view = source_view(definition(kDisk));
  view.vm.state = VmState::kOff;
  expect_source(view, "VM_OFF");
  EXPECT_EQ(find(check_source(view), "VM_OFF")->what, "web01 is off.");
  view.request.kind = MoveKind::kQuick;
  expect_source(view, "VM_OFF");
  view.request.kind = MoveKind::kOffline;
  EXPECT_TRUE(check_source(view).empty()) << codes(check_source(view));
  view.vm.saved = true;
  EXPECT_TRUE(check_source(view).empty()) << "its memory travels";
  view.vm.saved = false;
  for (const VmState state : {VmState::kRunning, VmState::kPaused}) {
    view.vm.state = state;
    expect_source(view, "VM_RUNNING");
  }
  view.request.kind.reset();
  view.vm.state = VmState::kCrashed;
  expect_source(view, "VM_CRASHED");
  view.vm.state = VmState::kIncoming;
  expect_source(view, "VM_INCOMING");
  view.vm.state = VmState::kOther;
  expect_source(view, "VM_BUSY");
  view.vm.state = VmState::kPaused;
  expect_source(view, "VM_PAUSED", FindingLevel::kNote);
  view.vm.state = VmState::kRunning;
  view.vm.persistent = false;
  expect_source(view, "VM_TRANSIENT");
  view.vm.move_id = "k3f9x2qa";
  expect_source(view, "VM_MOVING");
  view.vm.snapshots = 3;
  expect_source(view, "SNAPSHOTS");
}

TEST(CheckSource, LooksAtTheHost) {
  auto view = source_view(definition(kDisk));
  view.peer_known = false;
  expect_source(view, "PEER_UNKNOWN");
  view.request.destination = "host1";
  expect_source(view, "SAME_HOST");
  view.host.settings.outgoing = false;
  expect_source(view, "MIGRATION_DISABLED");
  view.host.libvirt_version = 7'000'000;
  expect_source(view, "HYPERVISOR_TOO_OLD");
  view.tls_forced = true;
  expect_source(view, "TLS_FORCED");
  view.host.hypervisor_up = false;
  expect_source(view, "HYPERVISOR_DOWN");
  view.live_xml = "<domain>";
  expect_source(view, "VM_UNREADABLE");
}

TEST(CheckSource, CountsTheBytesOfTheName) {
  auto view = source_view(definition(kDisk));
  view.vm.name = std::string(55, 'n');
  EXPECT_EQ(find(check_source(view), "NAME_TOO_LONG"), nullptr);
  view.vm.name = std::string(54, 'n') + "ä";
  expect_source(view, "NAME_TOO_LONG");
}

TEST(CheckSource, TakesVolumesOfAPoolAndNoOtherDevices) {
  const auto with = [](const std::string& more, const std::string& type = "raw") {
    auto view = source_view(
        definition("<disk type='block' device='disk'><driver name='qemu' type='" + type +
                   "'/><source dev='/dev/vg/a'>" + more + "</source><target dev='vda'/></disk>"));
    view.vm.disks[0].pool = "vg";
    return view;
  };
  for (const MoveKind kind : {MoveKind::kLive, MoveKind::kQuick}) {
    auto view = with("");
    view.request.kind = kind;
    expect_source(view, "VOLUME_STAYS", FindingLevel::kNote);
    EXPECT_EQ(check_source(view).size(), 1u) << codes(check_source(view));
    view.vm.disks[0].pool.clear();
    expect_source(view, "DISK_BLOCK_DEVICE");
  }
  expect_source(with("<slices><slice type='storage' offset='0' size='512'/></slices>"),
                "VOLUME_STAYS", FindingLevel::kNote);
  expect_source(with("<slices><slice type='storage' offset='512' size='512'/></slices>"),
                "DISK_BLOCK_DEVICE");
  expect_source(with("", "qcow2"), "DISK_BLOCK_DEVICE");
}

TEST(CheckSource, RefusesDisksThatCannotBeCopied) {
  const auto with = [](const std::string& disk) { return source_view(definition(disk)); };
  const std::string file = "<source file='/a.qcow2'/><target dev='vda'/>";
  expect_source(
      with("<disk type='block' device='disk'><source dev='/dev/vg/a'/><target dev='vda'/></disk>"),
      "DISK_BLOCK_DEVICE");
  expect_source(with("<disk type='network' device='disk'><source protocol='ssh' "
                     "name='p/i'/><target dev='vda'/></disk>"),
                "DISK_NETWORK");
  expect_source(with("<disk type='nvme' device='disk'><target dev='vda'/></disk>"), "DISK_KIND");
  expect_source(
      with("<disk type='block' device='lun'><source dev='/dev/sdb'/><target dev='sda'/></disk>"),
      "DISK_LUN");
  expect_source(with("<disk type='file'><driver type='raw'/>" + file + "<shareable/></disk>"),
                "DISK_SHAREABLE");
  expect_source(with("<disk type='file'><driver type='raw'/>" + file + "<readonly/></disk>"),
                "DISK_READ_ONLY");
  expect_source(with("<disk type='file'><driver type='qcow2'/>" + file + "<transient/></disk>"),
                "DISK_TRANSIENT");
  expect_source(with("<disk type='file'><driver type='qcow2'/>" + file +
                     "<encryption format='luks'/></disk>"),
                "DISK_ENCRYPTED");
  expect_source(with("<disk type='file'><driver type='vmdk'/>" + file + "</disk>"), "DISK_FORMAT");
  expect_source(
      with("<disk type='file'><driver type='qcow2'/>" + file + "<mirror job='copy'/></disk>"),
      "DISK_JOB");
  expect_source(with("<disk type='file'><driver type='qcow2'/><source "
                     "file='/a'><dataStore/></source><target dev='vda'/></disk>"),
                "DISK_DATA_FILE");
  expect_source(
      with("<disk type='file'><driver type='qcow2'/>" + file +
           "<backingStore type='file'><source file='/b'/><backingStore/></backingStore></disk>"),
      "DISK_BACKING_CHAIN");
  auto view = with("<disk type='file'><driver type='qcow2'/>" + file + "</disk>");
  view.vm.disks[0].virtual_size = {};
  expect_source(view, "DISK_UNREADABLE");
  view.vm.disks[0].virtual_size = gib(1);
  view.vm.disks[0].path.clear();
  expect_source(view, "DISK_UNREADABLE");
}

TEST(CheckSource, RefusesDevicesThatStayBehind) {
  const auto with = [](const std::string& devices, const std::string& head = "") {
    return source_view(definition(kDisk + devices, head));
  };
  expect_source(with("<hostdev type='pci'><source><address domain='0x0000' bus='0x03' slot='0x00' "
                     "function='0x0'/></source></hostdev>"),
                "HOST_DEVICE");
  expect_source(with("<interface type='hostdev'><mac address='52:54:00:00:00:01'/></interface>"),
                "HOST_DEVICE");
  expect_source(with("<filesystem><driver type='virtiofs'/><source dir='/srv'/><target "
                     "dir='share'/></filesystem>"),
                "FILESYSTEM_SHARED");
  expect_source(with("<shmem name='shm0'/>"), "SHARED_MEMORY");
  expect_source(with("<interface type='vhostuser'><mac address='52:54:00:00:00:01'/></interface>"),
                "VHOST_USER");
  expect_source(with("<tpm><backend type='passthrough'/></tpm>"), "TPM_PASSTHROUGH");
  expect_source(with("<tpm><backend type='emulator'/></tpm>"), "TPM_TRAVELS", FindingLevel::kNote);
  for (const bool encrypted : {false, true}) {
    auto off = with(std::string("<tpm><backend type='emulator'>") +
                    (encrypted ? "<encryption secret='x'/>" : "") + "</backend></tpm>");
    off.vm.state = VmState::kOff;
    off.request.kind = MoveKind::kOffline;
    if (encrypted)
      expect_source(off, "TPM_STAYS");
    else
      expect_source(off, "TPM_TRAVELS", FindingLevel::kNote);
  }
  auto old = with("<tpm><backend type='emulator'/></tpm>");
  old.persistent_xml = old.live_xml;
  old.request.kind = MoveKind::kQuick;
  old.host.libvirt_version = 8'002'000;
  EXPECT_TRUE(std::ranges::any_of(check_source(old), [](const Finding& finding) {
    return finding.code == "TPM_TRAVELS" && finding.what.contains("8.2");
  }));
  expect_source(with("", "<launchSecurity type='sev'/>"), "LAUNCH_SECURITY");
  expect_source(with("", "<qemu:commandline/>"), "QEMU_COMMANDLINE");
  expect_source(with("<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"),
                "NETWORK_USER", FindingLevel::kWarning);
  expect_source(with("<interface type='direct'><mac address='52:54:00:00:00:01'/><source "
                     "dev='eth0'/></interface>"),
                "NETWORK_DIRECT", FindingLevel::kWarning);
  expect_source(with("<interface type='ethernet'><mac address='52:54:00:00:00:01'/></interface>"),
                "NETWORK_KIND");
}

TEST(CheckSource, ComparesTheNextBootWithTheRunningVm) {
  auto view = source_view(definition(kDisk));
  view.persistent_xml = definition(
      "<disk type='file' device='disk'><source file='/other.qcow2'/><target dev='vda'/></disk>");
  expect_source(view, "PERSISTENT_DIFFERS", FindingLevel::kWarning);
}

TEST(Words, AreQuotedForTheShellWhereNeeded) {
  EXPECT_EQ(word("web01"), "web01");
  EXPECT_EQ(word("Büro 1"), "'Büro 1'");
  EXPECT_EQ(word("it's"), "'it'\\''s'");
  EXPECT_EQ(word(""), "''");
}

}  // namespace
}  // namespace drover::preflight
