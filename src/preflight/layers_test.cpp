// SPDX-License-Identifier: Apache-2.0
// Backing chains and checkpoints: what the source says of them, and where they land.
#include "preflight/layers.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"

namespace drover::preflight {
namespace {

namespace fs = std::filesystem;
constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";

std::string definition(const std::string& disk) {
  return std::string("<domain type='qemu'><name>web01</name><uuid>") + kUuid +
         "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
         "type='qcow2'/><source file='" +
         disk + "'/><target dev='vda'/></disk></devices></domain>";
}

CheckpointText checkpoint(const std::string& name, const std::string& disks) {
  return {name,
          "<domainsnapshot><name>" + name + "</name><creationTime>1</creationTime><disks>" + disks +
              "</disks></domainsnapshot>",
          true};
}

const Finding* find(const std::vector<Finding>& findings, const std::string& code) {
  const auto found = std::ranges::find(findings, code, &Finding::code);
  return found == findings.end() ? nullptr : &*found;
}

class Layers : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-layers-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::permissions(root_, fs::perms::others_exec, fs::perm_options::add);
    fs::create_directories(root_ / "images");
    settings_.incoming = true;
    settings_.default_folder = images();
    settings_.allowed_folders = {images()};
    source_.live_xml = source_.persistent_xml = definition(top());
    source_.vm = parse_domain(source_.live_xml)->vm;
    source_.vm.state = VmState::kRunning;
    source_.host.name = "host1";
    source_.host.hypervisor_up = true;
    source_.host.libvirt_version = 9'000'000;
    source_.host.settings.outgoing = true;
    source_.request.vm = "web01";
    source_.request.destination = "host2";
    Disk& disk = source_.vm.disks[0];
    disk.virtual_size = mib(64);
    disk.allocated = mib(1);
    disk.layers = {{base(), "raw", mib(64), mib(30), {}}};
    disk.backing_chain = {base()};
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string images() const { return (root_ / "images").string(); }
  std::string top() const { return images() + "/web01.qcow2"; }
  std::string base() const { return images() + "/base.img"; }
  // A raw image into a drive, now and at the next boot.
  void insert(const std::string& device, const std::string& path,
              const std::string& drive = "sda") {
    for (std::string* xml : {&source_.live_xml, &source_.persistent_xml}) {
      const std::string disk = "<disk type='file' device='" + device + "'><source file='" + path +
                               "'/><target dev='" + drive + "'/></disk>";
      xml->insert(xml->find("</devices>"), disk);
    }
    source_.vm.disks.push_back(parse_domain(source_.live_xml)->vm.disks.back());
    source_.vm.disks.back().virtual_size = source_.vm.disks.back().allocated = mib(3);
  }
  std::vector<Finding> at_source() { return check_source(source_); }
  DestinationReport at_destination() {
    Proposal proposal{source_.vm,      source_.live_xml, source_.persistent_xml,
                      source_.request, source_.host,     {}};
    auto report = check_destination(proposal, fake_, settings_);
    EXPECT_TRUE(report) << report.error().text();
    return report.value_or(DestinationReport{});
  }
  void expect_source(const std::string& code, FindingLevel level) {
    const auto findings = at_source();
    const Finding* found = find(findings, code);
    ASSERT_NE(found, nullptr) << code;
    EXPECT_EQ(found->level, level) << found->what;
    EXPECT_TRUE(level == FindingLevel::kNote || !found->fixes.empty());
  }

