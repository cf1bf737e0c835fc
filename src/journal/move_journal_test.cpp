// SPDX-License-Identifier: Apache-2.0
#include "journal/move_journal.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"

namespace drover::journal {
namespace {

class MoveJournalTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("drover-journal-" + random_name(8));
    ASSERT_TRUE(make_folder(folder_, 0700));
    reopen();
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  void reopen() {
    database_.reset();
    database_ = *Database::open(folder_ / "drover.db");
    journal_ = *MoveJournal::open(*database_);
  }

  std::filesystem::path folder_;
  std::unique_ptr<Database> database_;
  std::optional<MoveJournal> journal_;
};

TEST_F(MoveJournalTest, KeepsItsInstanceOverRestarts) {
  const std::string instance = journal_->instance();
  EXPECT_EQ(instance.size(), 26u);
  reopen();
  EXPECT_EQ(journal_->instance(), instance);
}

TEST_F(MoveJournalTest, FindsOpenJobsOfOneSideInOrderAfterARestart) {
  ASSERT_TRUE(journal_->save(Side::kSource, "b", JobState::kOpen, "first"));
  ASSERT_TRUE(journal_->save(Side::kSource, "a", JobState::kOpen, "second"));
  ASSERT_TRUE(journal_->save(Side::kDestination, "a", JobState::kOpen, "other side"));
  ASSERT_TRUE(journal_->save(Side::kSource, "c", JobState::kOpen, "third"));
  ASSERT_TRUE(journal_->save(Side::kSource, "c", JobState::kEnded, "third, ended"));
  ASSERT_TRUE(journal_->save(Side::kSource, "b", JobState::kOpen, "first, later"));
  reopen();
  EXPECT_EQ(*journal_->open_jobs(Side::kSource),
            (std::vector<std::string>{"first, later", "second"}));
  EXPECT_EQ(*journal_->newest_jobs(Side::kSource, 2),
            (std::vector<std::string>{"third, ended", "second"}));
  EXPECT_EQ(*journal_->job(Side::kDestination, "a"), "other side");
  EXPECT_EQ(journal_->job(Side::kDestination, "b").error().code, ErrorCode::kNotFound);
}

TEST_F(MoveJournalTest, KeepsAndForgetsQuarantinedDisks) {
  QuarantinedDisk disk;
  disk.move_id = "k3f9x2qa";
  disk.original_path = "/srv/a.qcow2";
  disk.kept_path = "/srv/a.qcow2.drover-k3f9x2qa";
  disk.inode = 7;
  ASSERT_TRUE(journal_->add_quarantined(disk));
  disk.inode = 8;
  ASSERT_TRUE(journal_->add_quarantined(disk));
  reopen();
  ASSERT_EQ(journal_->quarantine()->size(), 1u);
  EXPECT_EQ(journal_->quarantine()->front().inode, 8u);
  ASSERT_TRUE(journal_->remove_quarantined(disk));
  EXPECT_TRUE(journal_->quarantine()->empty());
}

}  // namespace
}  // namespace drover::journal
