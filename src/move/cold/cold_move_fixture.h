// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its source, from its switch on, with a scripted destination: for
// tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "move/cold/cold_files.h"
#include "move/live/live_move_fixture.h"

namespace drover::move {

class ColdMoveSwitch : public LiveMoveSwitch {
 protected:
  void SetUp() override {
    LiveMoveSwitch::SetUp();
    job_.move.plan.kind = MoveKind::kOffline;
    job_.move.plan.vm.state = VmState::kOff;
    job_.undefined = true;
    job_.persistent_xml = "<domain/>";
    hypervisor_.kind = RunState::Kind::kAbsent;
    state_file_ = carriage_.state_file({"k3f9x2qa", "k3f9x2qa", "web01", kUuid});
    std::filesystem::create_directories(state_file_.parent_path());
  }
  void quick() {
    job_.move.plan.kind = MoveKind::kQuick;
    job_.move.plan.vm.state = VmState::kRunning;
    job_.save_called = true;
    std::string head(kStateHeadLeast, '\0');
    head.replace(0, 16, "LibvirtQemudSave");
    head[20] = 4;
    std::ofstream(state_file_, std::ios::binary) << head << "<d/>memory";
  }
  Move resume() {
    const auto move = make_move_work(*world_, job_, [](MoveChange, const Move&) {});
    move->resume(std::stop_token());
    return move->snapshot();
  }
  // What was taken out of its guest for the move.
  void take_out() {
    job_.ejected = {known_file("sda", "/iso/a.iso", {})};
    job_.unplugged = {kCard};
    hypervisor_.vm = with_drive("");
  }
  // A disk of the VM, older than the saved state.
  std::filesystem::path give_disk() {
    const auto image = folder_ / "vda.qcow2";
    std::ofstream(image) << "content";
    std::filesystem::last_write_time(
        image, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    job_.move.plan.placements = {
        {"vda", image.string(), "/srv/vda.qcow2", "qcow2", mib(1), mib(1), {}, false}};
    return image;
  }
  std::size_t asked(std::string_view verb) {
    return static_cast<std::size_t>(std::ranges::count(peer_.verbs, verb));
  }

  std::filesystem::path state_file_;
};

}  // namespace drover::move