  fs::path root_;
  SourceView source_;
  HostSettings settings_;
  fake::FakeHypervisor fake_{{}};
};

TEST_F(Layers, AChainStaysAChainUnlessItIsFlattened) {
  expect_source("DISK_BACKING_CHAIN", FindingLevel::kNote);
  const auto kept = at_destination();
  ASSERT_EQ(kept.files.size(), 1u);
  EXPECT_TRUE(kept.files[0].item == "vda" && kept.files[0].source_path == base() &&
              kept.files[0].destination_path == base() && kept.files[0].format == "raw");
  EXPECT_EQ(kept.placements[0].allocated, mib(1)) << "its own image alone is copied";

  source_.request.flatten = true;
  expect_source("DISK_BACKING_CHAIN", FindingLevel::kNote);
  const auto flat = at_destination();
  EXPECT_TRUE(flat.files.empty());
  EXPECT_EQ(flat.placements[0].allocated, mib(31));
  source_.vm.disks[0].layers[0].allocated = mib(640);
  EXPECT_EQ(at_destination().placements[0].allocated, mib(64)) << "never more than the disk";
}

TEST_F(Layers, WhatIsNoFileStopsAChainThatStays) {
  for (const std::string& path : {std::string("nbd://host/base"), std::string("/dev/vg/base")}) {
    source_.vm.disks[0].layers[0].path = source_.vm.disks[0].backing_chain[0] = path;
    expect_source("DISK_BACKING_CHAIN", FindingLevel::kBlocker);
  }
  source_.request.flatten = true;
  expect_source("DISK_BACKING_CHAIN", FindingLevel::kNote);
  source_.request.flatten = false;
  source_.vm.disks[0].layers.clear();  // nobody could read it
  expect_source("DISK_BACKING_CHAIN", FindingLevel::kBlocker);
}

TEST_F(Layers, MovesToAnotherHostKeepChainsWhateverTheirKind) {
  for (const MoveKind kind : {MoveKind::kOffline, MoveKind::kQuick}) {
    source_.request.kind = kind;
    source_.vm.state = kind == MoveKind::kOffline ? VmState::kOff : VmState::kRunning;
    source_.request.flatten = false;
    expect_source("DISK_BACKING_CHAIN", FindingLevel::kNote);
    source_.request.flatten = true;
    expect_source("DISK_BACKING_CHAIN", FindingLevel::kNote);
  }
}

TEST_F(Layers, OnlyTheNearestLayerMayLieElsewhere) {
  Disk& disk = source_.vm.disks[0];
  disk.layers = {{"/elsewhere/one", "qcow2", mib(64), mib(1), kib(64)}};
  disk.backing_chain = {"/elsewhere/one"};
  auto report = at_destination();
  EXPECT_EQ(report.files[0].destination_path, images() + "/one");
  EXPECT_EQ(find(report.findings, "DISK_BACKING_CHAIN"), nullptr);
  disk.layers.push_back({"/elsewhere/two", "raw", mib(64), mib(1), {}});
  disk.backing_chain.emplace_back("/elsewhere/two");
  report = at_destination();
  const Finding* found = find(report.findings, "DISK_BACKING_CHAIN");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->level, FindingLevel::kBlocker);
  disk.layers[1].path = disk.backing_chain[1] = base();
  EXPECT_EQ(find(at_destination().findings, "DISK_BACKING_CHAIN"), nullptr);
}

TEST_F(Layers, TwoFilesDoNotBecomeOne) {
  source_.vm.disks[0].layers[0].path = "/elsewhere/web01.qcow2";
  EXPECT_NE(find(at_destination().findings, "DISK_COLLISION"), nullptr);
}

TEST_F(Layers, CheckpointsTravelWithWhatTheyNeed) {
  source_.vm.disks[0].layers.clear();
  source_.vm.disks[0].backing_chain.clear();
  source_.vm.snapshots = 1;
  expect_source("SNAPSHOTS", FindingLevel::kBlocker);  // they could not be read
  source_.checkpoints = {checkpoint("clean", "<disk name='vda' snapshot='internal'/>")};
  source_.vm.checkpoints = {*parse_checkpoint(source_.checkpoints[0])};
  expect_source("CHECKPOINTS_TRAVEL", FindingLevel::kNote);
  EXPECT_EQ(find(at_source(), "SNAPSHOTS"), nullptr);

  source_.checkpoints = {checkpoint(
      "clean", "<disk name='vda' snapshot='external'><source file='/gone/branch'/></disk>")};
  source_.vm.checkpoints = {*parse_checkpoint(source_.checkpoints[0])};
  expect_source("CHECKPOINT_FILES", FindingLevel::kBlocker);
  source_.vm.disks[0].backing_chain = {"/gone/branch"};
  EXPECT_EQ(find(at_source(), "CHECKPOINT_FILES"), nullptr);
  source_.request.flatten = true;
  expect_source("CHECKPOINT_FILES", FindingLevel::kBlocker);
}

TEST_F(Layers, CheckpointsTravelInQuickAndOfflineMovesToo) {
  source_.vm.disks[0].layers.clear();
  source_.vm.disks[0].backing_chain.clear();
  source_.vm.snapshots = 1;
  source_.checkpoints = {checkpoint("clean", "<disk name='vda' snapshot='internal'/>")};
  source_.vm.checkpoints = {*parse_checkpoint(source_.checkpoints[0])};
  for (const MoveKind kind : {MoveKind::kOffline, MoveKind::kQuick}) {
    source_.request.kind = kind;
    expect_source("CHECKPOINTS_TRAVEL", FindingLevel::kNote);
    EXPECT_EQ(find(at_source(), "SNAPSHOTS"), nullptr);
    EXPECT_EQ(find(at_destination().findings, "CHECKPOINT_INTERNAL"), nullptr);
  }
}

