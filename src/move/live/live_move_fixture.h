// SPDX-License-Identifier: Apache-2.0
// A move at its switch, seen from the source, with a scripted destination: for tests.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "hypervisor/saved_memory.h"
#include "move/live/live_move.h"
#include "move/world_fixture.h"

namespace drover::move {

inline constexpr const char* kCard =
    "<interface type='hostdev'><mac address='52:54:00:00:00:02'/><teaming type='transient' "
    "persistent='ua-a'/></interface>";

// A VM with one drive, and what is in it. A transient one: it has no next boot.
inline Vm with_drive(const std::string& path) {
  Vm vm;
  vm.persistent = false;
  Disk drive;
  drive.target = "sda";
  drive.device = DiskDevice::kCdrom;
  drive.path = path;
  vm.disks.push_back(drive);
  return vm;
}

// A source whose libvirt has ended its call, with the guest in `kind`.
class SourceHypervisor final : public Hypervisor, public SavedMemory {
 public:
  RunState::Kind kind = RunState::Kind::kPaused;
  bool dropped = false, resumed = false, destroyed = false, undefined = false, autostart = false;
  bool announced = false;
  std::deque<ErrorCode> undefine_fails_with;  // in order, then it works

  bool connected() override { return true; }
  Result<HostFacts> host_facts() override { return HostFacts{}; }
  int silent_lists = 0;  // how many of the next it does not answer
  Result<std::vector<Vm>> list_vms() override {
    if (silent_lists-- > 0) return fail(ErrorCode::kUnavailable, "Nobody is there.");
    return std::vector<Vm>{};
  }
  std::optional<Vm> vm;
  Result<Vm> find_vm(std::string_view) override {
    if (vm) return *vm;
    return fail(ErrorCode::kNotFound, "No VM.");
  }
  std::vector<std::string> changed;  // "sda=/iso/a.iso", "plug 52:54:...", in order
  std::deque<ErrorCode> change_fails_with;
  std::set<std::string> never;            // changes that it refuses for ever
  std::function<void()> on_change_media;  // before
  Status change(std::string what) {
    if (never.contains(what)) return fail(ErrorCode::kHypervisor, "libvirt says no.");
    if (!change_fails_with.empty()) {
      const ErrorCode code = change_fails_with.front();
      change_fails_with.pop_front();
      return fail(code, "libvirt says no.");
    }
    changed.push_back(std::move(what));
    return {};
  }
  Status change_media(std::string_view, std::string_view target, const std::string& path,
                      InDrive when) override {
    if (on_change_media) on_change_media();
    constexpr std::array kWhen{" now", " at next boot", ""};
    return change(fmt::format("{}={}{}", target, path, kWhen.at(static_cast<std::size_t>(when))));
  }
  Status plug(std::string_view, const TeamedDevice& device) override {
    return change("plug " + device.label);
  }
  std::function<void()> on_look;  // before each answer of the next
  std::optional<Error> silent;    // nothing: it answers
  Result<RunState> run_state(std::string_view) override {
    if (on_look) on_look();
    if (silent) return std::unexpected(*silent);
    return RunState{kind, "test"};
  }
  std::deque<std::string> definitions = {"<domain/>"};  // in order, the last one for ever
  std::optional<std::string> next_boot;                 // nothing: as the others
  Result<std::string> definition(std::string_view, DefinitionKind which) override {
    if (which == DefinitionKind::kPersistent && next_boot) return *next_boot;
    const std::string now = definitions.front();
    if (definitions.size() > 1) definitions.pop_front();
    return now;
  }
  Result<CpuComparison> compare_cpu(std::string_view, std::vector<std::string>*) override {
    return CpuComparison::kSame;
  }
  Result<GuestSigns> guest_signs(std::string_view) override {
    GuestSigns signs;
    signs.runs = true;
    return signs;
  }
  Result<std::string> ask_agent(std::string_view, const std::string&,
                                std::chrono::seconds) override {
    return fail(ErrorCode::kHypervisor, "There is no agent.");
  }
  Result<std::vector<std::string>> replug(std::string_view) override {
    return std::vector<std::string>{};
  }
  void subscribe(std::function<void(const VmEvent&)>) override {}
  std::vector<std::string> defined, restored;  // in order
  Status restore_says, define_says;
  std::function<void()> on_define;
  Status define(std::string_view xml) override {
    RETURN_IF_ERROR(define_says);
    if (on_define) on_define();
    defined.emplace_back(xml);
    kind = RunState::Kind::kOff;
    return {};
  }
  Status undefine(std::string_view) override {
    if (!undefine_fails_with.empty()) {
      const ErrorCode code = undefine_fails_with.front();
      undefine_fails_with.pop_front();
      return fail(code, "libvirt says no.");
    }
    undefined = true;
    return {};
  }
  Status set_autostart(std::string_view, bool on) override {
    autostart = on;
    return {};
  }
  Status destroy(std::string_view) override {
    destroyed = true;
    kind = RunState::Kind::kOff;
    return {};
  }
  Status resume(std::string_view) override {
    EXPECT_TRUE(dropped) << "the fence is lifted before the guest is resumed";
    resumed = true;
    kind = RunState::Kind::kRunning;
    return {};
  }
  Status refresh_pool(std::string_view) override { return {}; }
  std::vector<CheckpointText> known;  // checkpoints
  std::function<Status()> knows;      // what know_checkpoints() says
  Result<std::vector<CheckpointText>> checkpoints(std::string_view) override { return known; }
  Status forget_checkpoints(std::string_view) override {
    known.clear();
    return {};
  }
  Status know_checkpoints(std::string_view, std::span<const CheckpointText> texts) override {
    if (knows) RETURN_IF_ERROR(knows());
    known.assign(texts.begin(), texts.end());
    return {};
  }
  Status migrate(const MigrateCall&) override { return {}; }
  Result<JobProgress> job_progress(std::string_view) override { return JobProgress{}; }
  Result<CompletedJob> completed_job(std::string_view) override { return CompletedJob{}; }
  std::size_t aborted = 0;
  Status abort_job(std::string_view) override {
    ++aborted;
    return {};
  }
  Status set_downtime_limit(std::string_view, std::chrono::milliseconds) override { return {}; }
  Status hold_descriptors(std::string_view, std::span<const int>) override { return {}; }
  Status hold_image(std::string_view, int) override { return {}; }
  Status drop_descriptors(std::string_view) override {
    dropped = true;
    return {};
  }
  Status suspend(std::string_view) override { return {}; }
  Status save(std::string_view, std::string_view, Then) override { return {}; }
  Status restore(std::string_view path, std::string_view) override {
    RETURN_IF_ERROR(restore_says);
    restored.emplace_back(path);
    kind = RunState::Kind::kRunning;
    return {};
  }
  std::string saved_folder;  // empty: it keeps no memory
  std::string saved_memory_file(std::string_view name) const override {
    return saved_folder.empty() ? std::string() : fmt::format("{}/{}.save", saved_folder, name);
  }
  Result<std::string> saved_definition(std::string_view) override { return "<domain/>"; }
  Status write_memory(std::string_view, std::string_view) override { return {}; }
  Status define_saved(std::string_view, std::string_view) override { return {}; }
  Status copy_disk(const DiskCopyCall&) override { return {}; }
  Result<DiskCopy> disk_copy(std::string_view, std::string_view) override { return DiskCopy{}; }
  Status end_disk_copy(std::string_view, std::string_view, DiskCopyEnd) override { return {}; }
  std::function<Result<std::string>(const std::string& command)> qemu;  // none: it has nothing
  Result<std::string> ask_qemu(std::string_view, const std::string& command) override {
    announced = announced || command.contains("announce-self");
    if (qemu) return qemu(command);
    if (command.contains("\"query-")) return R"({"return":[]})";
    return fail(ErrorCode::kUnavailable, "It is only a source.");
  }
};

// The destination: answers in order, the last one for ever.
class ScriptedPeer final : public net::PeerTransport {
 public:
  std::deque<Result<std::string>> answers, looks;
  std::deque<Result<std::string>> verifies;  // none: it runs
  std::vector<std::string> verbs;
  std::function<void()> on_undo;
  std::optional<Error> undo, abandon;  // nothing: it is done
  std::string vms = "[]";              // that it has
  std::deque<Result<std::string>> signs;
  std::vector<std::string> signs_asked;  // the bodies
  Result<std::string> call(std::string_view, std::string_view asked, std::string_view body,
                           Deadline) override {
    verbs.emplace_back(asked);
    if (asked == verb::kSigns) signs_asked.emplace_back(body);
    if (asked == verb::kSigns && !signs.empty()) return next(signs);
    if (asked == verb::kUndo && on_undo) on_undo();
    if (asked == verb::kUndo && undo) return std::unexpected(*undo);
    if (asked == verb::kAbandon && abandon) return std::unexpected(*abandon);
    if (asked == verb::kVerify && !verifies.empty()) return next(verifies);
    if (asked == verb::kVerify)
      return to_json(VerifyReply{true, "running", std::chrono::milliseconds(40), {}, {}});
    if (asked == verb::kLook && !looks.empty()) return next(looks);
    if (asked == verb::kVms) return vms;
    if (asked != verb::kAnswer) return "{}";
    return next(answers);
  }

