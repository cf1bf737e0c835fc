// SPDX-License-Identifier: Apache-2.0
// Which peer may call which VM to itself, and what it may ask of moves.
#include "place/peer_side.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "hypervisor/fake/fake.h"
#include "move/job.h"
#include "move/move_test_support.h"
#include "move/peer_messages.h"
#include "place/verbs.h"

namespace drover::place {
namespace {

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";

class NoPeers final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "Nobody answers.");
  }
};

class OtherVerbs final : public net::PeerHandler {
 public:
  Result<std::string> handle(std::string_view, std::string_view verb, std::string_view) override {
    return fmt::format("other {}", verb);
  }
};

class PeerSideTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_folder(folder_ / "records", 0700));
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    for (const char* name : {"host1", "host3"}) {
      Peer peer{name, "10.0.0.1", 1, 2, std::string(63, '0') + name[4], {}, PeerState::kPaired};
      ASSERT_TRUE(book_->put_peer(peer));
    }
    records_.emplace(*gate::RecordFolder::open(folder_ / "records", "test"));
    world_.emplace(move::World{hypervisor_, *journal_, *book_, peers_, *records_, carriage_, slots_,
                               bandwidth_, "host2", "00"});
    destination_.emplace(*world_, [] { return std::vector<Vm>{}; });
    engine_.emplace(*world_, *destination_, [](move::MoveChange, const Move&) {});
    side_.emplace(*world_, *engine_, others_,
                  [] { return Result<Capacity>(fail(ErrorCode::kUnavailable, "No libvirt.")); });
  }
  void TearDown() override {
    side_.reset();
    engine_.reset();
    destination_.reset();
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  // The VM came here by a move from that host.
  void came_from(const std::string& peer, const std::string& id) {
    move::DestinationJob job;
    job.move_id = job.epoch = id;
    job.peer = peer;
    job.plan.vm.uuid = kUuid;
    job.settled = true;
    ASSERT_TRUE(journal_->save(journal::Side::kDestination, id, journal::JobState::kEnded,
                               move::to_json(job)));
  }
  // kPermission, or what is wrong once it is allowed: there is no such VM here.
  ErrorCode bring(const std::string& peer) {
    const auto said =
        side_->handle(peer, verb::kBring, to_json(BringRequest{kUuid, {}, "a", true}));
    return said ? ErrorCode::kInternal : said.error().code;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-place-" + random_name(8));
  fake::FakeHypervisor hypervisor_{fake::FakeOptions{}};
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  NoPeers peers_;
  std::optional<gate::RecordFolder> records_;
  move::ScriptedCarriage carriage_;
  move::Slots slots_;
  move::Bandwidth bandwidth_;
  std::optional<move::World> world_;
  std::optional<move::DestinationSide> destination_;
  std::optional<move::Engine> engine_;
  OtherVerbs others_;
  std::optional<PeerSide> side_;
};

TEST_F(PeerSideTest, AHostCallsHomeOnlyWhatCameFromIt) {
  EXPECT_EQ(bring("host1"), ErrorCode::kPermission);
  came_from("host1", "aaaaaaaa");
  EXPECT_EQ(bring("host1"), ErrorCode::kNotFound) << "it is allowed";
  EXPECT_EQ(bring("host3"), ErrorCode::kPermission);
  // It went away and came back from another host since.
  came_from("host3", "bbbbbbbb");
  EXPECT_EQ(bring("host1"), ErrorCode::kPermission);
  EXPECT_EQ(bring("host3"), ErrorCode::kNotFound);
}

TEST_F(PeerSideTest, AHostThatMayCommandCallsAnyVm) {
  ASSERT_TRUE(book_->set_rights("host1", {true, true, true, false}));
  EXPECT_EQ(bring("host1"), ErrorCode::kNotFound);
  ASSERT_FALSE(
      side_->handle("stranger", verb::kBring, to_json(BringRequest{kUuid, {}, "a", true})));
}

TEST_F(PeerSideTest, AMoveIsShownOnlyToItsDestination) {
  move::SourceJob job;
  job.move.id = "cccccccc";
  job.move.state = MoveState::kDone;
  job.move.destination = "host1";
  ASSERT_TRUE(journal_->save(journal::Side::kSource, "cccccccc", journal::JobState::kEnded,
                             move::to_json(job)));
  const std::string body = move::to_json(move::MoveName{"cccccccc"});
  const auto view = side_->handle("host1", verb::kBrought, body);
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_EQ(move_view_from_json(*view)->state, MoveState::kDone);
  for (const auto asked : {verb::kBrought, verb::kUnbring})
    EXPECT_EQ(side_->handle("host3", asked, body).error().code, ErrorCode::kNotFound) << asked;
  EXPECT_EQ(side_->handle("host1", verb::kUnbring, body).error().code, ErrorCode::kConflict);
}

TEST_F(PeerSideTest, OtherVerbsGoOn) {
  EXPECT_EQ(side_->handle("host1", "preflight", "{}").value(), "other preflight");
  EXPECT_EQ(side_->handle("host1", verb::kCapacity, "{}").error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace drover::place
