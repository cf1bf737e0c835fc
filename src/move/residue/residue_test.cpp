// SPDX-License-Identifier: Apache-2.0
#include "move/residue/residue.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/fake/fake.h"
#include "move/job.h"
#include "move/residue/quarantine.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

class Residue : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_folder(folder_ / "images", 0700));
    ASSERT_TRUE(make_folder(folder_ / "elsewhere", 0700));
    open_world(hypervisor_, peers_);
    allow_only(folder_ / "images");
  }
  void TearDown() override { close_world(); }

  // A VM left by this move for that peer, and one disk of it is kept.
  std::filesystem::path leave(const std::string& move, const std::string& peer,
                              std::chrono::minutes ago, const std::string& uuid = kUuid,
                              const std::string& folder = "images") {
    SourceJob job;
    job.move.id = move;
    job.move.destination = peer;
    job.move.plan.vm.uuid = uuid;
    EXPECT_TRUE(
        journal_->save(journal::Side::kSource, move, journal::JobState::kEnded, to_json(job)));
    const auto original = folder_ / folder / "web01.qcow2";
    const auto kept = quarantine_path(original.string(), move);
    std::ofstream(kept) << move;
    const auto identity = file_identity(kept);
    EXPECT_TRUE(identity);
    QuarantinedDisk disk;
    disk.move_id = move;
    disk.vm_uuid = uuid;
    disk.vm_name = "web01";
    disk.original_path = original.string();
    disk.kept_path = kept;
    set_identity(disk, *identity);
    disk.allocated = mib(469);
    disk.since = std::chrono::system_clock::now() - ago;
    EXPECT_TRUE(journal_->add_quarantined(disk));
    return kept;
  }
  std::vector<std::string> opened(const std::string& peer = "host2") {
    std::vector<std::string> contents;
    for (const UniqueFd& file : open_residue(*world_, kUuid, peer)) {
      char text[16] = {};
      EXPECT_GT(::pread(file.get(), text, sizeof text - 1, 0), 0);
      EXPECT_LT(::write(file.get(), text, 1), 0) << "it can be written";
      contents.emplace_back(text);
    }
    return contents;
  }
  // What an undone move from host2 has made here; job_ is its job.
  KnownFile unfinished(const std::string& move, int size_mib, const std::string& target = "vda") {
    job_ = {};
    job_.move_id = move;
    job_.peer = "host2";
    job_.plan.vm.uuid = kUuid;
    job_.plan.vm.name = "web01";
    EXPECT_TRUE(journal_->save(journal::Side::kDestination, move, journal::JobState::kEnded,
                               to_json(job_)));
    const auto path = folder_ / "images" / (move + ".qcow2");
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(::posix_fallocate(fd.get(), 0, off_t{size_mib} << 20), 0);
    const auto identity = file_identity(path.string());
    EXPECT_TRUE(identity);
    return known_file(target, path.string(), *identity);
  }
  bool fail_move(const std::string& move, int size_mib, const std::string& target = "vda") {
    const KnownFile file = unfinished(move, size_mib, target);
    return keep_unfinished(*world_, job_, file, identity_of(file));
  }
  using Contents = std::vector<std::string>;

  DestinationJob job_;
  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
};

TEST_F(Residue, IsTheNewestOfThisVmFromThisVeryPeer) {
  leave("oldest01", "host2", 90min);
  leave("old00001", "host2", 60min);
  leave("new00001", "host2", 5min);
  leave("other001", "host3", 1min);
  leave("another1", "host2", 1min, "11111111-7d0a-4c0e-9d0c-0123456789ab");
  EXPECT_EQ(opened("host2"), (Contents{"new00001", "old00001"}));
  EXPECT_EQ(opened("host3"), Contents{"other001"});
  EXPECT_EQ(opened("host4"), Contents{});
  EXPECT_EQ(opened(""), Contents{});
}

TEST_F(Residue, WithoutAJournalOfItsMoveIsNobodys) {
  const auto kept = leave("new00001", "host2", 5min);
  ASSERT_TRUE(database_->prepare("DELETE FROM jobs")->run());
  EXPECT_EQ(opened(), Contents{});
}

