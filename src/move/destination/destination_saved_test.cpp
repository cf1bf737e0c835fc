// SPDX-License-Identifier: Apache-2.0
// The memory of a VM that is off comes with it: it is where the hypervisor looks for it before the
// VM is known here, and nowhere if the VM does not stay.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "hypervisor/disk_image.h"
#include "move/destination/destination_cold_fixture.h"
#include "move/plan/report_check.h"
#include "net/digest.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;

class SavedDestination : public ColdDestination {
 protected:
  void SetUp() override {
    ColdDestination::SetUp();
    fs::create_directories(saves_);
    state_text_ = saved_guest();
    hypervisor_.saved_folder = saves_.string();
  }
  std::string place() const { return (saves_ / "web01.save").string(); }
  std::string arriving() const { return quarantine_path(place(), kMove); }

  ReserveRequest saved(const std::string& definition = kDefinition) const {
    ReserveRequest request = offline();
    request.destination_xml = definition;
    request.plan.vm.saved = true;
    return request;
  }
  void send(const ReserveRequest& request) {
    reserve_and_prepare(request);
    head_ = state_text_.substr(0, *state_head_bytes(state_text_));
    rest_ = state_text_.substr(head_.size());
    deliver(head_);
    deliver(rest_);
  }
  Result<std::string> arrive_with(const std::string& head, const std::string& rest) {
    const ArriveRequest request{
        kMove, {{"saved-head", net::sha256_hex(head)}, {"saved", net::sha256_hex(rest)}}, ""};
    return side_->handle("host1", verb::kArrive, to_json(request));
  }
  Answer arrive() {
    const auto text = arrive_with(head_, rest_);
    EXPECT_TRUE(text) << text.error().text();
    return text ? *answer_from_json(*text) : Answer{};
  }
  bool nothing_left() const { return fs::is_empty(saves_); }
  preflight::DestinationReport preflight() {
    preflight::Proposal proposal;
    proposal.live_xml = proposal.persistent_xml = kDefinition;
    proposal.vm = saved().plan.vm;
    proposal.request.destination = "host2";
    proposal.request.kind = MoveKind::kOffline;
    const auto text = side_->handle("host1", verb::kPreflight, to_json(proposal));
    EXPECT_TRUE(text) << text.error().text();
    EXPECT_TRUE(text && takes_saved_memory(*text));
    return text ? *destination_report_from_json(*text) : preflight::DestinationReport{};
  }
  static bool is_blocked(const preflight::DestinationReport& report) {
    return std::ranges::any_of(report.findings, [](const Finding& finding) {
      return finding.code == "VM_SAVED" && finding.level == FindingLevel::kBlocker;
    });
  }

  const fs::path saves_ = folder_ / "saves";
  std::string state_text_, rest_;
};

TEST_F(SavedDestination, ItGoesOnHereWithTheDefinitionThatWasAllowedHere) {
  std::string here = kDefinition;
  here.replace(here.find("<vcpu>1"), 7, "<vcpu>2");
  send(saved(here));
  EXPECT_TRUE(fs::exists(arriving()));
  EXPECT_FALSE(fs::exists(place())) << "nothing is visible before it is accepted";
  EXPECT_EQ(arrive().kind, Answer::Kind::kRuns);
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_TRUE(hypervisor_.find_vm(kUuid)->saved);
  EXPECT_EQ(*hypervisor_.saved_definition(place()), here);
  EXPECT_FALSE(fs::exists(arriving()));
  EXPECT_TRUE(settle());
  EXPECT_TRUE(fs::exists(place()));
}

TEST_F(SavedDestination, WhatIsNotWhatWasSentIsNotTaken) {
  send(saved());
  EXPECT_EQ(arrive_with(head_, rest_ + "x").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(arrive_with(head_ + "x", rest_).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  ASSERT_TRUE(undo());
  EXPECT_TRUE(nothing_left());
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(SavedDestination, MemoryThatIsNotForThisGuestIsNotTaken) {
  std::string larger = kDefinition;
  larger.replace(larger.find("'MiB'>64"), 8, "'MiB'>96");
  send(saved(larger));
  EXPECT_EQ(arrive_with(head_, rest_).error().code, ErrorCode::kHypervisor);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
}

// droverd ended when `accepted` was recorded: the next one goes on.
TEST_F(SavedDestination, WhatWasAcceptedGoesOnAfterARestart) {
  send(saved());
  accept();
  restart();
  side_->sweep();
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns);
  EXPECT_TRUE(hypervisor_.find_vm(kUuid)->saved);
}

// Somebody has saved another VM of that name in between.
TEST_F(SavedDestination, MemoryThatLiesThereIsNotReplaced) {
  send(saved());
  std::ofstream(place()) << "another's";
  const Answer said = arrive();
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  ASSERT_TRUE(undo());
  EXPECT_EQ(fs::file_size(place()), 9u);
  EXPECT_FALSE(fs::exists(arriving()));
}

TEST_F(SavedDestination, ADefinitionThatIsRefusedLeavesNoMemoryBehind) {
  send(saved());
  ASSERT_TRUE(hypervisor_.define(definition_of("00000000-0000-0000-0000-000000000001", "web01")));
  EXPECT_EQ(arrive().ran, Answer::Ran::kNo);
  EXPECT_FALSE(fs::exists(place())) << "the other VM of that name would go on with it";
  ASSERT_TRUE(undo());
  EXPECT_TRUE(nothing_left());
}

TEST_F(SavedDestination, AMoveThatIsGivenUpLeavesNothing) {
  send(saved());
  restart();
  ASSERT_TRUE(undo());
  EXPECT_TRUE(nothing_left());
}

// Taken back while this host was said to be lost: put aside, and libvirt forgets the VM.
TEST_F(SavedDestination, WhatWasAbandonedIsPutAside) {
  send(saved());
  EXPECT_EQ(arrive().kind, Answer::Kind::kRuns);
  ASSERT_TRUE(call(verb::kAbandon));
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_FALSE(fs::exists(place()));
  EXPECT_TRUE(fs::exists(arriving()));
  const auto kept = *journal_->quarantine();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].original_path, place());
}

TEST_F(SavedDestination, ThePlanKnowsOfMemoryThatLiesThere) {
  EXPECT_FALSE(is_blocked(preflight()));
  std::ofstream(place()) << "another's";
  EXPECT_TRUE(is_blocked(preflight()));
  fs::remove(place());
  hypervisor_.saved_folder.clear();
  EXPECT_TRUE(is_blocked(preflight())) << "a hypervisor that keeps none";
}

}  // namespace
}  // namespace drover::move
