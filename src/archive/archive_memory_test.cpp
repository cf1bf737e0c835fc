// SPDX-License-Identifier: Apache-2.0
// Exports and imports with memory: that of a VM that runs, and that which is kept of one that is
// off.
#include "archive/archive_job.h"
#include "archive/archive_test_support.h"
#include "archive/file_copy.h"

namespace drover::archive {
namespace {

class ArchivesWithMemory : public Archives {
 protected:
  void SetUp() override {
    Archives::SetUp();
    ASSERT_TRUE(make_folder(root_ / "saves", 0711));
    hypervisor_.saved_folder = at("saves");
  }
  std::string saved() const { return at("saves/web01.save"); }
  RunState::Kind state() { return hypervisor_.run_state(kUuid)->kind; }
  void save_it() {
    ASSERT_TRUE(hypervisor_.start(kUuid));
    ASSERT_TRUE(hypervisor_.save(kUuid, saved(), Hypervisor::Then::kRuns));
  }
  // An export of the saved VM, which then is nowhere else.
  std::string exported_and_gone() {
    save_it();
    std::string folder = export_it();
    fs::remove(saved());
    forget_vm();
    return folder;
  }
  ArchiveRequest with_memory() {
    ArchiveRequest request = exported(at("exports/web01"));
    request.memory = true;
    return request;
  }
  // As by somebody who can write the manifest as well.
  void replace_memory_definition(const std::string& folder, const std::string& text) {
    forge(folder, [&](Manifest& manifest) {
      for (ArchiveItem& item : manifest.items) {
        if (item.item != kMemoryDefinitionItem) continue;
        std::ofstream(folder + "/" + item.file, std::ios::trunc) << text;
        item.size = {text.size()};
        item.hash = hash_of(text);
      }
    });
  }
  std::string memory_definition(const std::string& folder) {
    return *read_file(folder + "/memory.xml");
  }
};

TEST_F(ArchivesWithMemory, WhatIsKeptOfAVmThatIsOffGoesAlong) {
  const std::string folder = exported_and_gone();
  EXPECT_EQ(files("exports/web01"),
            (std::vector<std::string>{"definition.xml", "drover-export.json", "memory.save",
                                      "memory.xml", "vda.img", "vdb.qcow2"}));
  EXPECT_NE(read_file(folder + "/drover-export.json")->find("\"version\": 3"), std::string::npos);
  EXPECT_TRUE(has(imported(folder, ImportMode::kRestore), "VM_SAVED"));
  const Archive done = run(imported(folder, ImportMode::kRestore));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_TRUE(done.explanation.contains("with its memory")) << done.explanation;
  EXPECT_TRUE(hypervisor_.find_vm("web01")->saved);
  const auto domain = parse_domain(*hypervisor_.saved_definition(saved()));
  EXPECT_EQ(domain->disks.at(0).disk.path, at("restored/web01.img"));
  EXPECT_TRUE(domain->disks.at(2).disk.path.empty()) << "the medium is not on this host";
}

TEST_F(ArchivesWithMemory, OfAVmThatIsOffWithoutAnyThereIsNoneAndItIsSaid) {
  EXPECT_TRUE(has(with_memory(), "MEMORY_LEFT"));
  EXPECT_FALSE(has(exported(at("exports/web01")), "MEMORY_LEFT"));
  EXPECT_EQ(run(with_memory()).state, ArchiveState::kDone);
  EXPECT_TRUE(std::ranges::none_of(
      files("exports/web01"), [](const std::string& file) { return file.starts_with("memory"); }));
}

TEST_F(ArchivesWithMemory, ARegisteredOneHasItsMemoryWhereItIsLookedFor) {
  const std::string folder = exported_and_gone();
  const Archive done = run(imported(folder, ImportMode::kRegister));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_EQ(parse_domain(*hypervisor_.saved_definition(saved()))->disks.at(0).disk.path,
            folder + "/vda.img");
}

TEST_F(ArchivesWithMemory, ACopyBootsWithoutIt) {
  const std::string folder = exported_and_gone();
  ArchiveRequest copy = imported(folder, ImportMode::kCopy);
  EXPECT_EQ(archivist_->start(copy).error().code, ErrorCode::kBlocked);
  copy.accepted_codes = {"MEMORY_LEFT"};
  EXPECT_EQ(run(copy).state, ArchiveState::kDone);
  EXPECT_TRUE(files("saves").empty());
}

TEST_F(ArchivesWithMemory, AnotherVmsMemoryIsNotReplaced) {
  const std::string folder = exported_and_gone();
  std::ofstream(saved()) << "somebody's";
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)), std::vector<std::string>{"VM_SAVED"});
  EXPECT_EQ(*read_file(saved()), "somebody's");
}

