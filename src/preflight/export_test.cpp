// SPDX-License-Identifier: Apache-2.0
// Exports of a VM that is fine but for one thing.
#include "preflight/export.h"

#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/unique_fd.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/program.h"
#include "preflight/local_files.h"

namespace drover::preflight {
namespace {

namespace fs = std::filesystem;

class CheckExport : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-export-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    view_.host.name = "host1";
    view_.host.hypervisor_up = true;
    view_.host.settings.allowed_folders = {root_.string()};
    view_.host.settings.space_reserve = mib(1);
    view_.request.folder = (root_ / "web01").string();
    image("base.qcow2", {});
    image("a.qcow2", {});
    describe(disk("a.qcow2"));
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string at(const std::string& name) const { return (root_ / name).string(); }
  void image(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> words{"qemu-img", "create", "-q", "-f", "qcow2"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(at(name));
    words.emplace_back("4M");
    const auto made = run_program({.arguments = words});
    ASSERT_TRUE(made) << made.error().text();
  }
  std::string disk(const std::string& name, const std::string& more = "",
                   const char* format = "qcow2") {
    return fmt::format(
        "<disk type='file' device='disk'><driver name='qemu' type='{}'/><source file='{}'/><target "
        "dev='vda'/>{}</disk>",
        format, at(name), more);
  }
  void describe(const std::string& devices) {
    view_.xml =
        "<domain type='kvm'><name>web01</name><uuid>11111111-2222-4333-8444-555555555555"
        "</uuid><memory unit='MiB'>512</memory><devices>" +
        devices + "</devices></domain>";
    view_.vm = parse_domain(view_.xml)->vm;
    view_.vm.state = VmState::kOff;
  }
  ExportReport check() {
    auto report = check_export(view_);
    EXPECT_TRUE(report) << report.error().text();
    return report.value_or(ExportReport{});
  }
  std::vector<std::string> codes() {
    std::vector<std::string> all;
    for (const Finding& finding : check().findings) all.push_back(finding.code);
    return all;
  }
  using Codes = std::vector<std::string>;

  fs::path root_;
  ExportView view_;
};

TEST_F(CheckExport, AVmThatIsOffIsCopiedAsItIs) {
  const ExportReport report = check();
  EXPECT_TRUE(report.findings.empty()) << report.findings.at(0).what;
  ASSERT_EQ(report.disks.size(), 1u);
  EXPECT_EQ(report.disks[0].way, ExportWay::kBytes);
  EXPECT_EQ(report.disks[0].virtual_size, mib(4));
}

TEST_F(CheckExport, AVmThatRunsIsPictured) {
  view_.vm.state = VmState::kRunning;
  EXPECT_EQ(codes(), Codes{"EXPORT_RUNNING"});
  EXPECT_EQ(check().disks.at(0).way, ExportWay::kPicture);
}

TEST_F(CheckExport, AChainIsFlattened) {
  image("top.qcow2", {"-b", at("base.qcow2"), "-F", "qcow2"});
  describe(disk("top.qcow2"));
  EXPECT_EQ(codes(), Codes{"CHAIN_FLATTENED"});
  EXPECT_EQ(check().disks.at(0).way, ExportWay::kFlatten);
}

TEST_F(CheckExport, OfAVmThatRunsExternalCheckpointsTravel) {
  image("top.qcow2", {"-b", at("base.qcow2"), "-F", "qcow2"});
  describe(disk("top.qcow2"));
  Checkpoint external;
  external.name = "clean";
  external.external_disks = {"vda"};
  view_.vm.state = VmState::kRunning;
  view_.vm.snapshots = 1;
  view_.vm.checkpoints = {external};
  view_.checkpoints = {{"clean",
                        "<domainsnapshot><name>clean</name><disks><disk name='vda' "
                        "snapshot='external'><source file='" +
                            at("top.qcow2") + "'/></disk></disks></domainsnapshot>",
                        true}};
  EXPECT_EQ(codes(), (Codes{"EXPORT_RUNNING", "CHECKPOINTS_TRAVEL"}));
  EXPECT_EQ(check().disks.at(0).way, ExportWay::kPictureOnLayers);
  // One within the image is not in what QEMU shows of it: all of them are left.
  view_.vm.checkpoints[0].internal_disks = {"vda"};
  EXPECT_EQ(codes(), (Codes{"CHECKPOINTS_LEFT", "EXPORT_RUNNING", "CHAIN_FLATTENED"}));
  EXPECT_EQ(check().disks.at(0).way, ExportWay::kPicture);
}

TEST_F(CheckExport, WhatCannotBeExported) {
  describe(
      "<disk type='block' device='disk'><driver type='raw'/><source dev='/dev/x'/><target "
      "dev='vda'/></disk>");
  EXPECT_EQ(codes(), Codes{"DISK_BLOCK_DEVICE"});
  describe(
      "<disk type='network' device='disk'><driver type='raw'/><source protocol='nbd' "
      "name='x'/><target dev='vda'/></disk>");
  EXPECT_EQ(codes(), Codes{"DISK_NETWORK"});
  describe(disk("a.qcow2", "", "vmdk"));
  EXPECT_EQ(codes(), Codes{"DISK_FORMAT"});
  describe(disk("absent.qcow2"));
  EXPECT_EQ(codes(), Codes{"DISK_UNREADABLE"});
  describe(disk("a.qcow2", "<mirror type='file' job='copy'/>"));
  EXPECT_EQ(codes(), Codes{"DISK_JOB"});
  describe(disk("a.qcow2",
                "<encryption format='luks'><secret type='passphrase' uuid='"
                "11111111-2222-4333-8444-555555555556'/></encryption>"));
  EXPECT_EQ(codes(), Codes{"DISK_ENCRYPTED"});
}

TEST_F(CheckExport, WhatStaysBehindIsSaid) {
  describe(disk("a.qcow2", "<shareable/>"));
  EXPECT_EQ(codes(), Codes{"DISK_STAYS"});
  EXPECT_TRUE(check().disks.empty());
  describe(disk("a.qcow2") + "<tpm model='tpm-crb'><backend type='emulator'/></tpm>");
  EXPECT_EQ(codes(), Codes{"TPM_LEFT"});
  describe(disk("a.qcow2"));
  view_.vm.snapshots = 2;
  EXPECT_EQ(codes(), Codes{"CHECKPOINTS_LEFT"});
}

TEST_F(CheckExport, AVmInTheMiddleOfSomething) {
  view_.vm.saved = true;
  EXPECT_EQ(codes(), Codes{"VM_SAVED"});
  view_.vm.saved = false;
  view_.vm.move_id = "m1";
  EXPECT_EQ(codes(), Codes{"VM_MOVING"});
  view_.vm.move_id.clear();
  view_.vm.state = VmState::kIncoming;
  EXPECT_EQ(codes(), Codes{"VM_INCOMING"});
  view_.vm.state = VmState::kCrashed;
  EXPECT_EQ(codes(), Codes{"VM_BUSY"});
}

TEST_F(CheckExport, TheFolder) {
  fs::create_directory(root_ / "web01");
  EXPECT_EQ(codes(), Codes{"EXPORT_EXISTS"});
  view_.request.folder = "/etc/web01";
  EXPECT_EQ(codes(), Codes{"FOLDER_NOT_ALLOWED"});
  view_.request.folder = at("absent/web01");
  EXPECT_EQ(codes(), Codes{"FOLDER_MISSING"});
  fs::create_directory_symlink(root_, root_ / "link");
  view_.request.folder = at("link/x");
  EXPECT_EQ(codes(), Codes{"FOLDER_LINK"});
}

TEST_F(CheckExport, Room) {
  view_.host.settings.space_reserve = gib(1u << 30);
  EXPECT_EQ(codes(), Codes{"SPACE_SHORT"});
  // Export and disk lie on one file system, which is counted once.
  view_.vm.state = VmState::kRunning;
  EXPECT_EQ(codes(), (Codes{"SPACE_SHORT", "EXPORT_RUNNING"}));
}

TEST_F(CheckExport, RoomForWhatTheGuestOverwrites) {
  constexpr std::uint64_t kSize = 256u << 20;  // others write to this file system, too
  const UniqueFd big(::open(at("big.img").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (::fallocate(big.get(), 0, 0, kSize) != 0) GTEST_SKIP() << "no room can be set aside here";
  describe(disk("big.img", "", "raw"));
  view_.vm.state = VmState::kRunning;
  const FolderFacts folder = look_at_folder(root_, std::vector{root_.string()}, "");
  view_.host.settings.space_reserve = {folder.free.bytes - kSize * 3 / 2};
  EXPECT_EQ(codes(), (Codes{"EXPORT_RUNNING", "SPACE_GROWTH"}));
  view_.vm.state = VmState::kOff;
  EXPECT_EQ(codes(), Codes{});
  view_.host.settings.space_reserve = {folder.free.bytes - kSize / 2};
  EXPECT_EQ(codes(), Codes{"SPACE_SHORT"});
}

}  // namespace
}  // namespace drover::preflight
