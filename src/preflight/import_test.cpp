// SPDX-License-Identifier: Apache-2.0
// Imports of a VM that is fine but for one thing.
#include "preflight/import.h"

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

class CheckImport : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-import-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::permissions(root_, fs::perms(0711));
    for (const char* name : {"folder", "images"}) {
      fs::create_directory(root_ / name);
      fs::permissions(root_ / name, fs::perms(0711));
    }
    settings_.default_folder = (root_ / "images").string();
    settings_.allowed_folders = {root_.string()};
    settings_.space_reserve = mib(1);
    view_.request.kind = ArchiveKind::kImport;
    view_.request.folder = (root_ / "folder").string();
    view_.request.mode = ImportMode::kRestore;
    view_.host = "host1";
    view_.source.name = "host9";
    view_.has_manifest = true;
    view_.definition = definition("");
    ImageFacts facts;
    facts.format = "qcow2";
    facts.virtual_size = mib(64);
    facts.allocated = mib(1);
    view_.disks = {
        {"vda", "vda.qcow2", (root_ / "folder/vda.qcow2").string(), "qcow2", mib(64), facts}};
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string definition(const std::string& more) const {
    return "<domain type='qemu'><name>web01</name><uuid>" + std::string(kUuid) +
           "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
           "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
           "type='qcow2'/><source file='/x/web01.qcow2'/><target dev='vda'/></disk>" +
           more + "</devices></domain>";
  }
  DestinationReport check() {
    auto report = check_import(view_, fake_, settings_);
    EXPECT_TRUE(report) << report.error().text();
    return report.value_or(DestinationReport{});
  }
  std::vector<std::string> codes() {
    std::vector<std::string> all;
    for (const Finding& finding : check().findings) all.push_back(finding.code);
    return all;
  }
  using Codes = std::vector<std::string>;

  fs::path root_;
  HostSettings settings_;
  fake::FakeHypervisor fake_{{}};
  ImportView view_;
};

TEST_F(CheckImport, AVmThatFitsLandsInTheDefaultFolder) {
  const auto report = check();
  EXPECT_TRUE(report.findings.empty()) << report.findings.at(0).what;
  ASSERT_EQ(report.placements.size(), 1u);
  EXPECT_EQ(report.placements[0].destination_path, (root_ / "images/web01.qcow2").string());
  view_.request.disks_to = (root_ / "folder").string();
  EXPECT_EQ(check().placements.at(0).destination_path, (root_ / "folder/web01.qcow2").string());
}

TEST_F(CheckImport, WhatIsOfMovesOnlyIsNotAsked) {
  settings_.incoming = false;
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(CheckImport, ARegisteredImageMayBeThere) {
  std::ofstream(root_ / "images/web01.qcow2") << "x";
  EXPECT_EQ(codes(), Codes{"DISK_EXISTS"});
  std::ofstream(root_ / "folder/web01.qcow2") << "x";
  view_.request.mode = ImportMode::kRegister;
  EXPECT_EQ(codes(), Codes{});
}

// Only those of the folder are its own.
TEST_F(CheckImport, RegisteredVariablesAreThoseOfTheFolder) {
  view_.request.mode = ImportMode::kRegister;
  for (const auto& [file, expected] : {std::pair<std::string, Codes>{"folder/nvram.fd", {}},
                                       {"images/other.fd", {"NVRAM_EXISTS"}}}) {
    std::ofstream(root_ / file) << "x";
    view_.definition = definition("");
    view_.definition.replace(view_.definition.find("</os>"), 5,
                             "<nvram>" + (root_ / file).string() + "</nvram></os>");
    EXPECT_EQ(codes(), expected) << file;
  }
}

TEST_F(CheckImport, AFileHasOneUser) {
  view_.request.mode = ImportMode::kRegister;
  view_.users = {{"/srv/vda.qcow2", "web02"}};
  EXPECT_EQ(codes(), Codes{"DISK_EXISTS"});
}

TEST_F(CheckImport, TheHostLacksSomething) {
  view_.definition = definition(
      "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source "
      "bridge='br9'/></interface>");
  auto report = check();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].code, "NETWORK_MISSING");
  for (const std::string& fix : report.findings[0].fixes)
    EXPECT_EQ(fix.find("virsh detach"), std::string::npos) << fix;
  view_.definition.replace(view_.definition.find("pc-q35-7.2"), 10, "pc-q35-9.9");
  EXPECT_EQ(codes(), (Codes{"MACHINE_UNKNOWN", "NETWORK_MISSING"}));
}

TEST_F(CheckImport, MemoryIsNotAskedForUntilItStarts) {
  view_.definition.replace(view_.definition.find("'MiB'>64"), 8, "'TiB'>64");
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(CheckImport, NameAndUuidAreTaken) {
  ASSERT_TRUE(fake_.define(definition("")));
  const auto report = check();
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings[0].code, "VM_LEFTOVER");
  EXPECT_NE(report.findings[0].fixes.at(0).find("--copy"), std::string::npos);
}

TEST_F(CheckImport, TheFolderIsNotAsItShouldBe) {
  view_.has_manifest = false;
  EXPECT_EQ(codes(), Codes{"NOT_VERIFIED"});
  view_.has_manifest = true;
  view_.damaged = {"vda.qcow2 is missing."};
  EXPECT_EQ(codes(), Codes{"EXPORT_DAMAGED"});
  view_.damaged.clear();
  view_.ejected = {"/iso/a.iso (sda)"};
  EXPECT_EQ(codes(), Codes{"MEDIA_EJECTED"});
}

TEST_F(CheckImport, ImagesThatAreNotUsed) {
  view_.disks[0].facts->backing_chain = {"/etc/shadow"};
  EXPECT_EQ(codes(), Codes{"IMAGE_NOT_WHOLE"});
  view_.disks[0].facts->backing_chain.clear();
  view_.disks[0].facts->data_file = true;
  EXPECT_EQ(codes(), Codes{"IMAGE_NOT_WHOLE"});
  view_.disks[0].facts->data_file = false;
  view_.disks[0].facts->encrypted = true;
  EXPECT_EQ(codes(), Codes{"DISK_ENCRYPTED"});
  view_.disks[0].facts->encrypted = false;
  view_.disks[0].virtual_size = mib(65);
  EXPECT_EQ(codes(), Codes{"EXPORT_DAMAGED"});
  view_.disks[0].facts = std::unexpected(Error{ErrorCode::kCorrupt, Retry::kNever, "No.", {}});
  EXPECT_EQ(codes(), Codes{"DISK_UNREADABLE"});
}

TEST_F(CheckImport, DisksThatAreNotInTheFolder) {
  view_.definition = definition(
      "<disk type='file' device='disk'><driver type='raw'/><source file='/x/base.img'/><target "
      "dev='vdb'/><readonly/></disk>");
  EXPECT_EQ(codes(), Codes{"DISK_READ_ONLY"});
  EXPECT_EQ(check().findings.at(0).level, FindingLevel::kWarning);
}

TEST_F(CheckImport, ReasonsAgainstADefinition) {
  const auto findings = refused_definition("web01", std::vector<std::string>{"'/etc' is not"});
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, "DEFINITION_REFUSED");
  EXPECT_EQ(findings[0].level, FindingLevel::kBlocker);
}

}  // namespace
}  // namespace drover::preflight
