// SPDX-License-Identifier: Apache-2.0
// What is asked of a host, and what its journal keeps of it.
#include "place/evacuator.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "base/random.h"
#include "place/ground_fixture.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

class EvacuatorTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("drover-place-" + random_name(8));
    std::filesystem::create_directories(folder);
    database = *journal::Database::open(folder / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database));
    book_ = *journal::HostBook::open(*database);
    for (int i = 2; i <= 3; ++i) {
      Peer peer;
      peer.name = "host" + std::to_string(i);
      peer.address = "10.0.0." + std::to_string(i);
      peer.api_port = 7430;
      peer.mover_port = 7431;
      peer.public_key = std::string(63, '0') + std::to_string(i);
      ASSERT_TRUE(book_->put_peer(peer));
    }
    start_daemon();
  }
  void TearDown() override {
    evacuator.reset();
    std::filesystem::remove_all(folder);
  }
  void start_daemon() {
    evacuator.reset();
    evacuator.emplace(*journal_, *book_, ground, "host1");
    ASSERT_TRUE(evacuator->recover());
  }
  static EvacuationRequest request(EvacuationKind kind = EvacuationKind::kEvacuate,
                                   std::vector<std::string> to = {}) {
    return {kind, std::move(to), {}, "alice"};
  }
  // Ends what moves until it has ended.
  Evacuation finish() {
    for (int i = 0; i < 3000; ++i) {
      const Evacuation job = evacuator->list().front();
      if (job.state != EvacuationState::kRunning) return job;
      for (const std::string& uuid : ground.under_way()) ground.end(uuid, MoveState::kDone);
      evacuator->look();
      std::this_thread::sleep_for(2ms);
    }
    return {};
  }

  std::filesystem::path folder;
  std::unique_ptr<journal::Database> database;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  TestGround ground{3};
  std::optional<Evacuator> evacuator;
};

TEST_F(EvacuatorTest, APlanChangesNothing) {
  ground.add_vm("a", "host1");
  ground.add_vm("b", "host1");
  ground.refused = {{"b", "host2"}, {"b", "host3"}};
  const auto plan = evacuator->plan(request());
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->state, EvacuationState::kPlanned);
  ASSERT_EQ(plan->vms.size(), 2U);
  EXPECT_EQ(plan->vms[0].name, "vm-a");
  EXPECT_TRUE(plan->vms[0].starts_in);
  EXPECT_EQ(plan->vms[1].state, EvacueeState::kStays);
  EXPECT_EQ(ground.starts, 0U);
  EXPECT_FALSE(evacuator->evacuated());
  EXPECT_TRUE(evacuator->list().empty());
}

TEST_F(EvacuatorTest, BadRequestsAreRefused) {
  const auto code = [&](const EvacuationRequest& asked) {
    const auto plan = evacuator->plan(asked);
    const auto start = evacuator->start(asked);
    EXPECT_FALSE(start);
    return plan ? ErrorCode::kInternal : plan.error().code;
  };
  using enum EvacuationKind;
  EXPECT_EQ(code(request(kEvacuate, {"host1"})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(request(kEvacuate, {"host2", "host9"})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(request(kReturn, {"host2"})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(request(kReturn)), ErrorCode::kNotFound);
  EXPECT_EQ(evacuator->cancel("alice").error().code, ErrorCode::kConflict);
  ASSERT_TRUE(book_->remove_peer("host2"));
  ASSERT_TRUE(book_->remove_peer("host3"));
  EXPECT_EQ(code(request()), ErrorCode::kInvalidArgument) << "no host left";
}

TEST_F(EvacuatorTest, ToTheNamedHostsOnlyAndBackAgain) {
  for (int i = 0; i < 3; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  ASSERT_TRUE(evacuator->start(request(EvacuationKind::kEvacuate, {"host3"})));
  EXPECT_TRUE(evacuator->evacuated());
  EXPECT_EQ(evacuator->start(request()).error().code, ErrorCode::kConflict) << "one at a time";
  EXPECT_EQ(finish().state, EvacuationState::kDone);
  for (const auto& [uuid, vm] : ground.vms) EXPECT_EQ(vm.host, "host3");
  EXPECT_TRUE(evacuator->evacuated());

  start_daemon();
  EXPECT_TRUE(evacuator->evacuated()) << "the journal has it";
  ASSERT_TRUE(evacuator->start(request(EvacuationKind::kReturn)));
  EXPECT_FALSE(evacuator->evacuated());
  const Evacuation back = finish();
  EXPECT_EQ(back.explanation, "3 of 3 VMs are back on host1.");
  for (const auto& [uuid, vm] : ground.vms) EXPECT_EQ(vm.host, "host1");
  EXPECT_EQ(evacuator->plan(request(EvacuationKind::kReturn)).error().code, ErrorCode::kNotFound);
}

TEST_F(EvacuatorTest, GoesOnAfterARestartInTheMiddle) {
  for (int i = 0; i < 6; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  ASSERT_TRUE(evacuator->start(request()));
  for (int i = 0; i < 3000 && ground.under_way().size() < 2; ++i) std::this_thread::sleep_for(2ms);
  start_daemon();
  const Evacuation job = finish();
  EXPECT_EQ(job.explanation, "6 of 6 VMs have left host1.");
  EXPECT_EQ(ground.starts, 6U);
}

TEST_F(EvacuatorTest, ACancelIsKeptThroughARestart) {
  for (int i = 0; i < 6; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  ASSERT_TRUE(evacuator->start(request()));
  for (int i = 0; i < 3000 && ground.under_way().size() < 2; ++i) std::this_thread::sleep_for(2ms);
  ASSERT_TRUE(evacuator->cancel("bob"));
  start_daemon();
  const Evacuation job = finish();
  EXPECT_EQ(job.state, EvacuationState::kCancelled);
  EXPECT_FALSE(evacuator->evacuated());
  EXPECT_EQ(ground.starts, 2U);
}

// At once, before the cancelled run has looked once more.
TEST_F(EvacuatorTest, WhoCancelsOneDoesNotCancelTheNext) {
  for (int i = 0; i < 6; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  ASSERT_TRUE(evacuator->start(request()));
  for (int i = 0; i < 3000 && ground.under_way().size() < 2; ++i) std::this_thread::sleep_for(2ms);
  ASSERT_TRUE(evacuator->cancel("bob"));
  EXPECT_EQ(finish().state, EvacuationState::kCancelled);
  ASSERT_TRUE(evacuator->start(request(EvacuationKind::kReturn)));
  const Evacuation back = finish();
  EXPECT_EQ(back.state, EvacuationState::kDone);
  EXPECT_EQ(back.explanation, "2 of 2 VMs are back on host1.");
}

TEST_F(EvacuatorTest, AnEmptiedHostIsGivenFreeByCancel) {
  ASSERT_TRUE(evacuator->start(request()));
  EXPECT_EQ(finish().explanation, "0 of 0 VMs have left host1.");
  EXPECT_TRUE(evacuator->evacuated());
  ASSERT_TRUE(evacuator->cancel("bob"));
  EXPECT_FALSE(evacuator->evacuated());
  start_daemon();
  EXPECT_FALSE(evacuator->evacuated());
}

}  // namespace
}  // namespace drover::place
