// SPDX-License-Identifier: Apache-2.0
#include "move/road_keeper.h"

#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "base/log.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kLook = 200ms;       // how late a stop may be noticed
constexpr auto kOpenPatience = 5s;  // less than the mover's: the server starts meanwhile
constexpr auto kOpenPause = 20ms;
constexpr auto kAnswerPatience = 2s;  // a mover that takes no answer for so long is as good as dead

Result<UniqueFd> connect(const std::filesystem::path& path) {
  const Deadline limit = Deadline::after(kOpenPatience);
  while (true) {
    auto socket = net::connect_unix(path, net::SocketKind::kStream, limit);
    if (socket || limit.expired()) return socket;
    std::this_thread::sleep_for(kOpenPause);
  }
}

}  // namespace

RoadKeeper::RoadKeeper(UniqueFd rpc, UniqueFd gate, std::filesystem::path disks,
                       std::function<Result<UniqueFd>()> take_file)
    : rpc_(std::move(rpc)),
      gate_(std::move(gate)),
      disks_(std::move(disks)),
      take_file_(std::move(take_file)),
      thread_([this](const std::stop_token& stop) { serve(stop); }) {}

RoadKeeper::~RoadKeeper() = default;

void RoadKeeper::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto packet = net::receive_packet(gate_.get(), Deadline::after(kLook));
    if (!packet && packet.error().code == ErrorCode::kTimeout) continue;
    if (!packet || !*packet) return;  // the mover is gone
    answer((*packet)->text);
  }
}

// Events, such as that memory is copied, are nobody's here.
void RoadKeeper::answer(const std::string& text) {
  const auto message = net::parse_message(text);
  if (!message || net::text_member_or(*message, "do", "").value_or("") != "open") return;
  const auto stream = net::count_member(*message, "stream");
  if (!stream) return log::warning("The mover asked for a stream without a number.");
  const std::string kind = net::text_member_or(*message, "kind", "").value_or("");
  json reply{{"reply", "open"}, {"stream", *stream}};
  Result<UniqueFd> socket = fail(ErrorCode::kProtocol, "This move has no streams of {}.", kind);
  if (kind == "disks" || kind == "read-back") socket = connect(disks_);
  if (kind == "memory" && take_file_) socket = take_file_();
  reply["ok"] = socket.has_value();
  if (!socket) {
    reply["error"] = socket.error().text();
    log::warning("Stream {} ({}) was not opened: {}", *stream, kind, socket.error().text());
  }
  const int descriptor = socket ? socket->get() : -1;
  const std::span<const int> descriptors(&descriptor, socket ? 1 : 0);
  if (const auto sent = net::send_packet(gate_.get(), reply.dump(), descriptors,
                                         Deadline::after(kAnswerPatience));
      !sent) {
    log::warning("The mover takes no answer: {}", sent.error().text());
  }
}

}  // namespace drover::move
