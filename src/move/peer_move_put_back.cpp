// SPDX-License-Identifier: Apache-2.0
// Small things that were taken out of a guest for a move, and that it gets back because it stays
// (peer_move_media.cpp, peer_move_teaming.cpp).
#include <fmt/ranges.h>

#include "base/log.h"
#include "move/peer_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPutLimit = 15s;  // libvirt's own job may have to end first
constexpr auto kPutAgain = 500ms;

}  // namespace

// A libvirt that is away has said nothing yet: what is waited for is told meanwhile.
std::optional<Status> PeerMove::put_back(const std::string& what,
                                         const std::function<Status()>& put) {
  const std::string before = snapshot().explanation;
  bool told = false;
  const auto end_wait = [&] {
    if (std::exchange(told, false)) change([&](Move& move) { move.explanation = before; });
  };
  for (Deadline limit = Deadline::after(kPutLimit);;) {
    const Status done = put();
    const bool away = !done && done.error().code == ErrorCode::kUnavailable;
    if (!away) end_wait();
    if (done || (!away && limit.expired())) return done;
    if (away) {
      limit = Deadline::after(kPutLimit);
      if (!std::exchange(told, true)) tell_away(what, done.error());
    }
    if (!pause_for(kPutAgain)) {
      end_wait();
      return std::nullopt;
    }
  }
}

void PeerMove::tell_away(const std::string& what, const Error& why) {
  const std::string text = fmt::format(
      "libvirt on {} does not answer ({}); {} is put back into {} once it does. Fix: on {}, "
      "systemctl status libvirtd.",
      job_.move.source, why.text(), what, vm_name(), job_.move.source);
  log::warning("Move {}: {}", job_.move.id, text);
  change([&](Move& move) { move.explanation += move.explanation.empty() ? text : " " + text; });
}

// For people, beside what is said already.
void PeerMove::tell_not_back(const std::string& what) {
  log::warning("Move {}: {}", job_.move.id, what);
  change([&](Move& move) {
    if (move.explanation.contains(what)) return;
    move.explanation +=
        move.explanation.empty()
            ? fmt::format("{} is on {} as before, but for this: {}", vm_name(), move.source, what)
            : " " + what;
  });
}

void PeerMove::tell_still_out() {
  if (job_.move.runner == Runner::kDestination) return;  // it went without them
  std::vector<std::string> out;
  for (const KnownFile& disc : job_.ejected)
    out.push_back(fmt::format("the disc {} (drive {})", disc.path, disc.target));
  for (const std::string& label : unplugged_cards())
    out.push_back(fmt::format("the network card {}", label));
  if (job_.checkpoints_forgotten) {
    for (const CheckpointText& checkpoint : job_.checkpoints)
      out.push_back(fmt::format("the checkpoint {}", checkpoint.name));
  }
  if (out.empty()) return;
  const std::string text = fmt::format(
      "Not put back into {0}: {1}. Once it is on {2} as it shall be: drover resolve {3} --runs-on "
      "{2}, which puts that back.",
      vm_name(), fmt::join(out, ", "), job_.move.source, job_.move.id);
  log::warning("Move {}: {}", job_.move.id, text);
  change([&](Move& move) { move.explanation += move.explanation.empty() ? text : " " + text; });
}

}  // namespace drover::move
