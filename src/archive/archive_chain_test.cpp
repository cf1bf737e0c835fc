// SPDX-License-Identifier: Apache-2.0
// Exports and imports of a VM that is off with what it has beside its disks: layers that its disk
// is based on, checkpoints, the state of a TPM.
#include "archive/archive_chain_fixture.h"
#include "archive/socket_fixture.h"

namespace drover::archive {
namespace {

TEST_F(ArchivedChain, IsExportedFileByFile) {
  EXPECT_TRUE(has(exported(at("exports/x")), "CHECKPOINTS_TRAVEL"));
  EXPECT_FALSE(has(exported(at("exports/x")), "CHAIN_FLATTENED"));
  const std::string folder = export_it();
  EXPECT_EQ(files("exports/web01"),
            (std::vector<std::string>{"definition.xml", "drover-export.json", "vda.img",
                                      "vdb.1.qcow2", "vdb.qcow2"}));
  EXPECT_EQ(chain(folder + "/vdb.qcow2"),
            (std::vector<std::string>{folder + "/vdb.qcow2", folder + "/vdb.1.qcow2"}));
  EXPECT_TRUE(same_content(folder + "/vdb.qcow2", top(), "qcow2"));
  EXPECT_TRUE(same_content(folder + "/vdb.1.qcow2", base(), "qcow2"));
  const auto manifest = read_manifest(*read_file(folder + "/drover-export.json"));
  ASSERT_TRUE(manifest) << manifest.error().text();
  ASSERT_EQ(manifest->checkpoints.size(), 1u);
  EXPECT_TRUE(manifest->checkpoints[0].current);
}

// While it runs: what QEMU shows of the disk's own image, and the layers below as they are.
TEST_F(ArchivedChain, OfARunningVmIsExportedFileByFile) {
  const auto vdb_alone = [](std::string xml) {  // one server is enough
    const std::size_t vda = xml.find("<disk type=");
    return xml.erase(vda, xml.find("<disk type=", vda + 1) - vda);
  };
  ASSERT_TRUE(hypervisor_.define(vdb_alone(described(top()))));
  ASSERT_TRUE(hypervisor_.know_checkpoints(
      kUuid, std::vector<CheckpointText>{{"clean", vdb_alone(checkpoint(base())), true}}));
  ASSERT_TRUE(hypervisor_.start(kUuid));
  std::optional<RunningProgram> server;
  pictures_.at_begin = [&](const PictureCall& call) -> Status {
    if (call.disks.size() != 1 || !call.disks[0].layered)
      return fail(ErrorCode::kConflict, "Another picture was expected.");
    const std::string& scratch = call.disks[0].scratch;
    RETURN_IF_ERROR(run_program(
        {.arguments = {"qemu-img", "rebase", "-q", "-u", "-F", "qcow2", "-b", top(), scratch}}));
    auto started = RunningProgram::start(
        {.arguments = {"qemu-nbd", "--read-only", "--shared=16", "--persistent", "-A", "-x",
                       layers_export(call.disks[0].target), "--format=qcow2",
                       "--socket=" + call.socket, scratch}});
    if (!started) return std::unexpected(started.error());
    server.emplace(std::move(*started));
    EXPECT_TRUE(until([&] { return listens(call.socket); }));
    return {};
  };
  pictures_.at_end = [&]() -> Status {
    server.reset();
    return {};
  };
  const Archive done = run(exported(at("exports/web01")));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  const std::string folder = at("exports/web01");
  EXPECT_EQ(files("exports/web01"),
            (std::vector<std::string>{"definition.xml", "drover-export.json", "vdb.1.qcow2",
                                      "vdb.qcow2"}));
  EXPECT_EQ(chain(folder + "/vdb.qcow2"),
            (std::vector<std::string>{folder + "/vdb.qcow2", folder + "/vdb.1.qcow2"}));
  EXPECT_TRUE(same_content(folder + "/vdb.qcow2", top(), "qcow2"));
  EXPECT_TRUE(same_content(folder + "/vdb.1.qcow2", base(), "qcow2"));
  EXPECT_LE(allocated(folder + "/vdb.qcow2"), allocated(top()) + (512u << 10));
  EXPECT_EQ(read_manifest(*read_file(folder + "/drover-export.json"))->checkpoints.size(), 1u);
  EXPECT_EQ(done.bytes_done, done.bytes_total);
}

TEST_F(ArchivedChain, WithoutCheckpointsItBecomesOneImage) {
  ASSERT_TRUE(hypervisor_.forget_checkpoints(kUuid));
  EXPECT_TRUE(has(exported(at("exports/x")), "CHAIN_FLATTENED"));
  const std::string folder = export_it();
  EXPECT_EQ(chain(folder + "/vdb.qcow2").size(), 1u);
  EXPECT_TRUE(same_content(folder + "/vdb.qcow2", top(), "qcow2"));
}

TEST_F(ArchivedChain, ABranchThatIsNotExportedLeavesAllBehind) {
  ASSERT_TRUE(hypervisor_.know_checkpoints(
      kUuid, std::vector<CheckpointText>{{"clean", checkpoint(at("images/branch.qcow2")), true}}));
  EXPECT_TRUE(has(exported(at("exports/x")), "CHECKPOINTS_LEFT"));
  EXPECT_TRUE(has(exported(at("exports/x")), "CHAIN_FLATTENED"));
}

TEST_F(ArchivedChain, IsRestoredWithItsCheckpoints) {
  const std::string folder = export_it();
  forget();
  const Archive done = run(imported(folder, ImportMode::kRestore));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  const std::string now = at("restored/web01.clean"), below = at("restored/web01.qcow2");
  EXPECT_EQ(chain(now), (std::vector<std::string>{now, below}));
  EXPECT_TRUE(same_content(now, top(), "qcow2"));
  EXPECT_TRUE(same_content(below, base(), "qcow2"));
  ASSERT_EQ(known(kUuid).size(), 1u);
  EXPECT_TRUE(known(kUuid)[0].current);
  const auto paths = checkpoint_paths(known(kUuid)[0].xml);
  EXPECT_EQ(*paths, (std::vector<std::string>{at("restored/web01.clean"), at("restored/web01.img"),
                                              at("restored/web01.qcow2")}));
}

TEST_F(ArchivedChain, ACopyHasCheckpointsOfItsOwn) {
  const std::string folder = export_it();
  const Archive done = run(imported(folder, ImportMode::kCopy));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  const std::string now = at("restored/web01-copy-vdb.qcow2");
  EXPECT_EQ(chain(now), (std::vector<std::string>{now, at("restored/web01-copy-vdb.1.qcow2")}));
  ASSERT_EQ(known(done.vm_uuid).size(), 1u);
  const std::string xml = known(done.vm_uuid)[0].xml;
  EXPECT_EQ(xml.find(kUuid), std::string::npos) << xml;
  EXPECT_EQ(xml.find(at("images")), std::string::npos) << xml;
  EXPECT_NE(xml.find(done.vm_uuid), std::string::npos);
  const auto vm = parse_domain(*hypervisor_.definition(done.vm_uuid, DefinitionKind::kPersistent));
  EXPECT_NE(xml.find(vm->interfaces.at(0).mac), std::string::npos) << "another MAC address";
}

TEST_F(ArchivedChain, IsRegisteredWhereItLies) {
  const std::string folder = export_it();
  forget();
  const Archive done = run(imported(folder, ImportMode::kRegister));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_TRUE(files("restored").empty());
  ASSERT_EQ(known(kUuid).size(), 1u);
  EXPECT_EQ(known(kUuid)[0].xml.find(at("images")), std::string::npos);
  EXPECT_EQ(chain(folder + "/vdb.qcow2").size(), 2u);
}

// Told by the next droverd, if this one dies between the definition and that.
TEST_F(ArchivedChain, CheckpointsOfAnInterruptedImportAreTold) {
  ArchiveJob job = import_under_way(ImportMode::kRestore);
  job.archive.vm_uuid = kUuid;
  job.archive.vm_name = "web01";
  job.defining = true;
  job.checkpoints = known(kUuid);
  job.created = {move::known_file("vdb", top(), {1, 1, 0, ""}),
                 move::known_file("vdb.1", base(), {1, 2, 0, ""})};
  ASSERT_TRUE(hypervisor_.forget_checkpoints(kUuid));
  take_up(job);
  EXPECT_EQ(wait(job.archive.id).state, ArchiveState::kDone);
  EXPECT_EQ(known(kUuid).size(), 1u);
  // libvirt was away before it had been told all.
  CheckpointText later = job.checkpoints[0];
  later.name = "later";
  later.xml.replace(later.xml.find("<name>clean"), 11, "<name>later");
  job.checkpoints.push_back(later);
  take_up(job);
  EXPECT_EQ(wait(job.archive.id).state, ArchiveState::kDone);
  EXPECT_EQ(known(kUuid).size(), 2u);
  // It goes on being away: nobody has to wait for it.
  hypervisor_.at_checkpoints = [](bool) -> Status {
    return fail(ErrorCode::kUnavailable, "libvirt is away.");
  };
  take_up(job);
  ASSERT_TRUE(asks_to_be_given_up(job.archive.id));
  ASSERT_TRUE(archivist_->give_up(job.archive.id));
  const Archive ended = wait(job.archive.id);
  EXPECT_EQ(ended.state, ArchiveState::kDone);
  EXPECT_NE(ended.explanation.find("But: libvirt is away."), std::string::npos)
      << ended.explanation;
  hypervisor_.at_checkpoints = nullptr;
}

TEST_F(ArchivedChain, CheckpointsThatLibvirtRefusesAreSaid) {
  const std::string folder = export_it();
  forget();
  hypervisor_.at_checkpoints = [](bool known) -> Status {
    if (!known) return {};
    return fail(ErrorCode::kHypervisor, "No such thing.");
  };
  const Archive done = run(imported(folder, ImportMode::kRestore));
  EXPECT_EQ(done.state, ArchiveState::kDone);
  EXPECT_NE(done.explanation.find("No such thing."), std::string::npos) << done.explanation;
  hypervisor_.at_checkpoints = nullptr;
}

// As somebody would write it who knows how the checksum is made.
TEST_F(ArchivedChain, AHostileCheckpointReachesNothing) {
  const std::string folder = export_it();
  forget();
  EXPECT_FALSE(is_left(folder, "<name>clean", "<name>clean"));
  EXPECT_TRUE(is_left(folder, base(), "/etc/shadow"));
  EXPECT_TRUE(is_left(folder, "<interface ",
                      "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='3' "
                      "slot='0' function='0'/></source></hostdev><interface "));
  EXPECT_TRUE(is_left(folder, "<interface ",
                      "<disk type='volume' device='disk'><source pool='default' volume='other'/>"
                      "<target dev='vdc'/></disk><interface "));
  EXPECT_TRUE(is_left(folder, "<memory snapshot='no'/>",
                      "<memory snapshot='external' file='" + at("restored/web01.img") + "'/>"));
  EXPECT_TRUE(is_left(folder, "<os>", "<os><kernel>/etc/shadow</kernel>"));
  EXPECT_TRUE(is_left(folder, "<state>", "<unknown/><state>"));
}

TEST_F(ArchivedChain, AnImageIsBasedOnWhatTheManifestSays) {
  const std::string folder = export_it();
  forget();
  const auto set = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"qemu-img", "rebase", "-u", "-f", "qcow2"});
    words.push_back(folder + "/vdb.qcow2");
    EXPECT_TRUE(run_program({.arguments = words}));
    return blockers(imported(folder, ImportMode::kRestore));
  };
  EXPECT_EQ(set({"-b", "/etc/shadow", "-F", "raw"}), std::vector<std::string>{"IMAGE_NOT_WHOLE"});
  EXPECT_EQ(set({"-b", "vdb.1.qcow2", "-F", "raw"}), std::vector<std::string>{"IMAGE_NOT_WHOLE"});
  EXPECT_EQ(set({"-b", ""}), std::vector<std::string>{"EXPORT_DAMAGED"});
  EXPECT_TRUE(set({"-b", "vdb.1.qcow2", "-F", "qcow2"}).empty());
  // Its hash tells of it all the same.
  ASSERT_TRUE(run_program({.arguments = {"qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k",
                                         folder + "/vdb.1.qcow2"}}));
  for (const ImportMode mode : {ImportMode::kRestore, ImportMode::kRegister}) {
    const auto begun = archivist_->start(imported(folder, mode));
    if (!begun) continue;  // its size changed, too
    EXPECT_EQ(wait(begun->id).state, ArchiveState::kFailed);
    EXPECT_TRUE(files("restored").empty());
  }
}

