// SPDX-License-Identifier: Apache-2.0
// The destination's whole stage, on the fake hypervisor and folders of the test's own.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"
#include "preflight/preflight.h"

namespace drover::preflight {
namespace {

namespace fs = std::filesystem;
constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";

class CheckDestination : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-preflight-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    // mkdtemp closes the folder to others, and QEMU's user is one of them.
    fs::permissions(root_, fs::perms::others_exec, fs::perm_options::add);
    fs::create_directories(root_ / "images");
    settings_.incoming = true;
    settings_.default_folder = (root_ / "images").string();
    settings_.allowed_folders = {settings_.default_folder};
    propose("web 01", "/elsewhere/web 01.qcow2");
  }
  void TearDown() override { fs::remove_all(root_); }

  void propose(const std::string& name, const std::string& disk) {
    const std::string xml =
        "<domain type='qemu'><name>" + name + "</name><uuid>" + kUuid +
        "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
        "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
        "type='qcow2'/><source file='" +
        disk + "'/><target dev='vda'/></disk></devices></domain>";
    proposal_ = {};
    proposal_.live_xml = proposal_.persistent_xml = xml;
    proposal_.vm = parse_domain(xml)->vm;
    proposal_.vm.disks[0].virtual_size = mib(64);
    proposal_.vm.disks[0].allocated = mib(1);
    proposal_.request.destination = "host2";
    proposal_.source.name = "host1";
  }
  DestinationReport check() {
    auto report = check_destination(proposal_, fake_, settings_);
    EXPECT_TRUE(report) << report.error().text();
    return report.value_or(DestinationReport{});
  }
  static bool has(const DestinationReport& report, const std::string& code) {
    return std::any_of(report.findings.begin(), report.findings.end(),
                       [&](const Finding& finding) { return finding.code == code; });
  }

  fs::path root_;
  HostSettings settings_;
  fake::FakeHypervisor fake_{{}};
  Proposal proposal_;
};

TEST_F(CheckDestination, SaysWhereEverythingLandsAndAdaptsBothDefinitions) {
  const auto report = check();
  EXPECT_TRUE(has(report, "PLACED_ELSEWHERE"));
  const std::string path = (root_ / "images/web 01.qcow2").string();
  ASSERT_EQ(report.placements.size(), 1u);
  EXPECT_EQ(report.placements[0].destination_path, path);
  EXPECT_EQ(report.placements[0].source_path, "/elsewhere/web 01.qcow2");
  EXPECT_EQ(report.placements[0].virtual_size, mib(64));
  for (const auto& xml : {report.destination_xml, report.persistent_xml}) {
    const auto facts = parse_domain(xml);
    ASSERT_TRUE(facts) << facts.error().text();
    EXPECT_EQ(facts->vm.disks.at(0).path, path);
  }
  EXPECT_EQ(report.host.name, "host2");
  EXPECT_EQ(report.host.settings.allowed_folders, settings_.allowed_folders);
}

TEST_F(CheckDestination, AnImageThatIsCopiedMayBecomeAnotherFormat) {
  proposal_.request.format = "raw";
  const auto report = check();
  const std::string path = (root_ / "images/web 01.img").string();
  ASSERT_EQ(report.placements.size(), 1u);
  EXPECT_EQ(report.placements[0].destination_path, path);
  EXPECT_EQ(report.placements[0].format, "raw");
  for (const auto& xml : {report.destination_xml, report.persistent_xml}) {
    const auto facts = parse_domain(xml);
    ASSERT_TRUE(facts) << facts.error().text();
    EXPECT_EQ(facts->vm.disks.at(0).path, path);
    EXPECT_EQ(facts->vm.disks.at(0).format, "raw");
  }
  std::ofstream(path) << "x";
  EXPECT_TRUE(has(check(), "DISK_EXISTS"));
  proposal_.request.format = "qcow2";
  EXPECT_EQ(check().placements[0].destination_path, (root_ / "images/web 01.qcow2").string());
  proposal_.request.format = "raw";
  proposal_.vm.disks[0].backing_chain = {"/elsewhere/base.img"};
  EXPECT_TRUE(has(check(), "DISK_BACKING_CHAIN"));
}

TEST_F(CheckDestination, ARunningDiskIsWrittenAsItsRoomShallBe) {
  for (const auto& [allocation, words] :
       {std::pair{Allocation::kThin, "discard='unmap' detect_zeroes='unmap'"},
        std::pair{Allocation::kFull, "discard='ignore' detect_zeroes='off'"}}) {
    proposal_.request.allocation = allocation;
    proposal_.request.kind = {};
    auto report = check();
    ASSERT_EQ(report.placements.size(), 1u);
    EXPECT_EQ(report.placements[0].allocation, allocation);
    EXPECT_NE(report.destination_xml.find(words), std::string::npos) << report.destination_xml;
    EXPECT_EQ(report.persistent_xml.find("discard"), std::string::npos);
    proposal_.request.kind = MoveKind::kOffline;
    EXPECT_EQ(check().destination_xml.find("discard"), std::string::npos);
  }
}

