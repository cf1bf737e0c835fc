// SPDX-License-Identifier: Apache-2.0
// host1, from which web01 moves with files that are sent as they are, and the far end of their
// road: for tests of the source's side. Live, it ends at `prepare`, once the files have come.
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "hypervisor/program.h"
#include "move/live/live_move_fixture.h"
#include "net/dial.h"
#include "net/unix_socket.h"

namespace drover::move {

// Takes streams as a mover does, one after the other, and counts what it took as written there.
class FarEnd {
 public:
  explicit FarEnd(const std::filesystem::path& socket)
      : door_(std::move(*net::listen_unix(socket, net::SocketKind::kStream, 0600))),
        thread_([this](const std::stop_token& stop) { take_all(stop); }) {}

  // While it is closed it takes nothing.
  void open(bool on) {
    const std::lock_guard lock(mutex_);
    open_ = on;
    changed_.notify_all();
  }
  // Of the next stream it takes one piece only, and its end is gone.
  void break_off() {
    const std::lock_guard lock(mutex_);
    breaks_off_ = true;
  }
  std::vector<std::string> streams() const {
    const std::lock_guard lock(mutex_);
    return streams_;
  }
  WireCount wire() const {
    const std::lock_guard lock(mutex_);
    WireCount wire;
    for (const std::string& stream : streams_) wire.memory_taken += ByteCount{stream.size()};
    wire.memory_applied = wire.memory_taken;
    wire.up = {1};
    return wire;
  }

 private:
  void take_all(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto stream = net::accept_one(door_.get(), Deadline::after(kLook));
      if (stream) take(stop, stream->get());
    }
  }
  void take(const std::stop_token& stop, int stream) {
    {
      const std::lock_guard lock(mutex_);
      streams_.emplace_back();
    }
    while (!stop.stop_requested()) {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, stop, kLook, [this] { return open_; })) continue;
      lock.unlock();
      if (!net::wait_for(stream, POLLIN, Deadline::after(kLook))) continue;
      char bytes[4096];
      const ssize_t n = ::recv(stream, bytes, sizeof bytes, 0);
      lock.lock();
      if (n > 0) streams_.back().append(bytes, static_cast<std::size_t>(n));
      if (n <= 0 || breaks_off_) break;
    }
    ::shutdown(stream, SHUT_RDWR);
  }

  static constexpr auto kLook = std::chrono::milliseconds(20);
  const UniqueFd door_;
  mutable std::mutex mutex_;  // guards the next three
  std::vector<std::string> streams_;
  bool open_ = true, breaks_off_ = false;
  std::condition_variable_any changed_;
  std::jthread thread_;  // last: it uses what stands above
};

struct RoadState {
  std::vector<std::string> told;                  // to the mover
  std::function<Status(bool held)> on_hold = {};  // of memory
  std::function<WireCount()> on_wire = {};
  std::deque<CarrierEvent> events = {};
};

// A mover without a process, on a road without gates.
class RoadCarriers final : public Carriers {
 public:
  explicit RoadCarriers(RoadState& state) : state_(state) {}
  bool gate_alive() override { return false; }
  bool mover_alive() override { return true; }
  std::optional<CarrierEvent> next_event(Deadline) override {
    if (state_.events.empty()) return {};
    CarrierEvent first = std::move(state_.events.front());
    state_.events.pop_front();
    return first;
  }
  Result<GateState> gate_state() override { return fail(ErrorCode::kUnavailable, "gone"); }
  Status standstill() override { return {}; }
  Status deliver_runs(std::int32_t) override { return {}; }
  Status deliver_not_run(std::string_view) override { return {}; }
  Status add_link(std::uint16_t, UniqueFd) override { return {}; }
  Result<WireCount> wire_count() override { return state_.on_wire(); }
  Status set_bandwidth(BytesPerSecond) override { return {}; }
  Status hold_memory(bool held) override {
    state_.told.emplace_back(held ? "hold memory" : "memory goes on");
    return state_.on_hold ? state_.on_hold(held) : Status();
  }
  Status pass_memory(std::chrono::milliseconds) override { return {}; }
  Status hold_disks(std::chrono::milliseconds) override { return {}; }
  Status cut_road() override { return {}; }
  Status stop() override { return {}; }

 private:
  RoadState& state_;
};

// Its files lie beneath `folder`.
class RoadCarriage final : public Carriage {
 public:
  explicit RoadCarriage(std::filesystem::path folder) : folder_(std::move(folder)) {}
  RoadState state;
  Result<std::unique_ptr<Carriers>> start_source(const CarrierName&, const LinkSecret&,
                                                 std::vector<gate::FencedDisk>,
                                                 const RoadOptions&) override {
    return std::make_unique<RoadCarriers>(state);
  }
  Result<std::unique_ptr<Carriers>> start_destination(const CarrierName&, const LinkSecret&,
                                                      std::string_view, DestinationFiles) override {
    return fail(ErrorCode::kInternal, "It is a source.");
  }
  std::unique_ptr<Carriers> attach(const CarrierName&) override {
    return std::make_unique<RoadCarriers>(state);
  }
  CarrierPaths paths(const CarrierName&) const override {
    CarrierPaths paths;
    paths.memory = folder_ / "memory";
    return paths;
  }
  Result<UniqueFd> written(const CarrierName&) override {
    return fail(ErrorCode::kSystem, "no record");
  }
  std::filesystem::path state_file(const CarrierName&) const override { return folder_ / "state"; }
  Result<UniqueFd> scratch_file() override { return fail(ErrorCode::kSystem, "There is no room."); }
  void remove_files(const CarrierName&) override {}

