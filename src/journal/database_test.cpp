// SPDX-License-Identifier: Apache-2.0
#include "journal/database.h"

#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"

namespace drover::journal {
namespace {

class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<Database> open() {
    auto database = Database::open(path_);
    EXPECT_TRUE(database) << database.error().text();
    return database ? std::move(*database) : nullptr;
  }
  static std::int64_t count(Database& database) {
    auto statement = database.prepare("SELECT count(*) FROM settings");
    EXPECT_TRUE(statement->step().value());
    return statement->number(0);
  }
  static Status add(Database& database, std::string_view key) {
    auto statement = database.prepare("INSERT INTO settings VALUES (?1, ?2)");
    return statement->bind(1, key).bind(2, "1").run();
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  const std::filesystem::path path_ = folder_ / "drover.db";
};

TEST_F(DatabaseTest, IsPrivateAndKeepsWhatWasCommitted) {
  {
    auto database = open();
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(add(*database, "a"));
    ASSERT_TRUE(transaction->commit());
  }
  EXPECT_EQ(count(*open()), 1);
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(DatabaseTest, RollsBackWhatWasNotCommitted) {
  auto database = open();
  {
    auto transaction = Transaction::begin(*database);
    ASSERT_TRUE(add(*database, "a"));
  }
  EXPECT_EQ(count(*database), 0);
}

TEST_F(DatabaseTest, SecondRowOfOneKeyIsAConflict) {
  auto database = open();
  ASSERT_TRUE(add(*database, "a"));
  EXPECT_EQ(add(*database, "a").error().code, ErrorCode::kConflict);
}

TEST_F(DatabaseTest, RefusesTheFileOfANewerVersion) {
  ASSERT_TRUE(open()->run("PRAGMA user_version=99"));
  const auto again = Database::open(path_);
  EXPECT_EQ(again.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(again.error().message.find("newer Drover"), std::string::npos);
}

TEST_F(DatabaseTest, RefusesWhatIsNoDatabase) {
  std::ofstream(path_) << std::string(5000, 'x');
  EXPECT_EQ(Database::open(path_).error().code, ErrorCode::kCorrupt);
}

TEST_F(DatabaseTest, RefusesADamagedFile) {
  {
    auto database = open();
    for (int i = 0; i < 2000; ++i) ASSERT_TRUE(add(*database, "key" + std::to_string(i)));
  }
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<long>(std::filesystem::file_size(path_));
  ASSERT_GT(size, 40'000);
  file.seekp(size / 2);
  file << std::string(8192, '\x5a');
  file.close();
  EXPECT_EQ(Database::open(path_).error().code, ErrorCode::kCorrupt);
}

TEST_F(DatabaseTest, RefusesALinkInItsPlace) {
  std::filesystem::create_symlink(folder_ / "elsewhere", path_);
  EXPECT_FALSE(Database::open(path_));
}

TEST_F(DatabaseTest, ManyThreadsShareIt) {
  auto database = open();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&database, t] {
      for (int i = 0; i < 25; ++i) {
        auto transaction = Transaction::begin(*database);
        ASSERT_TRUE(transaction);
        ASSERT_TRUE(add(*database, std::to_string(t) + "." + std::to_string(i)));
        ASSERT_TRUE(transaction->commit());
      }
    });
  }
  threads.clear();
  EXPECT_EQ(count(*database), 100);
}

}  // namespace
}  // namespace drover::journal
