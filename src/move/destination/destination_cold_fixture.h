// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its destination: what its mover brings, and the question that takes it
// in. For tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/socket.h>

#include "move/cold/cold_files.h"
#include "move/destination/destination_fixture.h"

namespace drover::move {

class ColdDestination : public DestinationFixture {
 protected:
  void SetUp() override {
    DestinationFixture::SetUp();
    ASSERT_TRUE(make_folder(state_file().parent_path(), 0700));
  }
  std::filesystem::path state_file() {
    return carriage_.state_file({kMove, kMove, "web01", kUuid});
  }

  // Of a VM that is off, without disks: tests add to it.
  static ReserveRequest offline() {
    ReserveRequest request = reservation();
    request.plan.kind = MoveKind::kOffline;
    request.plan.vm.state = VmState::kOff;
    return request;
  }
  void prepare(MoveKind kind) {
    ReserveRequest request = offline();
    request.plan.kind = kind;
    if (kind == MoveKind::kQuick) request.plan.vm.state = VmState::kRunning;
    reserve_and_prepare(request);
  }
  // What a guest that runs at the source is saved as.
  std::string saved_guest() {
    fake::FakeHypervisor source{{}};
    EXPECT_TRUE(source.define(kDefinition) && source.start(kUuid));
    const auto file = folder_ / "saved";
    EXPECT_TRUE(source.save(kUuid, file.string(), Hypervisor::Then::kRuns));
    std::ifstream content(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(content), {}};
  }
  void deliver(const std::string& content) {
    const auto socket = carriage_.state.take_file();
    ASSERT_TRUE(socket) << socket.error().text();
    ASSERT_EQ(::send(socket->get(), content.data(), content.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(content.size()));
    ::shutdown(socket->get(), SHUT_WR);
    char byte = 0;
    ASSERT_EQ(::recv(socket->get(), &byte, 1, 0), 0);
  }
  void deliver_guest() {
    const std::string state = saved_guest();
    head_ = state.substr(0, *state_head_bytes(state));
    std::string begun = head_;
    begun.replace(0, 16, "LibvirtQemudPart");
    deliver(begun);
    deliver(state.substr(head_.size()));
  }
  Result<std::string> ask_to_arrive(MoveKind kind) {
    ArriveRequest request{kMove, {}, head_};
    if (kind == MoveKind::kQuick) request.files = {{"state-head", ""}, {"state", ""}};
    return side_->handle("host1", verb::kArrive, to_json(request));
  }
  Answer arrive(MoveKind kind) {
    const auto text = ask_to_arrive(kind);
    EXPECT_TRUE(text) << text.error().text();
    return text ? *answer_from_json(*text) : Answer{};
  }
  Result<std::string> undo() { return call(verb::kUndo); }
  RunState::Kind state() { return hypervisor_.run_state(kUuid)->kind; }
  gate::Decision decision() { return **records_->decision(kKey); }

  std::string head_;
};

}  // namespace drover::move
