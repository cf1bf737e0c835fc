// SPDX-License-Identifier: Apache-2.0
// What the disks of a live move stand on and the destination does not have. It goes ahead, on a
// road of its own that has no gate, as whole files that nobody writes: the destination's hypervisor
// opens it as soon as it is asked to take the VM in.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fcntl.h>

#include "base/log.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_layers.h"
#include "move/cold/write_failure.h"
#include "move/file_sender.h"
#include "move/live/live_move.h"
#include "move/regular_file.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPeerCallLimit = 30s;  // empty files are made
constexpr auto kEventInterval = 20ms;
constexpr auto kShowInterval = 250ms;
constexpr auto kAckLimit = 60s;
constexpr auto kLookLimit = 3s;

}  // namespace

StepResult LiveMove::bring_layers() {
  const auto layers = missing_layers(job_.move.plan);
  wire_ = brought_ = {};
  hold_is_stuck_.reset();
  if (layers.empty()) return {};
  // The destination takes no image that names another file.
  if (auto named = check_layer_names(job_.move.plan, AtSide::kSource); !named)
    return undo_because(named.error());
  if (const auto reply =
          world_.peers.call(job_.move.destination, verb::kLayers,
                            to_json(MoveName{job_.move.epoch}), Deadline::after(kPeerCallLimit));
      !reply) {
    return undo_because(
        wrap(reply.error(), fmt::format("{} could not prepare for what the disks of {} stand on.",
                                        job_.move.destination, job_.move.plan.vm.name)));
  }
  job_.files.clear();
  job_.carriers_started = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  keep_bandwidth();
  RoadOptions road = road_options();
  road.gate = false;
  auto carriers = world_.carriage.start_source(carrier_name(), secret_, {}, road);
  if (!carriers) return undo_because(carriers.error());
  carriers_ = std::move(*carriers);
  if (auto linked = first_link(); !linked) return undo_because(linked.error());
  brings_layers_ = true;
  auto sent = send_layers(layers);
  brings_layers_ = false;
  forget_room();
  if (!sent) return sent;
  wire_ = carriers_->wire_count().value_or(wire_);
  brought_ = std::exchange(wire_, {});
  if (auto stopped = carriers_->stop(); !stopped) return undo_because(stopped.error());
  carriers_.reset();
  keeper_.reset();
  // Nothing of a disk has gone out yet (retry.h).
  change([](Move& move) { move.progress.disks = {}; });
  return {};
}

StepResult LiveMove::send_layers(const std::vector<ColdFile>& layers) {
  std::map<std::string, std::string> digests;  // by path there
  for (const ColdFile& layer : layers) {
    if (auto sent = send_layer(layer, digests[layer.destination_path]); !sent) return sent;
  }
  for (const auto& [path, digest] : digests) {
    if (auto same = compare_file(path, digest); !same) return same;
  }
  return {};
}

// To its end at the other side.
StepResult LiveMove::send_layer(const ColdFile& layer, std::string& digest) {
  auto file = open_regular(layer.source_path, O_RDONLY);
  if (!file) return undo_because(file.error());
  const std::uint64_t before = wire_.memory_taken.bytes;
  FileSender sender(std::move(*file), {0, {}, true}, world_.carriage.paths(carrier_name()).memory);
  sender.finish();  // nobody writes it
  Deadline next_show = Deadline::after(0ms);
  while (!sender.ended()) {
    if (auto goes_on = look_after_layers(layer); !goes_on) return goes_on;
    if (!next_show.expired()) continue;
    next_show = Deadline::after(kShowInterval);
    show_brought();
  }
  if (const auto sent = sender.result(); !sent) return layer_is_lost(layer, sent.error());
  const std::uint64_t taken = before + sender.sent();
  for (const Deadline limit = Deadline::after(kAckLimit);;) {
    wire_ = carriers_->wire_count().value_or(wire_);
    if (wire_.memory_applied.bytes == taken) break;
    if (limit.expired()) {
      return layer_is_lost(
          layer, fail(ErrorCode::kTimeout, "Not all of it has come there in time.").error());
    }
    if (auto goes_on = look_after_layers(layer); !goes_on) return goes_on;
  }
  digest = sender.sha256();
  return {};
}

// Links kept up, room watched, a cancel looked for; takes a moment.
StepResult LiveMove::look_after_layers(const ColdFile& layer) {
  if (auto interruption = interrupted(); !interruption) return interruption;
  while (const auto event = carriers_->next_event(Deadline::after(kEventInterval))) {
    if (event->kind == CarrierEvent::Kind::kGaveUp)
      return layer_is_lost(layer, {ErrorCode::kTimeout, Retry::kLater, event->text, {}});
    if (event->kind == CarrierEvent::Kind::kMoverGone) {
      return layer_is_lost(
          layer, fail(ErrorCode::kInternal, "The mover on {} ended unexpectedly.", job_.move.source)
                     .error());
    }
  }
  keep_links();
  if (auto none = keep_room(RoomWait::kPossible)) return undo_because(std::move(*none));
  if (hold_is_stuck_) return layer_is_lost(layer, *hold_is_stuck_);
  return {};
}

// The first thing that went wrong on the road says more than what followed from it; and what it
// cannot write is told by the destination alone.
StepResult LiveMove::layer_is_lost(const ColdFile& layer, const Error& seen_here) {
  const auto answer = ask_destination(verb::kLook, kLookLimit);
  if (answer && answer->failed) {
    return undo_because(write_error(unwritten_file(layer, job_.move.plan.vm.name),
                                    job_.move.destination, *answer->failed));
  }
  if (road_error_) return undo_because(*road_error_);
  const bool late = seen_here.code == ErrorCode::kTimeout;
  return undo_because(
      wrap({late ? ErrorCode::kTimeout : ErrorCode::kInternal, Retry::kLater, seen_here.text(), {}},
           fmt::format("{}, on which a disk of {} stands, could not be sent.", layer.source_path,
                       job_.move.plan.vm.name)));
}

// What goes ahead goes as streams of memory. Their hold does not end by itself: a mover that did
// not hear the end of it would carry no more.
Status LiveMove::hold_copy(std::chrono::milliseconds span) {
  if (!brings_layers_) return PeerMove::hold_copy(span);
  const Status told = carriers_->hold_memory(span > 0ms);
  if (!told && span == 0ms) hold_is_stuck_ = told.error();
  return told;
}

void LiveMove::show_brought() {
  wire_ = carriers_->wire_count().value_or(wire_);
  ByteCount total;
  for (const FilePlacement& file : job_.move.plan.files) {
    if (!file.shared && !file.present) total += file.allocated;
  }
  {
    const std::lock_guard lock(mutex_);
    Progress& progress = job_.move.progress;
    progress.disks.total = std::max(total, wire_.memory_taken);
    progress.disks.done = wire_.memory_taken;
    progress.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now() - job_.move.started_at);
  }
  changed_(MoveChange::kProgress, snapshot());
}

}  // namespace drover::move
