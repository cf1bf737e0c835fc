// SPDX-License-Identifier: Apache-2.0
// Each check on a VM that is fine but for one thing.
#include "preflight/preflight.h"

#include <algorithm>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "base/file.h"
#include "hypervisor/adapt_definition.h"
#include "preflight/codes.h"
#include "preflight/destination_view.h"
#include "preflight/placement.h"

namespace drover::preflight {
namespace {

constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";
constexpr const char* kDisk =
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source "
    "file='/var/lib/libvirt/images/web01.qcow2'/><target dev='vda' bus='virtio'/></disk>";

std::string definition(const std::string& devices, const std::string& head = "",
                       const std::string& name = "web01") {
  return "<domain type='kvm'><name>" + name + "</name><uuid>" + kUuid +
         "</uuid><memory unit='MiB'>1024</memory><vcpu>2</vcpu><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os>" +
         head + "<devices>" + devices + "</devices></domain>";
}

const Finding* find(const std::vector<Finding>& findings, const std::string& code) {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& finding) { return finding.code == code; });
  return found == findings.end() ? nullptr : &*found;
}

std::string codes(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) text += finding.code + " ";
  return text;
}

// Blockers and warnings need a fix, and every sentence is one.
void expect_helpful(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    EXPECT_FALSE(finding.object.empty()) << finding.code;
    EXPECT_TRUE(finding.what.ends_with('.')) << finding.what;
    EXPECT_FALSE(finding.why.empty()) << finding.code;
    if (finding.level != FindingLevel::kNote) {
      EXPECT_FALSE(finding.fixes.empty()) << finding.code;
    }
  }
}

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

TEST(Codes, AreTheSameInTheDocument) {
  const auto document = read_file(DROVER_SOURCE_ROOT "/docs/findings.md");
  ASSERT_TRUE(document);
  std::set<std::string> documented, known;
  const std::regex heading("\n### ([A-Z_]+)\n");
  for (std::sregex_iterator it(document->begin(), document->end(), heading), end; it != end; ++it) {
    EXPECT_TRUE(documented.insert((*it)[1]).second) << (*it)[1] << " is documented twice";
  }
  for (const Code code : all_codes()) known.insert(std::string(code_name(code)));
  EXPECT_EQ(known.size(), all_codes().size());
  EXPECT_EQ(documented, known);
  EXPECT_EQ(static_cast<std::size_t>(Code::kNetworkSharedWithGuests) + 1, all_codes().size());
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
  expect_source(view, "VM_SAVED");
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

TEST(CheckSource, RefusesDisksThatCannotBeCopied) {
  const auto with = [](const std::string& disk) { return source_view(definition(disk)); };
  const std::string file = "<source file='/a.qcow2'/><target dev='vda'/>";
  expect_source(
      with("<disk type='block' device='disk'><source dev='/dev/vg/a'/><target dev='vda'/></disk>"),
      "DISK_BLOCK_DEVICE");
  expect_source(with("<disk type='network' device='disk'><source protocol='rbd' "
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

TEST(PlaceNvram, KeepsThePathInLibvirtsOwnFolder) {
  DomainFacts facts;
  facts.vm.name = "web01";
  EXPECT_EQ(place_nvram(facts, {}), "");
  facts.vm.nvram_path = "/var/lib/libvirt/qemu/nvram/x.fd";
  EXPECT_EQ(place_nvram(facts, {}), "/var/lib/libvirt/qemu/nvram/x.fd");
  facts.vm.nvram_path = "/root/x.fd";
  EXPECT_EQ(place_nvram(facts, {}), "/var/lib/libvirt/qemu/nvram/web01_VARS.fd");
}

TEST(UsableFolders, AreAllowedOnesAndActiveFolderPools) {
  HostFacts host;
  host.pools = {{"a", "dir", "/pool/a", true},
                {"b", "dir", "/pool/b", false},
                {"c", "logical", "/dev/vg", true}};
  HostSettings settings;
  settings.allowed_folders = {"/srv"};
  EXPECT_EQ(usable_folders(host, settings), (std::vector<std::string>{"/srv", "/pool/a"}));
}

}  // namespace
}  // namespace drover::preflight
