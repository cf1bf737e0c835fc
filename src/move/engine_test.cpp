// SPDX-License-Identifier: Apache-2.0
#include "move/engine.h"

#include <atomic>
#include <latch>
#include <optional>
#include <thread>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/job.h"
#include "move/peer_messages.h"
#include "move/world_fixture.h"
#include "preflight/preflight.h"

namespace drover::move {
namespace {

class WhileFree : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peers_);
    side_ = std::make_unique<DestinationSide>(*world_, [] { return std::vector<Vm>{}; });
    engine_ = std::make_unique<Engine>(*world_, *side_, [](MoveChange, const Move&) {});
    ASSERT_TRUE(hypervisor_.define(std::string("<domain type='kvm'><name>web01</name><uuid>") +
                                   kUuid +
                                   "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
                                   "machine='pc-q35-7.2'>hvm</type></os><devices/></domain>"));
    vm_ = hypervisor_.find_vm(kUuid).value();
  }
  void TearDown() override {
    engine_.reset();
    side_.reset();
    close_world();
  }
  // Whether it was called, and what while_free() said.
  std::pair<bool, Status> change(const Status& outcome = {}) {
    bool called = false;
    const Status said = engine_->while_free(vm_, [&] {
      called = true;
      return outcome;
    });
    return {called, said};
  }
  SourceJob left_move() const {
    SourceJob job;
    job.move.id = job.move.epoch = "k3f9x2qa";
    job.move.source = "host1";
    job.move.destination = "host2";
    job.move.plan.vm = vm_;
    job.move.started_at = std::chrono::system_clock::now();
    return job;
  }
  // A move of it that waits in the queue, as a droverd before this one has left it.
  void leave_a_move() {
    SourceJob job = left_move();
    job.move.queue.emplace().held = true;
    ASSERT_TRUE(journal_->save(journal::Side::kSource, job.move.id, journal::JobState::kOpen,
                               to_json(job)));
    ASSERT_TRUE(engine_->recover());
  }
  // Likewise, of one that has ended in doubt.
  void leave_a_parked_move(Phase phase = Phase::kVerify, MoveKind kind = MoveKind::kLive) {
    SourceJob job = left_move();
    job.move.state = MoveState::kParked;
    job.move.phase = phase;
    job.move.plan.kind = kind;
    job.move.runner = Runner::kDestination;
    ASSERT_TRUE(journal_->save(journal::Side::kSource, job.move.id, journal::JobState::kEnded,
                               to_json(job)));
    ASSERT_TRUE(engine_->recover());
  }

  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
  std::unique_ptr<DestinationSide> side_;
  std::unique_ptr<Engine> engine_;
  Vm vm_;
};

TEST_F(WhileFree, TheChangeIsMadeAndItsWordGivenBack) {
  const auto [called, said] = change();
  EXPECT_TRUE(called && said);
  const auto failed = change(fail(ErrorCode::kHypervisor, "No."));
  EXPECT_TRUE(failed.first);
  EXPECT_EQ(failed.second.error().code, ErrorCode::kHypervisor);
  EXPECT_TRUE(change().second) << "whatever came before has ended";
}

TEST_F(WhileFree, NothingElseHasTheVmMeanwhile) {
  MoveRequest request;
  request.vm = kUuid;
  request.destination = "host2";
  Vm other = vm_;
  other.uuid.back() = 'c';
  const Status said = engine_->while_free(vm_, [&]() -> Status {
    EXPECT_FALSE(change().first) << "a second change";
    EXPECT_EQ(engine_->plan(request).error().code, ErrorCode::kConflict);
    EXPECT_EQ(engine_->start(request).error().code, ErrorCode::kConflict);
    EXPECT_TRUE(engine_->while_free(other, [] { return Status(); })) << "of another VM";
    return {};
  });
  EXPECT_TRUE(said);
  EXPECT_EQ(engine_->plan(request).error().code, ErrorCode::kNotFound) << "no such host";
}

TEST_F(WhileFree, AVmThatMovesIsNotChanged) {
  leave_a_move();
  const auto [called, said] = change();
  EXPECT_FALSE(called);
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(said.error().message.contains("k3f9x2qa")) << said.error().message;
}

TEST_F(WhileFree, AVmWhoseMoveIsParkedIsNeitherChangedNorMoved) {
  leave_a_parked_move();
  const auto [called, said] = change();
  EXPECT_FALSE(called);
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(said.error().message.contains("drover resolve k3f9x2qa")) << said.error().message;
  MoveRequest request;
  request.vm = kUuid;
  request.destination = "host2";
  EXPECT_EQ(engine_->plan(request).error().code, ErrorCode::kConflict);
  EXPECT_EQ(engine_->start(request).error().code, ErrorCode::kConflict);
  EXPECT_EQ(engine_->check_no_doubt(vm_).error().code, ErrorCode::kConflict);
  Vm other = vm_;
  other.uuid.back() = 'c';
  EXPECT_TRUE(engine_->check_no_doubt(other));
}

TEST_F(WhileFree, AVmThatCameBackSinceIsInNoDoubt) {
  DestinationJob back;
  back.move_id = back.epoch = "b7m2c4de";
  back.peer = "host2";
  back.plan.vm = vm_;
  const auto save = [&] {
    ASSERT_TRUE(journal_->save(journal::Side::kDestination, "host2/b7m2c4de",
                               journal::JobState::kEnded, to_json(back)));
  };
  back.settled = true;
  save();
  leave_a_parked_move();
  EXPECT_FALSE(change().first) << "it came before";
  back.plan.made_at = std::chrono::system_clock::now() + std::chrono::seconds(1);
  back.settled = false;
  save();
  EXPECT_FALSE(change().first) << "it did not arrive";
  back.settled = true;
  save();
  EXPECT_TRUE(change().first);
}

