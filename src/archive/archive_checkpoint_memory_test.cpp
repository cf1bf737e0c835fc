// SPDX-License-Identifier: Apache-2.0
// Exports and imports of checkpoints that have their memory in a file of their own.
#include "archive/archive_chain_fixture.h"

namespace drover::archive {
namespace {

// The checkpoint was made of the running VM, with its memory in a file beside the images.
class ArchivedCheckpointMemory : public ArchivedChain {
 protected:
  void SetUp() override {
    ArchivedChain::SetUp();
    ASSERT_TRUE(hypervisor_.define(described(base())));
    ASSERT_TRUE(hypervisor_.start(kUuid));
    ASSERT_TRUE(hypervisor_.suspend(kUuid));
    ASSERT_TRUE(hypervisor_.write_memory(kUuid, memory()));
    ASSERT_TRUE(hypervisor_.destroy(kUuid));
    ASSERT_TRUE(hypervisor_.define(described(top())));
    std::string xml = checkpoint(base());
    replace(xml, "<memory snapshot='no'/>",
            "<memory snapshot='external' file='" + memory() + "'/>");
    ASSERT_TRUE(
        hypervisor_.know_checkpoints(kUuid, std::vector<CheckpointText>{{"clean", xml, true}}));
  }
  std::string memory() const { return at("images/clean.memory"); }
};

TEST_F(ArchivedCheckpointMemory, GoesAlong) {
  EXPECT_FALSE(has(exported(at("exports/x")), "CHECKPOINTS_LEFT"));
  const std::string folder = export_it();
  EXPECT_EQ(files("exports/web01"),
            (std::vector<std::string>{"checkpoint.1.save", "definition.xml", "drover-export.json",
                                      "vda.img", "vdb.1.qcow2", "vdb.qcow2"}));
  EXPECT_EQ(*read_file(folder + "/checkpoint.1.save"), *read_file(memory()));
  EXPECT_NE(read_file(folder + "/drover-export.json")->find("\"version\": 3"), std::string::npos);
  forget();
  const Archive done = run(imported(folder, ImportMode::kRestore));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_EQ(done.bytes_done, done.bytes_total);
  const std::string here = at("restored/clean.memory");
  ASSERT_EQ(known(kUuid).size(), 1u);
  EXPECT_EQ(parse_checkpoint(known(kUuid)[0])->memory_file, here);
  // Its guest goes on with the disks as they are here.
  const auto domain = parse_domain(*hypervisor_.saved_definition(here));
  EXPECT_EQ(domain->disks.at(0).disk.path, at("restored/web01.img"));
  EXPECT_EQ(domain->disks.at(1).disk.path, at("restored/web01.qcow2"));
}

TEST_F(ArchivedCheckpointMemory, OfACopyAndWhereItLiesIsLeftWithItsCheckpoint) {
  const std::string folder = export_it();
  forget();
  for (const ImportMode mode : {ImportMode::kCopy, ImportMode::kRegister}) {
    ArchiveRequest request = imported(folder, mode);
    EXPECT_TRUE(has(request, "CHECKPOINTS_LEFT"));
    request.accepted_codes = {"CHECKPOINTS_LEFT"};
    const Archive done = run(request);
    ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
    EXPECT_TRUE(known(done.vm_uuid).empty());
  }
  for (const std::string& file : files("restored")) EXPECT_FALSE(file.contains("memory")) << file;
}

TEST_F(ArchivedCheckpointMemory, ThatIsGoneLeavesTheCheckpointsBehind) {
  fs::remove(memory());
  EXPECT_TRUE(has(exported(at("exports/x")), "CHECKPOINTS_LEFT"));
  ASSERT_TRUE(make_folder(memory(), 0700));
  EXPECT_TRUE(has(exported(at("exports/x")), "CHECKPOINTS_LEFT"));
}

TEST_F(ArchivedCheckpointMemory, ThatWasChangedIsNotImported) {
  const std::string folder = export_it();
  forget();
  {
    std::fstream file(folder + "/checkpoint.1.save", std::ios::in | std::ios::out | std::ios::ate);
    file.seekp(-3, std::ios::end);
    file << "X";
  }
  const Archive failed = run(imported(folder, ImportMode::kRestore));
  EXPECT_EQ(failed.state, ArchiveState::kFailed);
  EXPECT_TRUE(files("restored").empty());
}

TEST_F(ArchivedCheckpointMemory, AHostileOneReachesNothing) {
  const std::string folder = export_it();
  forget();
  EXPECT_FALSE(is_left(folder, "<name>clean", "<name>clean"));
  EXPECT_TRUE(is_left(folder, "file='" + memory(), "file='/etc/shadow"));
  EXPECT_TRUE(is_left(folder, "file='" + memory(), "file='" + base())) << "an image";
  EXPECT_TRUE(is_left(folder, "<interface ",
                      "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
                      "<source file='" +
                          memory() +
                          "'/><target dev='vdc'/></disk>"
                          "<interface "))
      << "a guest that writes what libvirt restores from";
  EXPECT_TRUE(is_left(folder, "<os>", "<os><nvram>" + memory() + "</nvram>"))
      << "likewise, by its variables";
  EXPECT_TRUE(is_left(folder, kUuid, "7f0f6b0e-7d0a-4c0e-9d0c-0123456789ab")) << "another VM's";
}

// What libvirt reads of a path is not what stands there: blanks are left out.
TEST_F(ArchivedCheckpointMemory, AHostileOneIsNoDiskByAnyOtherName) {
  const std::string folder = export_it();
  forget();
  const std::string other = at("images/web01.img") + " ";
  forge(folder, [&](Manifest& manifest) {
    for (ArchiveItem& item : manifest.items) {
      if (is_checkpoint_memory(item.item)) item.path = other;
    }
    replace(manifest.checkpoints.at(0).xml, "file='" + memory(), "file='" + other);
  });
  EXPECT_TRUE(has(imported(folder, ImportMode::kRestore), "CHECKPOINTS_LEFT"));
}

TEST_F(ArchivedCheckpointMemory, AFileInItsPlaceIsNeverReplaced) {
  const std::string folder = export_it();
  forget();
  std::ofstream(at("restored/clean.memory")) << "somebody's";
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"DISK_EXISTS"});
}

TEST_F(ArchivedCheckpointMemory, AnImportNeedsRoomForIt) {
  const std::string folder = export_it();
  forget();
  forge(folder, [&](Manifest& manifest) {
    for (ArchiveItem& item : manifest.items) {
      if (!is_checkpoint_memory(item.item)) continue;
      item.size = gib(8192);
      fs::resize_file(folder + "/" + item.file, item.size.bytes);
    }
  });
  EXPECT_TRUE(has(imported(folder, ImportMode::kRestore), "SPACE_SHORT"));
}

}  // namespace
}  // namespace drover::archive