TEST_F(Layers, WhatLiesWithinAnImageIsLostWhenItsChainBecomesOne) {
  source_.request.kind = MoveKind::kOffline;
  source_.request.flatten = true;
  source_.vm.snapshots = 1;
  source_.checkpoints = {checkpoint("clean", "<disk name='vda' snapshot='internal'/>")};
  source_.vm.checkpoints = {*parse_checkpoint(source_.checkpoints[0])};
  expect_source("CHECKPOINT_INTERNAL", FindingLevel::kBlocker);
  source_.request.flatten = false;
  EXPECT_EQ(find(at_source(), "CHECKPOINT_INTERNAL"), nullptr);
}

TEST_F(Layers, AnInternalCheckpointStopsTheCopyOfItsDisk) {
  source_.vm.disks[0].layers.clear();
  source_.vm.snapshots = 1;
  source_.vm.checkpoints = {{"clean", "", {}, true, {"vda"}, {}, ""}};
  const auto report = at_destination();
  const Finding* found = find(report.findings, "CHECKPOINT_INTERNAL");
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(found->level == FindingLevel::kBlocker && found->object == "vda");
  EXPECT_TRUE(std::ranges::any_of(found->fixes, [](const std::string& fix) {
    return fix.find("--disk-only") != std::string::npos;
  }));
  source_.vm.checkpoints = {{"clean", "", {}, true, {"vdb"}, {}, ""}};
  EXPECT_EQ(find(at_destination().findings, "CHECKPOINT_INTERNAL"), nullptr);
}

TEST_F(Layers, TheMemoryOfACheckpointIsAFileThatTravels) {
  source_.vm.checkpoints = {{"warm", "", {}, true, {}, {"vda"}, images() + "/warm.mem"}};
  const auto report = at_destination();
  ASSERT_EQ(report.files.size(), 2u);
  EXPECT_EQ(report.files[1].item, memory_item("warm"));
  EXPECT_EQ(report.files[1].destination_path, images() + "/warm.mem");
}

TEST_F(Layers, ADiscTravelsIfItIsAskedTo) {
  insert("cdrom", "/iso/a.iso");
  auto report = at_destination();
  EXPECT_EQ(report.files.size(), 1u);
  const Finding* found = find(report.findings, "MEDIA_INSERTED");
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(std::ranges::any_of(
      found->fixes, [](const std::string& fix) { return fix.starts_with("--media copy"); }));

  source_.request.media = Media::kCopy;
  for (const bool flatten : {false, true}) {
    source_.request.flatten = flatten;
    report = at_destination();
    ASSERT_EQ(report.files.size(), flatten ? 1u : 2u);
    EXPECT_EQ(report.files[0].item, "sda");
    EXPECT_EQ(report.files[0].source_path, "/iso/a.iso");
    EXPECT_EQ(report.files[0].destination_path, images() + "/a.iso") << "/iso is not allowed";
    EXPECT_EQ(report.files[0].allocated, mib(3));
    EXPECT_EQ(find(report.findings, "MEDIA_INSERTED"), nullptr);
  }
}

TEST_F(Layers, ADiscThatLandsElsewhereIsFoundByItsDefinitions) {
  insert("cdrom", "/iso/a.iso");
  source_.request.media = Media::kCopy;
  source_.vm.state = VmState::kOff;
  source_.request.kind = MoveKind::kOffline;
  auto report = at_destination();
  for (const std::string& xml : {report.destination_xml, report.persistent_xml}) {
    EXPECT_TRUE(xml.contains(images() + "/a.iso")) << xml;
    EXPECT_FALSE(xml.contains("/iso/a.iso"));
  }
  auto& later = source_.persistent_xml;
  later.replace(later.find("/iso/a.iso"), 10, "/iso/b.iso");
  report = at_destination();
  EXPECT_TRUE(report.destination_xml.contains(images() + "/a.iso"));
  EXPECT_TRUE(report.persistent_xml.contains("/iso/b.iso")) << "which is no part of the move";
}

TEST_F(Layers, WhatAGuestMayWriteToIsNotSentBeforeItsDisks) {
  source_.request.media = Media::kCopy;
  insert("floppy", "/iso/a.img");
  auto report = at_destination();
  EXPECT_EQ(report.files.size(), 1u);
  const Finding* found = find(report.findings, "MEDIA_INSERTED");
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(found->why.contains("not copied along")) << found->why;
  source_.vm.state = VmState::kOff;
  source_.request.kind = MoveKind::kOffline;
  EXPECT_EQ(at_destination().files.size(), 2u);
}

TEST_F(Layers, TwoDiscsDoNotBecomeOne) {
  source_.request.media = Media::kCopy;
  insert("cdrom", "/iso/a.iso");
  insert("cdrom", "/old/a.iso", "sdb");
  EXPECT_NE(find(at_destination().findings, "DISK_COLLISION"), nullptr);
  source_.vm.disks.back().path = "/iso/a.iso";
  EXPECT_EQ(find(at_destination().findings, "DISK_COLLISION"), nullptr) << "it is in both drives";
}

}  // namespace
}  // namespace drover::preflight