TEST_F(CheckDestination, AFullImageNeedsRoomForAllOfItsDisk) {
  proposal_.vm.disks[0].virtual_size = gib(1 << 20);
  EXPECT_FALSE(has(check(), "SPACE_SHORT"));
  proposal_.request.allocation = Allocation::kThin;
  EXPECT_FALSE(has(check(), "SPACE_SHORT"));
  proposal_.request.allocation = Allocation::kFull;
  EXPECT_TRUE(has(check(), "SPACE_SHORT"));
}

TEST_F(CheckDestination, ASharedDiskKeepsItsFormat) {
  const std::string path = (root_ / "images/web.qcow2").string();
  std::ofstream(path) << "image";
  const auto marked = MarkedImage::mark(path);
  ASSERT_TRUE(marked);
  propose("web", path);
  proposal_.request.format = "raw";
  proposal_.marks = {{"vda", {marked->where().start, 0}}};
  const auto report = check();
  ASSERT_EQ(report.placements.size(), 1u);
  EXPECT_TRUE(report.placements[0].shared);
  EXPECT_EQ(report.placements[0].format, "qcow2");
  EXPECT_EQ(report.placements[0].destination_path, path);
  EXPECT_TRUE(has(report, "DISK_STAYS"));
}

TEST_F(CheckDestination, RefusesAnExistingFileALinkAndAFolderOutside) {
  std::ofstream(root_ / "images/web 01.qcow2") << "x";
  auto report = check();
  EXPECT_TRUE(has(report, "DISK_EXISTS"));
  EXPECT_TRUE(report.destination_xml.empty());

  fs::create_directory_symlink("/etc", root_ / "images/link");
  proposal_.request.disks_to = (root_ / "images/link").string();
  EXPECT_TRUE(has(check(), "FOLDER_LINK"));
  for (const char* outside : {"/etc", "/", "relative", "/var/../etc", "/a\nb"}) {
    proposal_.request.disks_to = outside;
    EXPECT_TRUE(has(check(), "FOLDER_NOT_ALLOWED")) << outside;
  }
  proposal_.request.disks_to = (root_ / "images/missing").string();
  EXPECT_TRUE(has(check(), "FOLDER_MISSING"));
  proposal_.request.disks_to = settings_.default_folder + "/..";
  EXPECT_TRUE(has(check(), "FOLDER_NOT_ALLOWED"));
}

TEST_F(CheckDestination, KnowsTheMarkedDiskAgainAndPlansNoCopyOfIt) {
  const std::string path = (root_ / "images/web.qcow2").string();
  std::ofstream(path) << "image";
  const auto marked = MarkedImage::mark(path);
  ASSERT_TRUE(marked);
  propose("web", path);
  proposal_.vm.disks[0].allocated = gib(1 << 20);  // would never fit as a copy
  proposal_.marks = {{"vda", {marked->where().start, 0}}};
  const auto report = check();
  EXPECT_FALSE(has(report, "DISK_EXISTS"));
  EXPECT_FALSE(has(report, "SPACE_SHORT"));
  ASSERT_EQ(report.placements.size(), 1u);
  EXPECT_TRUE(report.placements[0].shared);
  EXPECT_EQ(report.placements[0].destination_path, path);
  ASSERT_EQ(report.marks.size(), 1u);
  EXPECT_EQ(report.marks[0].where, marked->where()) << "the whole mark is the proof";
}

TEST_F(CheckDestination, FindsOutThatOnlyThePathIsTheSame) {
  const std::string path = (root_ / "images/web.qcow2").string();
  std::ofstream(path) << "image";
  std::ofstream(root_ / "web.qcow2") << "image";
  const auto marked = MarkedImage::mark((root_ / "web.qcow2").string());  // of the other host
  ASSERT_TRUE(marked);
  propose("web", path);
  proposal_.marks = {{"vda", {marked->where().start, 0}}};
  const auto report = check();
  EXPECT_TRUE(has(report, "DISK_EXISTS"));
  EXPECT_FALSE(report.placements.at(0).shared);
  EXPECT_TRUE(report.marks.empty());

  // A mark on what is not an allowed folder's is not even looked for.
  settings_.allowed_folders = {(root_ / "images").string()};
  propose("web", (root_ / "web.qcow2").string());
  proposal_.marks = {{"vda", {marked->where().start, 0}}};
  EXPECT_FALSE(check().placements.at(0).shared);
}

TEST_F(CheckDestination, AMarkOfAnotherDiskProvesNothing) {
  const std::string path = (root_ / "images/web.qcow2").string();
  std::ofstream(path) << "image";
  const auto marked = MarkedImage::mark(path);
  ASSERT_TRUE(marked);
  propose("web", path);
  proposal_.marks = {{"vdb", {marked->where().start, 0}}};
  EXPECT_TRUE(has(check(), "DISK_EXISTS"));
}

TEST_F(CheckDestination, AnswersWhileTheHypervisorIsDown) {
  fake_.set_answering(false);
  const auto report = check();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].code, "HYPERVISOR_DOWN");
}

TEST_F(CheckDestination, RefusesAProposalOfTwoVms) {
  proposal_.vm.uuid = "22222222-2222-4333-8444-555555555555";
  EXPECT_EQ(check_destination(proposal_, fake_, settings_).error().code,
            ErrorCode::kInvalidArgument);
  proposal_.live_xml = "<domain>";
  EXPECT_EQ(check_destination(proposal_, fake_, settings_).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace drover::preflight
