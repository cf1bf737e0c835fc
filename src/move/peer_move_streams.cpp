// SPDX-License-Identifier: Apache-2.0
// What a move sends on a road without gates: files, each as one stream of memory, and what else is
// followed to its end there.
#include <string>
#include <utility>

#include "base/log.h"
#include "move/cold/cold_files.h"
#include "move/cold/write_failure.h"
#include "move/peer_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kEventInterval = 20ms;
constexpr auto kShowInterval = 250ms;
constexpr auto kLookLimit = 3s;
constexpr auto kAppliedLimit = 60s;  // a link may break just then
constexpr auto kAppliedAsk = 500ms;

}  // namespace

Status PeerMove::open_plain_road() {
  keep_bandwidth();
  RoadOptions road = road_options();
  road.gate = false;
  road.memory_waits = false;
  wire_ = {};
  streamed_bytes_ = 0;
  ASSIGN_OR_RETURN(carriers_, world_.carriage.start_source(carrier_name(), secret_, {}, road));
  plain_road_ = true;
  return first_link();
}

Status PeerMove::close_plain_road() {
  plain_road_ = false;
  forget_room();
  wire_ = carriers_->wire_count().value_or(wire_);
  RETURN_IF_ERROR(carriers_->stop());
  carriers_.reset();
  keeper_.reset();
  return {};
}

StepResult PeerMove::follow(const std::function<bool()>& ended) {
  while (!ended()) {
    if (auto interruption = interrupted(); !interruption) return interruption;
    while (const auto event = carriers_->next_event(Deadline::after(kEventInterval)))
      take_road_event(*event);
    if (auto none = keep_space(); none && !road_error_) road_error_ = std::move(none);
    if (road_error_) return undo_because(*road_error_);
    keep_links();
    show_copied();
  }
  show_copied();
  return {};
}

StepResult PeerMove::follow_a_moment() {
  return follow([asked = false]() mutable { return std::exchange(asked, true); });
}

void PeerMove::take_road_event(const CarrierEvent& event) {
  using Kind = CarrierEvent::Kind;
  if (event.kind == Kind::kLinkLost)
    log::warning("Move {}: a link was lost: {}", job_.move.id, event.text);
  if (event.kind == Kind::kGaveUp) remember({ErrorCode::kTimeout, Retry::kLater, event.text, {}});
  if (event.kind == Kind::kMoverGone) {
    remember({ErrorCode::kInternal,
              Retry::kLater,
              fmt::format("The mover on {} ended unexpectedly.", job_.move.source),
              {}});
  }
}

void PeerMove::remember(Error error) {
  log::warning("Move {}: {}", job_.move.id, error.message);
  if (!road_error_) road_error_ = std::move(error);
}

std::expected<std::string, StepFailure> PeerMove::send_file(
    const ColdFile& file, UniqueFd opened, FileSender::Part part,
    const std::function<bool()>& grows_no_more) {
  FileSender sender(std::move(opened), part, world_.carriage.paths(carrier_name()).memory);
  const auto ended = [&] {
    if (!grows_no_more || grows_no_more()) sender.finish();
    return sender.ended();
  };
  if (auto followed = follow(ended); !followed) return std::unexpected(followed.error());
  if (const auto sent = sender.result(); !sent)
    return undo_because(send_failure(file, sent.error()));
  streamed_bytes_ += sender.sent();
  if (auto applied = await_applied(file); !applied) return std::unexpected(applied.error());
  return sender.sha256();
}

// The other side's end has closed. If it did so before all was there, it says why.
StepResult PeerMove::await_applied(const ColdFile& file) {
  const Deadline limit = Deadline::after(kAppliedLimit);
  Deadline ask = Deadline::after(kAppliedAsk);
  bool lost = false;
  const auto over = [&] {
    wire_ = carriers_->wire_count().value_or(wire_);
    if (wire_.memory_applied.bytes == streamed_bytes_) return true;
    if (!ask.expired()) return false;
    ask = Deadline::after(kAppliedAsk);
    lost = limit.expired() || look_there();
    return lost;
  };
  if (auto followed = follow(over); !followed) return followed;
  if (!lost) return {};
  return undo_because(send_failure(
      file, fail(ErrorCode::kTimeout, "Not all of it has come there in time.").error()));
}

// What it cannot write the destination tells; else the road's first failure says more than what
// followed from it.
Error PeerMove::send_failure(const ColdFile& file, const Error& seen_here) {
  (void)follow_a_moment();
  const Unwritten sent = unwritten_file(file, vm_name());
  if (auto failed = look_there())
    return write_error(sent, job_.move.destination, std::move(*failed));
  if (road_error_) return *road_error_;
  const bool late = seen_here.code == ErrorCode::kTimeout;
  return wrap(
      {late ? ErrorCode::kTimeout : ErrorCode::kInternal, Retry::kLater, seen_here.text(), {}},
      fmt::format("{} could not be sent{}.", sent.what,
                  file.source_path.empty() ? "" : ", from " + file.source_path));
}

Error PeerMove::road_error_or(Error otherwise) {
  (void)follow_a_moment();
  (void)look_there();
  return road_error_.value_or(std::move(otherwise));
}

std::optional<Error> PeerMove::look_there() {
  const auto answer = ask_destination(verb::kLook, kLookLimit);
  if (answer && answer->failed) return answer->failed;
  if (answer && answer->kind == Answer::Kind::kRefused)
    remember({ErrorCode::kUnavailable, Retry::kLater, answer->text + ".", {}});
  return {};
}

void PeerMove::links_are_down() { (void)look_there(); }

void PeerMove::show_copied() {
  if (!next_show_.expired()) return;
  next_show_ = Deadline::after(kShowInterval);
  wire_ = carriers_->wire_count().value_or(wire_);
  {
    const std::lock_guard lock(mutex_);
    count_copied(job_.move.progress);
    job_.move.progress.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now() - job_.move.started_at);
  }
  changed_(MoveChange::kProgress, snapshot());
}

}  // namespace drover::move