TEST_F(WhileFree, AParkedMoveWithinThisHostLeavesNoDoubtWhichHostRunsTheVm) {
  leave_a_parked_move(Phase::kVerify, MoveKind::kStorage);
  EXPECT_TRUE(change().first);
}

TEST_F(WhileFree, NothingIsLeftToResolveWhenTheDestinationThatHadTheVmWasRemoved) {
  pair_with("host2");
  leave_a_parked_move(Phase::kSettle);
  EXPECT_FALSE(change().first);
  ASSERT_TRUE(book_->remove_peer("host2"));
  EXPECT_TRUE(change().first);
}

TEST_F(WhileFree, AParkedMoveDoesNotGoOnWhileTheVmIsExported) {
  leave_a_parked_move();
  engine_->keep_away([](std::string_view uuid) { return uuid == kUuid ? "e1" : ""; });
  const auto resolved = engine_->resolve("k3f9x2qa", {"host1", true, "alice"});
  ASSERT_FALSE(resolved);
  EXPECT_TRUE(resolved.error().message.contains("e1")) << resolved.error().message;
  EXPECT_EQ(engine_->move("k3f9x2qa")->state, MoveState::kParked);
}

// What stands in its way there may be its own: of a move that began meanwhile.
TEST_F(WhileFree, APlanOfAVmThatIsTakenMeanwhileSaysSo) {
  int looks = 0;
  engine_->keep_away([&](std::string_view) { return ++looks == 1 ? "" : "e1"; });
  MoveRequest request;
  request.vm = kUuid;
  request.destination = "host2";
  const auto plan = engine_->plan(request);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(plan.error().message.contains("e1")) << plan.error().message;
}

TEST_F(WhileFree, AVmThatIsExportedIsNotChanged) {
  engine_->keep_away([](std::string_view uuid) { return uuid == kUuid ? "e1" : ""; });
  EXPECT_FALSE(change().first);
}

constexpr const char* kOtherUuid = "7f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";  // of web02

// A destination that answers for web01 only when it is told to.
class SlowForOne final : public net::PeerTransport {
 public:
  fake::FakeHypervisor hypervisor{{}};
  HostSettings settings;
  std::atomic<bool> slow = false;
  std::latch go{1};
  std::latch other_answered{1};
  Result<std::string> call(std::string_view, std::string_view, std::string_view body,
                           Deadline) override {
    ASSIGN_OR_RETURN(const auto proposal, proposal_from_json(body));
    const bool first = body.contains(kUuid);
    if (slow && first) go.wait();
    ASSIGN_OR_RETURN(const auto report,
                     preflight::check_destination(proposal, hypervisor, settings));
    if (slow && !first) other_answered.count_down();
    return to_json(report);
  }
};

class Asking : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peers_);
    pair_with("host2");
    ASSERT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "on"},
                                        {"outgoing", SettingChange::Op::kSet, "on"}}));
    peers_.settings = book_->settings();
    side_ = std::make_unique<DestinationSide>(*world_, [] { return std::vector<Vm>{}; });
    engine_ = std::make_unique<Engine>(*world_, *side_, [](MoveChange, const Move&) {});
    for (const auto& [name, uuid] : {std::pair{"web01", kUuid}, {"web02", kOtherUuid}}) {
      ASSERT_TRUE(hypervisor_.define(
          fmt::format("<domain type='qemu'><name>{}</name><uuid>{}</uuid><memory "
                      "unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
                      "machine='pc-q35-7.2'>hvm</type></os><devices/></domain>",
                      name, uuid)));
    }
  }
  void TearDown() override {
    engine_.reset();
    side_.reset();
    close_world();
  }
  PlanApproval plan_of(const char* uuid) {
    MoveRequest request;
    request.vm = uuid;
    request.destination = "host2";
    request.measure = false;
    const auto plan = engine_->plan(request);
    EXPECT_TRUE(plan) << plan.error().text();
    if (!plan) return {};
    PlanApproval approval{plan->id, true, {}, "", "alice"};
    for (const Finding& finding : plan->findings) approval.accepted_codes.push_back(finding.code);
    return approval;
  }

  fake::FakeHypervisor hypervisor_{{}};
  SlowForOne peers_;
  std::unique_ptr<DestinationSide> side_;
  std::unique_ptr<Engine> engine_;
};

// They are checked side by side, and the first one's check takes longer.
TEST_F(Asking, TheOneBehindTakesItsPlaceBehind) {
  const PlanApproval first = plan_of(kUuid);
  PlanApproval second = plan_of(kOtherUuid);
  second.after = first.plan_id;
  peers_.slow = true;
  std::optional<Result<Move>> one, other;
  {
    const std::jthread asks([&] { one = engine_->start_planned(first); });
    const std::jthread asks_too([&] { other = engine_->start_planned(second); });
    peers_.other_answered.wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_TRUE(engine_->queue().empty()) << "it stands behind one that has no place yet";
    peers_.go.count_down();
  }
  ASSERT_TRUE(*one) << one->error().text();
  ASSERT_TRUE(*other) << other->error().text();
  const auto queue = engine_->queue();
  ASSERT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue[0].plan.vm.name, "web01");
  EXPECT_EQ(queue[1].plan.vm.name, "web02");
}

TEST_F(Asking, BehindOneThatIsRefusedNobodyWaits) {
  const PlanApproval first = plan_of(kUuid);
  PlanApproval second = plan_of(kOtherUuid);
  ASSERT_TRUE(hypervisor_.undefine(kUuid));
  EXPECT_EQ(engine_->start_planned(first).error().code, ErrorCode::kNotFound);
  second.after = first.plan_id;
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(engine_->start_planned(second));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15));
}

}  // namespace
}  // namespace drover::move
