// SPDX-License-Identifier: Apache-2.0
// Carriers without processes, and a disk that takes no more, for tests of both sides of a move.
#pragma once

#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>

#include "base/random.h"
#include "move/carriers.h"

namespace drover::move {

struct CarriageState {
  bool gate_alive = false, mover_alive = false;
  GateState gate;
  std::vector<std::string> told;     // what was delivered to the gate
  std::vector<std::uint16_t> links;  // numbers of those that the mover got
  std::function<void()> on_delivery, on_cut, on_stop;
  std::function<void(BytesPerSecond)> on_bandwidth;
  Status stops;                // what stop() says
  std::size_t held_files = 0;  // that the destination's mover was given, as the next
  std::size_t group_files = 0;
  std::function<Result<UniqueFd>()> take_file;  // of a move without gates
};

// As if every disk of this process were full, while it lives: a write beyond fails with EFBIG.
class NoFileGrowsBeyond {
 public:
  explicit NoFileGrowsBeyond(ByteCount most) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{most.bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~NoFileGrowsBeyond() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  NoFileGrowsBeyond(const NoFileGrowsBeyond&) = delete;
  NoFileGrowsBeyond& operator=(const NoFileGrowsBeyond&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int);
};

class ScriptedCarriers final : public Carriers {
 public:
  explicit ScriptedCarriers(CarriageState& state) : state_(state) {}
  bool gate_alive() override { return state_.gate_alive; }
  bool mover_alive() override { return state_.mover_alive; }
  std::optional<CarrierEvent> next_event(Deadline) override { return {}; }
  Result<GateState> gate_state() override {
    if (!state_.gate_alive) return fail(ErrorCode::kUnavailable, "gone");
    return state_.gate;
  }
  Status standstill() override {
    state_.told.emplace_back("standstill");
    return {};
  }
  Status deliver_runs(std::int32_t) override { return deliver("runs"); }
  Status deliver_not_run(std::string_view) override { return deliver("not_run"); }
  Status add_link(std::uint16_t number, UniqueFd) override {
    state_.links.push_back(number);
    return {};
  }
  Result<WireCount> wire_count() override { return WireCount{}; }
  Status set_bandwidth(BytesPerSecond most) override {
    if (state_.on_bandwidth) state_.on_bandwidth(most);
    return {};
  }
  Status hold_memory(bool held) override {
    state_.told.emplace_back(held ? "hold memory" : "memory goes on");
    return {};
  }
  Status pass_memory(std::chrono::milliseconds span) override {
    state_.told.push_back(fmt::format("memory goes on for {} h",
                                      std::chrono::round<std::chrono::hours>(span).count()));
    return {};
  }
  Status hold_disks(std::chrono::milliseconds span) override {
    state_.told.emplace_back(span.count() > 0 ? "hold disks" : "disks go on");
    return {};
  }
  Status cut_road() override {
    state_.told.emplace_back("cut road");
    if (state_.on_cut) state_.on_cut();
    return {};
  }
  Status stop() override {
    if (state_.on_stop) state_.on_stop();
    return state_.stops;
  }

 private:
  Status deliver(const char* what) {
    state_.told.emplace_back(what);
    state_.gate.in_doubt = false;
    if (state_.on_delivery) state_.on_delivery();
    return {};
  }
  CarriageState& state_;
};

class ScriptedCarriage final : public Carriage {
 public:
  CarriageState state;
  Result<std::unique_ptr<Carriers>> start_source(const CarrierName&, const LinkSecret&,
                                                 std::vector<gate::FencedDisk>,
                                                 const RoadOptions&) override {
    return std::make_unique<ScriptedCarriers>(state);
  }
  Result<std::unique_ptr<Carriers>> start_destination(const CarrierName&, const LinkSecret&,
                                                      std::string_view,
                                                      DestinationFiles files) override {
    state.held_files = files.held.size();
    state.group_files = files.group.size();
    state.take_file = std::move(files.take_file);
    return std::make_unique<ScriptedCarriers>(state);
  }
  std::unique_ptr<Carriers> attach(const CarrierName&) override {
    return std::make_unique<ScriptedCarriers>(state);
  }
  CarrierPaths paths(const CarrierName& name) const override {
    CarrierPaths paths;
    paths.mover_control = folder_ / name.move_id / "mover.sock";
    return paths;
  }
  // The writes that a mover would have put down: a path, set by the test.
  std::string written_path;
  Result<UniqueFd> written(const CarrierName&) override {
    UniqueFd file(::open(written_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno("no record");
    return file;
  }
  std::filesystem::path state_file(const CarrierName& name) const override {
    return folder_ / (name.move_id + ".state");
  }
  Result<UniqueFd> scratch_file() override {
    return UniqueFd(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  }
  void remove_files(const CarrierName& name) override {
    std::filesystem::remove_all(folder_ / name.move_id);
  }
  ~ScriptedCarriage() override { std::filesystem::remove_all(folder_); }

 private:
  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-carriage-" + random_name(8));
};

}  // namespace drover::move