// Whatever it says, it reaches no disk that the definition does not.
TEST_F(ArchivesWithMemory, AMemoryOfOtherDisksIsRefused) {
  const std::string folder = exported_and_gone();
  const std::string honest = memory_definition(folder);
  std::string more = honest;
  more.replace(more.find("</devices>"), 0,
               "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='" +
                   at("images/web01.img") + "'/><target dev='vdc'/></disk>");
  replace_memory_definition(folder, more);
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"EXPORT_DAMAGED"});
  std::string other = honest;
  other.replace(other.find(kUuid), 8, "7f0f6b0e");
  replace_memory_definition(folder, other);
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"EXPORT_DAMAGED"});
  std::string device = honest;
  device.replace(device.find("</devices>"), 0,
                 "<serial type='file'><source path='/etc/passwd'/></serial>");
  replace_memory_definition(folder, device);
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"DEFINITION_REFUSED"});
}

TEST_F(ArchivesWithMemory, AChangedMemoryIsNotImported) {
  const std::string folder = exported_and_gone();
  {
    std::fstream file(folder + "/memory.save", std::ios::in | std::ios::out | std::ios::ate);
    file.seekp(-3, std::ios::end);
    file << "X";
  }
  const Archive failed = run(imported(folder, ImportMode::kRestore));
  EXPECT_EQ(failed.state, ArchiveState::kFailed);
  EXPECT_TRUE(files("saves").empty() && files("restored").empty());
  std::ofstream(folder + "/memory.xml", std::ios::app) << "\n";
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kCorrupt);
}

// The guest stands still from before its memory is written until its disks' picture is taken, and
// goes on whatever becomes of the export.
TEST_F(ArchivesWithMemory, ARunningGuestStandsStillForIt) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  EXPECT_TRUE(has(with_memory(), "EXPORT_RUNNING"));
  bool written = false;
  hypervisor_.at_write_memory = [&](const std::string& path) -> Status {
    EXPECT_EQ(state(), RunState::Kind::kPaused);
    EXPECT_TRUE(path.ends_with("/memory.save")) << path;
    written = true;
    return {};
  };
  pictures_.at_begin = [&](const PictureCall&) -> Status {
    EXPECT_TRUE(written) << "the picture is of a later instant than the memory";
    EXPECT_EQ(state(), RunState::Kind::kPaused);
    return fail(ErrorCode::kHypervisor, "no picture");
  };
  EXPECT_EQ(run(with_memory()).state, ArchiveState::kFailed);
  EXPECT_EQ(state(), RunState::Kind::kRunning);
  EXPECT_TRUE(files("exports").empty());
}

TEST_F(ArchivesWithMemory, ACancelEndsTheStandstill) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  std::string id;
  hypervisor_.at_write_memory = [&](const std::string&) -> Status {
    EXPECT_TRUE(until([&] { return !archivist_->list().empty(); }));
    id = archivist_->list().at(0).id;
    EXPECT_TRUE(archivist_->cancel(id));
    std::this_thread::sleep_for(300ms);
    return fail(ErrorCode::kHypervisor, "operation aborted");
  };
  EXPECT_EQ(run(with_memory()).state, ArchiveState::kCancelled);
  EXPECT_EQ(state(), RunState::Kind::kRunning);
}

TEST_F(ArchivesWithMemory, TheNextDroverdLetsTheGuestGoOn) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  ASSERT_TRUE(hypervisor_.suspend(kUuid));
  ArchiveJob job;
  job.archive.id = "k3f9x2qa";
  job.archive.host = "host1";
  job.archive.request = with_memory();
  job.archive.state = ArchiveState::kRunning;
  job.archive.vm_uuid = kUuid;
  job.archive.vm_name = "web01";
  job.stopped = true;
  take_up(job);
  EXPECT_EQ(wait(job.archive.id).state, ArchiveState::kFailed);
  EXPECT_EQ(state(), RunState::Kind::kRunning);
}

TEST_F(ArchivesWithMemory, APausedGuestIsLeftAlone) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  ASSERT_TRUE(hypervisor_.suspend(kUuid));
  EXPECT_EQ(blockers(with_memory()), std::vector<std::string>{"VM_PAUSED"});
  EXPECT_TRUE(blockers(exported(at("exports/web01"))).empty());
}

}  // namespace
}  // namespace drover::archive
