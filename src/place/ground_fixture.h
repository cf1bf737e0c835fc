// SPDX-License-Identifier: Apache-2.0
// A small fleet for tests of evacuations: moves begin at once, and end when the test says so.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "place/ground.h"

namespace drover::place {

class TestGround final : public Ground {
 public:
  struct Host {
    fleet::FleetHost facts;
    bool answers = true;
  };
  struct TestMove {
    std::string vm, source, destination;
    MoveView view;
  };

  std::string here = "host1";
  std::map<std::string, Host> hosts;
  std::map<std::string, Vm> vms;                          // by UUID
  std::map<std::string, TestMove> moves;                  // by id
  std::set<std::pair<std::string, std::string>> refused;  // VM and host: its plan has a blocker
  bool queues = false;                                    // moves wait, instead of beginning
  unsigned starts = 0;

  explicit TestGround(unsigned count) {
    for (unsigned i = 1; i <= count; ++i) {
      fleet::FleetHost host;
      host.name = "host" + std::to_string(i);
      host.memory_total = host.memory_free = gib(64);
      host.cores = 16;
      host.storages = {{"/images", gib(1000)}};
      host.link_in = host.link_out = {125'000'000};
      hosts[host.name] = {host, true};
    }
  }

  void add_vm(const std::string& uuid, const std::string& host, ByteCount memory = gib(1)) {
    Vm vm;
    vm.uuid = uuid;
    vm.name = "vm-" + uuid;
    vm.host = host;
    vm.state = VmState::kRunning;
    vm.memory = memory;
    vm.vcpus = 1;
    vms[uuid] = vm;
  }

  // Ends the newest move of a VM.
  void end(const std::string& uuid, MoveState state, const std::string& why = "") {
    const std::lock_guard lock(mutex_);
    TestMove& move = moves.at(newest_.at(uuid));
    move.view.state = state;
    move.view.queued = false;
    move.view.explanation = why;
    if (state == MoveState::kDone) vms.at(uuid).host = move.destination;
  }
  std::vector<std::string> under_way() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> found;
    for (const auto& [id, move] : moves)
      if (move.view.state == MoveState::kRunning) found.push_back(move.vm);
    return found;
  }

  Picture look() override {
    const std::lock_guard lock(mutex_);
    Picture picture;
    picture.here = here;
    for (const auto& [name, host] : hosts) {
      picture.fleet.hosts.push_back(host.facts);
      picture.fleet.hosts.back().unreachable = !host.answers;
      if (!host.answers) picture.troubles[name] = name + " does not answer.";
    }
    for (const auto& [uuid, vm] : vms) {
      if (!hosts.at(vm.host).answers) continue;
      picture.vms[uuid] = vm;
      fleet::FleetVm one;
      one.id = uuid;
      one.name = vm.name;
      one.host = vm.host;
      one.memory = vm.memory;
      picture.fleet.vms.push_back(one);
    }
    return picture;
  }
  Status check(std::string_view, const MoveRequest& request) override {
    const std::lock_guard lock(mutex_);
    return allowed(request);
  }
  Result<MoveView> start(std::string_view source, const MoveRequest& request) override {
    const std::lock_guard lock(mutex_);
    ++starts;
    RETURN_IF_ERROR(allowed(request));
    if (!hosts.at(request.destination).answers)
      return fail(ErrorCode::kUnavailable, "{} does not answer.", request.destination);
    const std::string id = "move" + std::to_string(moves.size() + 1);
    moves[id] = {request.vm, std::string(source), request.destination,
                 MoveView{id, MoveState::kRunning, queues, request.destination, ""}};
    newest_[request.vm] = id;
    return moves[id].view;
  }
  Result<MoveView> view(std::string_view source, std::string_view move) override {
    const std::lock_guard lock(mutex_);
    const auto found = moves.find(std::string(move));
    if (found == moves.end() || found->second.source != source)
      return fail(ErrorCode::kNotFound, "There is no move {}.", move);
    return found->second.view;
  }
  Status recall(std::string_view, std::string_view move) override {
    const std::lock_guard lock(mutex_);
    MoveView& view = moves.at(std::string(move)).view;
    if (!view.queued) return fail(ErrorCode::kConflict, "It does not wait.");
    view.queued = false;
    view.state = MoveState::kCancelled;
    return {};
  }
  std::string moving(std::string_view vm_uuid) override {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, move] : moves)
      if (move.vm == vm_uuid && move.view.state == MoveState::kRunning) return id;
    return "";
  }

 private:
  Status allowed(const MoveRequest& request) const {
    if (!refused.contains({request.vm, request.destination})) return {};
    return std::unexpected(Error{ErrorCode::kBlocked,
                                 Retry::kNever,
                                 "It cannot move.",
                                 {"HOST_DEVICE: It uses a card. Fix: Detach it. Fix: Or move it "
                                  "off."}});
  }

  std::mutex mutex_;                           // guards what is called from several threads
  std::map<std::string, std::string> newest_;  // by VM
};

}  // namespace drover::place