TEST_F(Residue, IsOnlyTheFileThatTheJournalKnows) {
  const auto kept = leave("new00001", "host2", 5min);
  std::filesystem::rename(kept, folder_ / "aside");
  EXPECT_EQ(opened(), Contents{}) << "gone";
  std::ofstream(kept) << "secret";
  EXPECT_EQ(opened(), Contents{}) << "another file";
  std::filesystem::remove(kept);
  std::filesystem::create_symlink(folder_ / "aside", kept);
  EXPECT_EQ(opened(), Contents{}) << "a link to the right file";
  std::filesystem::remove(kept);
  ASSERT_EQ(::mkfifo(kept.c_str(), 0600), 0);
  EXPECT_EQ(opened(), Contents{}) << "nothing that a move waits for";
  std::filesystem::remove(kept);
  std::filesystem::rename(folder_ / "aside", kept);
  EXPECT_EQ(opened(), Contents{"new00001"});
}

TEST_F(Residue, OutsideTheAllowedFoldersIsLeftAlone) {
  leave("new00001", "host2", 5min, kUuid, "elsewhere");
  EXPECT_EQ(opened(), Contents{});
}

TEST_F(Residue, OfAFailedMoveIsKeptOnlyIfItIsWorthIt) {
  EXPECT_FALSE(fail_move("fail0002", 63)) << "too little";
  EXPECT_FALSE(fail_move("fail0003", 64, "nvram"));
  EXPECT_TRUE(journal_->quarantine()->empty());
  EXPECT_TRUE(fail_move("fail0004", 64));
  const auto kept = *journal_->quarantine();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(kept[0].kept_path));
  EXPECT_FALSE(std::filesystem::exists(kept[0].original_path));
  EXPECT_TRUE(kept[0].until);
  EXPECT_EQ(open_residue(*world_, kUuid, "host2").size(), 1u);
  EXPECT_TRUE(open_residue(*world_, kUuid, "host3").empty());
  const auto note = residue_note(*world_, kUuid, "host2");
  ASSERT_TRUE(note);
  EXPECT_TRUE(note->what.contains("an unfinished copy of web01's disks")) << note->what;
}

TEST_F(Residue, AnUndoThatIsRepeatedKeepsWhatItKept) {
  const auto file = unfinished("fail0001", 64);
  ASSERT_TRUE(keep_unfinished(*world_, job_, file, {file.device, file.inode}));
  EXPECT_TRUE(keep_unfinished(*world_, job_, file, {file.device, file.inode}));
  EXPECT_EQ(journal_->quarantine()->size(), 1u);
  // Dropped in between: nothing is left to do.
  ASSERT_TRUE(drop_quarantine(*world_, "fail0001"));
  EXPECT_FALSE(keep_unfinished(*world_, job_, file, {file.device, file.inode}));
  EXPECT_TRUE(journal_->quarantine()->empty());
}

TEST_F(Residue, ThatCannotBeKeptIsTheCallersToDelete) {
  const auto file = unfinished("fail0001", 64);
  std::ofstream(quarantine_path(file.path, "fail0001")) << "in the way";
  EXPECT_FALSE(keep_unfinished(*world_, job_, file, {file.device, file.inode}));
  EXPECT_TRUE(std::filesystem::exists(file.path));
  EXPECT_TRUE(std::filesystem::exists(quarantine_path(file.path, "fail0001"))) << "not ours";
  EXPECT_TRUE(journal_->quarantine()->empty());
}

TEST_F(Residue, AnUnfinishedCopyIsNoDiskToRestore) {
  ASSERT_TRUE(fail_move("fail0001", 64));
  const Status restored = restore_quarantine(*world_, "fail0001");
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(drop_quarantine(*world_, "fail0001"));
}

TEST_F(Residue, IsToldInThePlan) {
  EXPECT_FALSE(residue_note(*world_, kUuid, "host2"));
  leave("new00001", "host2", 5min);
  const auto note = residue_note(*world_, kUuid, "host2");
  ASSERT_TRUE(note);
  EXPECT_EQ(note->code, "RESIDUE_USED");
  EXPECT_EQ(note->level, FindingLevel::kNote);
  EXPECT_EQ(note->what, "host1 still has web01's disks of 5 minutes ago (469 MiB).");
  EXPECT_FALSE(residue_note(*world_, kUuid, "host3"));
}

}  // namespace
}  // namespace drover::move
