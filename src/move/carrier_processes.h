// SPDX-License-Identifier: Apache-2.0
// The real carriers: a gate and a mover as processes of their own, or a mover and a RoadKeeper. One
// thread per object.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bounded_queue.h"
#include "gate/gate_process.h"
#include "move/carrier_files.h"
#include "move/carriers.h"
#include "move/road_keeper.h"
#include "mover/mover_process.h"

namespace drover::move {

// The events of both processes, in order of arrival. Outlives neither: shared with their handlers.
class EventQueue {
 public:
  void push(CarrierEvent event) {
    (void)queue_.push(std::move(event), 1, Deadline::after(std::chrono::milliseconds(0)));
  }
  std::optional<CarrierEvent> pop(Deadline deadline) { return queue_.pop(deadline); }

 private:
  static constexpr std::size_t kMost = 1024;
  BoundedQueue<CarrierEvent> queue_{kMost, kMost};
};

// What the destination's processes alone are given.
struct DestinationGifts {
  std::vector<UniqueFd> held = {};
  std::vector<UniqueFd> group = {};
  std::vector<UniqueFd> images = {};
  std::shared_ptr<const MemoryFile> memory = {};
  UniqueFd writes = {};
  bool watch_guest = false;
  bool gate = true;
  std::function<Result<UniqueFd>()> take_file = {};
};

class CarrierProcesses final : public Carriers {
 public:
  CarrierProcesses(const CarrierOptions& options, CarrierName name)
      : options_(options), name_(std::move(name)), paths_(carrier_paths(options_, name_)) {}

  Status start(gate::GateRole role, const LinkSecret& secret, std::vector<gate::FencedDisk> fence,
               std::string_view policy, const RoadOptions& road, const DestinationGifts& gifts);
  void attach();

  bool gate_alive() override { return gate_ && !gate_gone_->load(); }
  bool mover_alive() override { return mover_ && !mover_gone_->load(); }
  std::optional<CarrierEvent> next_event(Deadline deadline) override {
    return events_->pop(deadline);
  }

  Result<GateState> gate_state() override;
  Status standstill() override;
  Status deliver_runs(std::int32_t domain_id) override;
  Status deliver_not_run(std::string_view why) override;
  Status add_link(std::uint16_t number, UniqueFd link) override;
  Result<WireCount> wire_count() override;
  Status set_bandwidth(BytesPerSecond bandwidth) override;
  Status hold_memory(bool held) override;
  Status pass_memory(std::chrono::milliseconds span) override;
  Status hold_disks(std::chrono::milliseconds span) override;
  Status cut_road() override;
  Status stop() override;

 private:
  std::unexpected<Error> gate_missing() const {
    return fail(ErrorCode::kUnavailable, "The gate of move {} is gone.", name_.move_id);
  }
  std::unexpected<Error> mover_missing() const {
    return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
  }
  Status start_gate(gate::GateRole role, int rpc, int mover, std::vector<gate::FencedDisk> fence,
                    std::string_view policy, const DestinationGifts& gifts);
  Status start_mover(gate::GateRole role, int rpc, int gate, const LinkSecret& secret,
                     const RoadOptions& road, const DestinationGifts& gifts);

  // The handlers run on the processes' reader threads, also while those are being destroyed: they
  // hold what they use.
  gate::GateProcess::Handlers gate_handlers();
  mover::MoverProcess::EventHandler mover_handler();

  const CarrierOptions options_;
  const CarrierName name_;
  const CarrierPaths paths_;
  std::shared_ptr<EventQueue> events_ = std::make_shared<EventQueue>();
  std::shared_ptr<std::atomic<bool>> gate_gone_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::atomic<bool>> mover_gone_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<gate::GateProcess> gate_;
  std::unique_ptr<mover::MoverProcess> mover_;
  std::unique_ptr<RoadKeeper> keeper_;  // instead of a gate
};

}  // namespace drover::move
