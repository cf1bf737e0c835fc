// SPDX-License-Identifier: Apache-2.0
// host2, to which host1 moves its VM web01: for tests of the destination's side. A restart is a new
// DestinationSide on the same journal and records.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/destination/destination_side.h"
#include "move/world_fixture.h"

namespace drover::move {

inline std::string definition_of(const std::string& uuid, const std::string& name) {
  return "<domain type='kvm'><name>" + name + "</name><uuid>" + uuid +
         "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os></domain>";
}
inline const std::string kDefinition = definition_of(kUuid, "web01");
inline const gate::RecordKey kKey{kUuid, kMove};

// Of web01 while it runs, without disks: tests add to it.
inline ReserveRequest reservation(const std::string& definition = kDefinition) {
  ReserveRequest request;
  request.move = request.epoch = kMove;
  request.plan.vm.uuid = kUuid;
  request.plan.vm.name = "web01";
  request.plan.vm.state = VmState::kRunning;
  request.destination_xml = request.persistent_xml = definition;
  request.link_key = std::string(64, '0');
  return request;
}

class DestinationFixture : public testing::Test, protected WorldFixture {
 protected:
  explicit DestinationFixture(fake::FakeOptions host = {}) : hypervisor_(std::move(host)) {}
  void SetUp() override {
    open_world(hypervisor_, peers_, "host2");
    pair_with("host1");
    ASSERT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "on"}}));
    restart();
  }
  void TearDown() override {
    side_.reset();
    close_world();
  }
  void restart() {
    side_ = std::make_unique<DestinationSide>(
        *world_, [] { return std::vector<Vm>{}; }, KeepResidue::kOff, (folder_ / "swtpm").string());
    side_->reservations_last(lease_);
    ASSERT_TRUE(side_->recover());
  }
  Result<std::string> reserve(const ReserveRequest& request) {
    return side_->handle("host1", verb::kReserve, to_json(request));
  }
  Result<std::string> call(std::string_view verb, std::string_view peer = "host1") {
    return side_->handle(peer, verb, to_json(MoveName{kMove}));
  }
  // A move whose images, records and gate are there, as the journal has it.
  void reserve_and_prepare(const ReserveRequest& request) {
    const auto reserved = reserve(request);
    ASSERT_TRUE(reserved) << reserved.error().text();
    const auto prepared = call(verb::kPrepare);
    ASSERT_TRUE(prepared) << prepared.error().text();
  }
  Answer answer(std::string_view verb = verb::kAnswer) {
    const auto text = call(verb);
    EXPECT_TRUE(text) << text.error().text();
    return text ? *answer_from_json(*text) : Answer{};
  }
  void accept() {
    ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  }
  void guest_runs() {
    ASSERT_TRUE(hypervisor_.define(kDefinition));
    ASSERT_TRUE(hypervisor_.start(kUuid));
  }
  Status settle() {
    RETURN_IF_ERROR(side_->handle("host1", verb::kSettle, to_json(SettleRequest{kMove, false})));
    return {};
  }
  DestinationJob job_in_journal() {
    return *destination_job_from_json(*journal_->job(journal::Side::kDestination, kMove));
  }
  void save(const DestinationJob& job) {
    ASSERT_TRUE(
        journal_->save(journal::Side::kDestination, kMove, journal::JobState::kOpen, to_json(job)));
  }

  std::chrono::milliseconds lease_ = std::chrono::hours(1);  // of reservations
  fake::FakeHypervisor hypervisor_;
  NoPeers peers_;
  std::unique_ptr<DestinationSide> side_;
};

}  // namespace drover::move
