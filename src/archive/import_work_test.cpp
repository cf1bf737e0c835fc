// SPDX-License-Identifier: Apache-2.0
// Imports of folders that are what they say.
#include "archive/archive_test_support.h"

namespace drover::archive {
namespace {

TEST_F(Archives, CopiesAreVmsOfTheirOwn) {
  const std::string folder = export_it();
  std::vector<std::string> uuids{kUuid};
  for (const char* name : {"web01-copy", "web01-copy2", "other"}) {
    ArchiveRequest request = imported(folder, ImportMode::kCopy);
    if (std::string(name) == "other") request.name = name;
    const Archive done = run(request);
    ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
    EXPECT_EQ(done.vm_name, name);
    EXPECT_TRUE(done.verified);
    EXPECT_EQ(std::ranges::find(uuids, done.vm_uuid), uuids.end());
    uuids.push_back(done.vm_uuid);
    const auto xml = hypervisor_.definition(done.vm_uuid, DefinitionKind::kPersistent);
    ASSERT_TRUE(xml);
    const auto domain = parse_domain(*xml);
    EXPECT_EQ(domain->disks.at(0).disk.path, at(fmt::format("restored/{}-vda.img", name)));
    EXPECT_NE(domain->interfaces.at(0).mac, "52:54:00:01:02:03");
    EXPECT_TRUE(domain->disks.at(2).disk.path.empty()) << "the medium is not on this host";
    EXPECT_TRUE(same_content(domain->disks.at(1).disk.path, at("images/web01.qcow2"), "qcow2"));
  }
  EXPECT_EQ(files("restored").size(), 6u);
}

TEST_F(Archives, TheSameVmIsRestoredFromCopies) {
  const std::string folder = export_it();
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"VM_LEFTOVER"});
  forget_vm();
  const Archive done = run(imported(folder, ImportMode::kRestore));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_EQ(done.vm_uuid, kUuid);
  EXPECT_TRUE(same_content(at("restored/web01.img"), at("images/web01.img"), "raw"));
  EXPECT_NE(hypervisor_.definition(kUuid, DefinitionKind::kPersistent)->find("52:54:00:01:02:03"),
            std::string::npos);
}

TEST_F(Archives, ARegisteredOneUsesTheFolder) {
  const std::string folder = export_it();
  forget_vm();
  const Archive done = run(imported(folder, ImportMode::kRegister));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  const auto domain = parse_domain(*hypervisor_.definition(kUuid, DefinitionKind::kPersistent));
  EXPECT_EQ(domain->disks.at(0).disk.path, folder + "/vda.img");
  EXPECT_TRUE(files("restored").empty());
  EXPECT_EQ(files("exports/web01").size(), 4u);
}

TEST_F(Archives, WithoutAManifestItIsSaid) {
  const std::string folder = export_it();
  forget_vm();
  fs::remove(folder + "/drover-export.json");
  ArchiveRequest request = imported(folder, ImportMode::kRestore);
  EXPECT_EQ(archivist_->start(request).error().code, ErrorCode::kBlocked);
  request.accepted_codes = {"NOT_VERIFIED"};
  const Archive done = run(request);
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_FALSE(done.verified);
  EXPECT_TRUE(has(imported(folder, ImportMode::kCopy), "NOT_VERIFIED"));
}

TEST_F(Archives, RequestsThatMakeNoSense) {
  const std::string folder = export_it();
  ArchiveRequest named = imported(folder, ImportMode::kRestore);
  named.name = "other";
  EXPECT_EQ(archivist_->plan(named).error().code, ErrorCode::kInvalidArgument);
  ArchiveRequest slashed = imported(folder, ImportMode::kCopy);
  slashed.name = "../other";
  EXPECT_EQ(archivist_->plan(slashed).error().code, ErrorCode::kInvalidArgument);
  ArchiveRequest placed = imported(folder, ImportMode::kRegister);
  placed.disks_to = at("restored");
  EXPECT_EQ(archivist_->plan(placed).error().code, ErrorCode::kInvalidArgument);
  ArchiveRequest taken = imported(folder, ImportMode::kCopy);
  taken.name = "web01";
  EXPECT_EQ(blockers(taken), std::vector<std::string>{"NAME_TAKEN"});
  ArchiveRequest unknown = exported(at("exports/x"));
  unknown.vm = "absent";
  EXPECT_EQ(archivist_->plan(unknown).error().code, ErrorCode::kNotFound);
}

TEST_F(Archives, AVmThatIsElsewhereTooIsAWarning) {
  const std::string folder = export_it();
  forget_vm();
  elsewhere_.emplace_back().uuid = kUuid;
  elsewhere_.back().host = "host2";
  EXPECT_TRUE(has(imported(folder, ImportMode::kRestore), "VM_ELSEWHERE"));
  EXPECT_FALSE(has(imported(folder, ImportMode::kCopy), "VM_ELSEWHERE"));
}

// Two VMs would write to one file.
TEST_F(Archives, AFileThatAVmUsesIsNotRegistered) {
  const std::string folder = export_it();
  forget_vm();
  const auto other = [&](const std::string& disk) {
    return fmt::format(
        "<domain type='qemu'><name>other</name><uuid>7f0f6b0e-7d0a-4c0e-9d0c-0123456789ab</uuid>"
        "<memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
        "</os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source "
        "file='{}'/><target dev='vda'/></disk></devices></domain>",
        disk);
  };
  ASSERT_TRUE(hypervisor_.define(other(folder + "/vdb.qcow2")));
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRegister)),
            std::vector<std::string>{"DISK_EXISTS"});
  // By another name, and as the base of another image.
  fs::create_symlink(folder + "/vdb.qcow2", at("images/link.qcow2"));
  ASSERT_TRUE(hypervisor_.define(other(at("images/link.qcow2"))));
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRegister)),
            std::vector<std::string>{"DISK_EXISTS"});
  ASSERT_TRUE(
      run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-b",
                                 folder + "/vdb.qcow2", "-F", "qcow2", at("images/top.qcow2")}}));
  ASSERT_TRUE(hypervisor_.define(other(at("images/top.qcow2"))));
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRegister)),
            std::vector<std::string>{"DISK_EXISTS"});
  EXPECT_TRUE(blockers(imported(folder, ImportMode::kRestore)).empty());
}

TEST_F(Archives, AnImageThatIsWrittenIsNotCopied) {
  const std::string folder = export_it();
  const RunningProgram writer = writer_of(folder + "/vda.img");
  const Archive ended = run(imported(folder, ImportMode::kCopy));
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  ASSERT_TRUE(ended.error);
  EXPECT_EQ(ended.error->code, ErrorCode::kConflict) << ended.error->text();
  EXPECT_NE(ended.error->text().find("in use"), std::string::npos);
  EXPECT_TRUE(files("restored").empty());
}

}  // namespace
}  // namespace drover::archive