 private:
  const std::filesystem::path folder_;
};

// host2, by verb; to what it was not told an answer for it says "{}".
class FarHost final : public net::PeerTransport {
 public:
  using Answers = std::function<Result<std::string>(std::string_view body)>;
  void says(std::string_view verb, Answers answers) {
    const std::lock_guard lock(mutex_);
    answers_[std::string(verb)] = std::move(answers);
  }
  // The bodies of this verb, in order.
  std::vector<std::string> asked(std::string_view verb) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> bodies;
    for (const auto& [asked, body] : asked_) {
      if (asked == verb) bodies.push_back(body);
    }
    return bodies;
  }
  Result<std::string> call(std::string_view, std::string_view verb, std::string_view body,
                           Deadline) override {
    Answers answers;
    {
      const std::lock_guard lock(mutex_);
      asked_.emplace_back(verb, body);
      if (const auto known = answers_.find(verb); known != answers_.end()) answers = known->second;
    }
    return answers ? answers(body) : Result<std::string>("{}");
  }

 private:
  mutable std::mutex mutex_;  // guards both
  std::map<std::string, Answers, std::less<>> answers_;
  std::vector<std::pair<std::string, std::string>> asked_;
};

class SourceRoad : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    open_world(hypervisor_, peer_);
    world_.emplace(World{hypervisor_, *journal_, *book_, peer_, *records_, road_, slots_,
                         bandwidth_, "host1", "00"});
    const auto port = net::local_address(links_.get())->port;
    ASSERT_TRUE(book_->put_peer(
        {"host2", "127.0.0.1", 1, port, std::string(63, '0') + "2", {}, PeerState::kPaired}));
    far_end_.emplace(road_.paths({}).memory);
    road_.state.on_wire = [this] { return far_end_->wire(); };
    peer_.says(verb::kPrepare, [](std::string_view) -> Result<std::string> {
      return fail(ErrorCode::kConflict, "So far, and no further.");
    });
    make_job();
  }
  void TearDown() override {
    work_.reset();
    far_end_.reset();
    close_world();
  }

  std::string here(const char* name) const { return (folder_ / name).string(); }
  std::string write(const char* name, const std::string& content) {
    std::ofstream(here(name), std::ios::binary) << content;
    return content;
  }
  // Off, and to be taken by host2. vda is a qcow2 that stands on base.
  void make_offline() {
    job_.move.plan.kind = MoveKind::kOffline;
    job_.move.plan.vm.state = VmState::kOff;
    hypervisor_.kind = RunState::Kind::kOff;
    hypervisor_.on_look = [this] {
      if (hypervisor_.undefined) hypervisor_.kind = RunState::Kind::kAbsent;
    };
    std::filesystem::remove(here("top"));
    ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F",
                                           "raw", "-b", here("base"), here("top"), "8M"}}));
    peer_.says(verb::kPrepare, [](std::string_view) { return "{}"; });
    peer_.says(verb::kArrive, [](std::string_view) {
      return to_json(Answer{Answer::Kind::kRuns, Answer::Ran::kYes, 0, "it is on host2"});
    });
    peer_.says(verb::kVerify, [](std::string_view) {
      return to_json(VerifyReply{true, "shut off", std::chrono::milliseconds(0), {}, {}});
    });
  }
  Move run() {
    work_ = make_move_work(*world_, job_, [this](MoveChange, const Move& move) {
      if (on_change) on_change(move);
    });
    work_->run(std::stop_token());
    return work_->snapshot();
  }
  static std::string why(const Move& move) { return move.error ? move.error->text() : ""; }

  SourceHypervisor hypervisor_;
  FarHost peer_;
  RoadCarriage road_{folder_};
  std::optional<FarEnd> far_end_;
  SourceJob job_;
  std::unique_ptr<MoveWork> work_;
  std::function<void(const Move&)> on_change;

 private:
  void make_job() {
    write("top", "top");
    write("base", std::string(100'000, 'b'));
    job_.move.id = job_.move.epoch = kMove;
    job_.move.source = "host1";
    job_.move.destination = "host2";
    job_.persistent_xml = job_.destination_xml = job_.destination_persistent_xml = "<domain/>";
    Plan& plan = job_.move.plan;
    plan.made_at = std::chrono::system_clock::now();
    plan.vm.uuid = kUuid;
    plan.vm.name = "web01";
    plan.vm.state = VmState::kRunning;
    plan.request.retries = 0;
    plan.request.verification = Verification::kNone;
    plan.placements = {{"vda", here("top"), "/srv/top", "qcow2", mib(8), mib(1), kib(64), false}};
    plan.files = {{"vda", here("base"), "/srv/base", "raw", mib(8), mib(1), {}}};
  }

  const UniqueFd links_ = std::move(*net::listen_tcp({"127.0.0.1", 0}));
};

}  // namespace drover::move