class ArchivedTpm : public Archives {
 protected:
  void SetUp() override {
    Archives::SetUp();
    std::string xml = definition();
    replace(xml, "<interface ",
            "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm><interface ");
    ASSERT_TRUE(hypervisor_.define(xml));
    ASSERT_TRUE(make_tpm_folders(state(kUuid)));
    std::ofstream(state(kUuid)) << "sealed";
  }
  std::string state(const std::string& uuid) const {
    return at("swtpm/" + uuid + "/tpm2/tpm2-00.permall");
  }
};

TEST_F(ArchivedTpm, ItsStateGoesIntoTheFolderAndOut) {
  EXPECT_FALSE(has(exported(at("exports/x")), "TPM_LEFT"));
  const std::string folder = export_it();
  EXPECT_EQ(*read_file(folder + "/tpm2-00.permall"), "sealed");
  ArchiveRequest copy = imported(folder, ImportMode::kCopy);
  const auto plan = archivist_->plan(copy);
  ASSERT_TRUE(plan) << plan.error().text();
  for (const Finding& finding : plan->findings) copy.accepted_codes.push_back(finding.code);
  if (has(copy, "FILE_MISSING")) GTEST_SKIP() << "there is no swtpm here";
  const Archive made = run(copy);
  ASSERT_EQ(made.state, ArchiveState::kDone) << (made.error ? made.error->text() : "");
  EXPECT_EQ(*read_file(state(made.vm_uuid)), "sealed");

  forget_vm();
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"TPM_EXISTS"});
  fs::remove_all(at("swtpm/" + std::string(kUuid)));
  const Archive restored = run(imported(folder, ImportMode::kRestore));
  ASSERT_EQ(restored.state, ArchiveState::kDone) << (restored.error ? restored.error->text() : "");
  EXPECT_EQ(*read_file(state(kUuid)), "sealed");
}

TEST_F(ArchivedTpm, AnImportThatFailsLeavesNoState) {
  const std::string folder = export_it();
  ArchiveRequest copy = imported(folder, ImportMode::kCopy);
  if (has(copy, "FILE_MISSING")) GTEST_SKIP() << "there is no swtpm here";
  std::ofstream(folder + "/tpm2-00.permall", std::ios::trunc) << "forged";
  const Archive failed = run(copy);
  EXPECT_EQ(failed.state, ArchiveState::kFailed);
  EXPECT_EQ(files("swtpm"), std::vector<std::string>{kUuid});
  EXPECT_TRUE(files("restored").empty());
}

TEST_F(ArchivedTpm, AStateIsCalledAsStatesAre) {
  const std::string folder = export_it();
  forge(folder, [](Manifest& manifest) {
    for (ArchiveItem& item : manifest.items) {
      if (item.item == kTpmItem) item.file = "authorized_keys";
    }
  });
  fs::rename(folder + "/tpm2-00.permall", folder + "/authorized_keys");
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kCopy)).error().code, ErrorCode::kPolicy);
}

}  // namespace
}  // namespace drover::archive