 private:
  static Result<std::string> next(std::deque<Result<std::string>>& scripted) {
    auto first = scripted.front();
    if (scripted.size() > 1) scripted.pop_front();
    return first;
  }
};

class LiveMoveSwitch : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peer_);
    job_.move.id = job_.move.epoch = kMove;
    job_.move.source = "host1";
    job_.move.destination = "host2";
    job_.move.phase = Phase::kSwitch;
    job_.move.plan.vm.uuid = kUuid;
    job_.move.plan.vm.name = "web01";
    job_.move.plan.vm.state = VmState::kRunning;
    job_.move.plan.request.retries = 0;  // each test sees the end of its attempt
    job_.migrate_called = job_.reserved = job_.carriers_started = true;
    job_.autostart = job_.autostart_cleared = true;
    ASSERT_TRUE(records_->create_source({kUuid, kMove}, kMove));
  }
  void TearDown() override { close_world(); }
  void record(gate::SourceState state) { ASSERT_TRUE(records_->set_source({kUuid, kMove}, state)); }
  // libvirt waits at the gate for FINISH's answer. Once told, the gate writes what it was told.
  void gate_awaits_answer(bool in_doubt, gate::SourceState then, RunState::Kind guest_then) {
    record(gate::SourceState::kSwitching);
    hypervisor_.kind = RunState::Kind::kMigratingOut;
    carriage_.state.gate_alive = true;
    carriage_.state.gate = {.finish_forwarded = true, .in_doubt = in_doubt};
    carriage_.state.on_delivery = [this, then, guest_then] {
      record(then);
      hypervisor_.kind = guest_then;
    };
  }
  void answer(Answer answer) { peer_.answers.push_back(to_json(answer)); }
  Move resume() {
    LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
    move.resume(std::stop_token());
    return move.snapshot();
  }

  SourceHypervisor hypervisor_;
  ScriptedPeer peer_;
  SourceJob job_;
};

}  // namespace drover::move
