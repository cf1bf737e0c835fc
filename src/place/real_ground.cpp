// SPDX-License-Identifier: Apache-2.0
#include "place/real_ground.h"

#include "move/peer_messages.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

constexpr auto kViewLimit = 5s;
// A plan there, which asks this host in turn.
constexpr auto kBringLimit = 60s;

Result<MoveView> ask(move::World& world, std::string_view host, std::string_view verb,
                     const std::string& body, std::chrono::milliseconds limit) {
  ASSIGN_OR_RETURN(const std::string text,
                   world.peers.call(host, verb, body, Deadline::after(limit)));
  return move_view_from_json(text);
}

}  // namespace

Status recall_waiting(move::Engine& engine, std::string_view move) {
  ASSIGN_OR_RETURN(const Move now, engine.move(move));
  if (!now.queue)
    return fail(ErrorCode::kConflict, "Move {} does not wait in the queue any more.", move);
  RETURN_IF_ERROR(engine.cancel(move));
  return {};
}

// Of a VM that was just defined the event may still be on its way, and who empties a host must be
// told of it.
Result<Capacity> RealGround::capacity() {
  inventory_.look_again();
  return look_here(world_, inventory_.here_now(), engine_.under_way(), evacuated_());
}

Picture RealGround::look() {
  const auto here = capacity();
  return make_picture(world_.host_name, world_.public_key, here, ask_peers(world_));
}

Result<MoveView> RealGround::bring(std::string_view source, const MoveRequest& request,
                                   bool only_check) {
  const BringRequest bring{request.vm, request.accepted_codes, request.requested_by, only_check};
  return ask(world_, source, verb::kBring, to_json(bring), kBringLimit);
}

Status RealGround::check(std::string_view source, const MoveRequest& request) {
  if (!is_here(source)) {
    RETURN_IF_ERROR(bring(source, request, true));
    return {};
  }
  return engine_.check(request);
}

Result<MoveView> RealGround::start(std::string_view source, const MoveRequest& request) {
  if (!is_here(source)) return bring(source, request, false);
  ASSIGN_OR_RETURN(const Move move, engine_.start(request));
  return view_of(move);
}

Result<MoveView> RealGround::view(std::string_view source, std::string_view move) {
  if (!is_here(source)) {
    return ask(world_, source, verb::kBrought, to_json(move::MoveName{std::string(move)}),
               kViewLimit);
  }
  ASSIGN_OR_RETURN(const Move now, engine_.move(move));
  return view_of(now);
}

Status RealGround::recall(std::string_view source, std::string_view move) {
  if (is_here(source)) return recall_waiting(engine_, move);
  RETURN_IF_ERROR(
      ask(world_, source, verb::kUnbring, to_json(move::MoveName{std::string(move)}), kViewLimit));
  return {};
}

}  // namespace drover::place
