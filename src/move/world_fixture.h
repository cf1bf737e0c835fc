// SPDX-License-Identifier: Apache-2.0
// The World of one host, for tests: journal, book and records in a folder of its own, and carriers
// without processes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "move/move_test_support.h"
#include "move/world.h"

namespace drover::move {

inline constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";  // of web01
inline constexpr const char* kMove = "k3f9x2qa";

// For tests that ask no other host.
class NoPeers final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view host, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "{} does not answer.", host);
  }
};

// What test classes derive from. They bring the hypervisor and the peers, and close the world
// before those end.
class WorldFixture {
 protected:
  WorldFixture() { EXPECT_TRUE(make_folder(folder_ / "records", 0700)); }
  ~WorldFixture() {
    close_world();
    std::filesystem::remove_all(folder_);
  }
  WorldFixture(const WorldFixture&) = delete;
  WorldFixture& operator=(const WorldFixture&) = delete;

  // Once more: on what the folder has, as after a restart of droverd.
  void open_world(Hypervisor& hypervisor, net::PeerTransport& peers,
                  const std::string& host_name = "host1") {
    close_world();
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    records_.emplace(*gate::RecordFolder::open(folder_ / "records", "test"));
    world_.emplace(World{hypervisor, *journal_, *book_, peers, *records_, carriage_, slots_,
                         bandwidth_, host_name, "00"});
  }
  void close_world() {
    world_.reset();
    records_.reset();
    book_.reset();
    journal_.reset();
    database_.reset();
  }
  // Images may be there and nowhere else.
  void allow_only(const std::filesystem::path& folder) {
    using Op = SettingChange::Op;
    EXPECT_TRUE(book_->change_settings({{"allowed-folders", Op::kSet, folder.string()},
                                        {"default-folder", Op::kSet, folder.string()}}));
  }
  // "host2" and the like: the last character tells their keys apart.
  void pair_with(const std::string& name) {
    EXPECT_TRUE(book_->put_peer(
        {name, "10.0.0.1", 1, 2, std::string(63, '0') + name.back(), {}, PeerState::kPaired}));
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-move-" + random_name(8));
  ScriptedCarriage carriage_;
  Slots slots_;
  Bandwidth bandwidth_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  std::optional<gate::RecordFolder> records_;
  std::optional<World> world_;
};

}  // namespace drover::move
