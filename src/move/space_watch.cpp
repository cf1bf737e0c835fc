// SPDX-License-Identifier: Apache-2.0
#include "move/space_watch.h"

#include "base/log.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// At a gigabit a second 60 MB are written between two questions, a quarter of the usual reserve.
constexpr auto kAskInterval = 500ms;
constexpr auto kAskLimit = 3s;
constexpr auto kGoodFor = 10s;

}  // namespace

SpaceWatch::SpaceWatch(net::PeerTransport& peers, std::string destination, std::string move_id)
    : peers_(peers),
      destination_(std::move(destination)),
      move_id_(std::move(move_id)),
      asker_([this](const std::stop_token& stop) { ask(stop); }) {}

std::optional<SpaceReply> SpaceWatch::last() const {
  const std::lock_guard lock(mutex_);
  return good_until_.expired() ? std::nullopt : last_;
}

// A destination that does not know the question, or does not answer, is no reason to hold anything:
// a full disk ends the move as it always did.
void SpaceWatch::ask(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto text = peers_.call(destination_, verb::kSpace, to_json(MoveName{move_id_}),
                                  Deadline::after(kAskLimit));
    const auto reply = text ? space_reply_from_json(*text) : std::unexpected(text.error());
    std::unique_lock lock(mutex_);
    if (reply) {
      last_ = *reply;
      good_until_ = Deadline::after(kGoodFor);
    } else if (reply.error().code == ErrorCode::kNotFound) {
      log::info("Move {}: {} does not say how much room it has: {}", move_id_, destination_,
                reply.error().text());
      return;
    }
    pause_.wait_for(lock, stop, kAskInterval, [] { return false; });
  }
}

}  // namespace drover::move
