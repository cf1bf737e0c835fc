// SPDX-License-Identifier: Apache-2.0
// The doctor's look at the hosts that this one is paired with. All are asked at once.
#include <chrono>
#include <future>

#include "move/doctor/doctor_checks.h"
#include "move/peer_messages.h"
#include "net/dial.h"

namespace drover::move::doctor {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::system_clock;

constexpr auto kAskLimit = 4s;
constexpr auto kDialLimit = 2s;
constexpr std::chrono::milliseconds kSkewMost = 5s;

struct Looked {
  Peer peer;
  Result<CheckReply> reply;
  std::chrono::milliseconds skew{0};  // of its clock; negative: it is behind
  std::chrono::milliseconds doubt{0};
  Status mover_port;
};

Looked look_at(World& world, const Peer& peer) {
  Looked looked{peer, CheckReply{}, {}, {}, {}};
  const auto before = Clock::now();
  const auto text = world.peers.call(peer.name, verb::kCheck, "{}", Deadline::after(kAskLimit));
  const auto after = Clock::now();
  looked.reply = text ? check_reply_from_json(*text) : std::unexpected(text.error());
  if (looked.reply) {
    const auto middle = before + (after - before) / 2;
    looked.skew =
        std::chrono::duration_cast<std::chrono::milliseconds>(looked.reply->time - middle);
    looked.doubt = std::chrono::duration_cast<std::chrono::milliseconds>((after - before) / 2);
  }
  const bool answers = looked.reply || looked.reply.error().code != ErrorCode::kUnavailable;
  if (!answers) return looked;
  if (auto link = net::dial_tcp({peer.address, peer.mover_port}, Deadline::after(kDialLimit));
      !link)
    looked.mover_port = std::unexpected(link.error());
  return looked;
}

void tell_no_answer(const Scene& scene, const Peer& peer, const Error& error) {
  switch (error.code) {
    case ErrorCode::kUnauthenticated:
      scene.add(FindingLevel::kBlocker, "PAIRING_BROKEN", peer.name,
                fmt::format("{} is paired here, and does not know this host.", peer.name),
                error.text(),
                {fmt::format("drover host remove {}, and then pair anew: drover host invite",
                             peer.name)});
      return;
    case ErrorCode::kPermission:
      scene.add(FindingLevel::kWarning, "PEER_REFUSES", peer.name,
                fmt::format("{} does not let this host ask.", peer.name), error.text(),
                {fmt::format("On {}: drover host approve, or drover host rights", peer.name)});
      return;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
      scene.add(FindingLevel::kWarning, "HOST_UNREACHABLE", peer.name,
                fmt::format("{}: {}", peer.name, error.message), "No VM can move to or from it.",
                {fmt::format("Check droverd there and TCP ports {} and {} between the hosts.",
                             peer.api_port, peer.mover_port)});
      return;
    default:
      scene.add(FindingLevel::kNote, "VERSION_DIFFERS", peer.name,
                fmt::format("{} cannot be looked at from here.", peer.name),
                fmt::format("Its Drover is probably older than this one: {}", error.text()),
                {fmt::format("Update Drover on {}.", peer.name)});
  }
}

void tell(const Scene& scene, const Looked& looked) {
  const Peer& peer = looked.peer;
  if (!looked.mover_port) {
    scene.add(
        FindingLevel::kWarning, "MOVER_PORT_CLOSED", peer.name,
        fmt::format("{} answers, but its port {} for moves does not.", peer.name, peer.mover_port),
        looked.mover_port.error().message,
        {fmt::format("Let TCP port {} through to {}, and look at mover-port in its "
                     "droverd.toml.",
                     peer.mover_port, peer.name)});
  }
  if (!looked.reply) return tell_no_answer(scene, peer, looked.reply.error());
  const CheckReply& reply = *looked.reply;
  if (!reply.may_send && peer.rights.receive) {
    scene.add(
        FindingLevel::kNote, "PEER_REFUSES", peer.name,
        fmt::format("{} takes no VMs from this host.", peer.name),
        "Plans of moves there have a blocker.",
        {fmt::format("On {}: drover host rights {} +send", peer.name, scene.world.host_name)});
  }
  const auto skew = looked.skew < 0ms ? -looked.skew : looked.skew;
  if (skew > kSkewMost + looked.doubt) {
    scene.add(FindingLevel::kWarning, "TIME_SKEW", peer.name,
              fmt::format("The clock of {} is {:.1f} s {} this host's.", peer.name,
                          static_cast<double>(skew.count()) / 1000,
                          looked.skew < 0ms ? "behind" : "ahead of"),
              "Drover needs no common time, but guests get it from their host: theirs would jump. "
              "Logs and windows of the two do not fit together either.",
              {"On both hosts: timedatectl status"});
  }
  if (!scene.options.version.empty() && !reply.version.empty() &&
      reply.version != scene.options.version) {
    scene.add(FindingLevel::kNote, "VERSION_DIFFERS", peer.name,
              fmt::format("{} has Drover {}, this host {}.", peer.name, reply.version,
                          scene.options.version),
              "Moves between them work; what only the newer one knows is not used.",
              {"Update the older one."});
  }
}

}  // namespace

void check_peers(const Scene& scene, Inventory& inventory) {
  std::vector<std::future<Looked>> questions;
  for (const Peer& peer : scene.world.book.peers()) {
    if (peer.state == PeerState::kWaiting) {
      scene.add(FindingLevel::kNote, "HOST_WAITS", peer.name,
                fmt::format("{} was introduced by another host and waits for approval.", peer.name),
                "Until then nothing moves to or from it.",
                {fmt::format("drover host approve {}", peer.name),
                 fmt::format("drover host remove {}", peer.name)});
      continue;
    }
    questions.push_back(std::async(std::launch::async, look_at, std::ref(scene.world), peer));
  }
  for (const auto& trouble : inventory.everywhere().two_runners) {
    scene.add(FindingLevel::kBlocker, "TWO_RUNNERS", trouble.substr(0, trouble.find(' ')), trouble,
              "Both write to what they think is their own disk.",
              {"Decide which one is right, and destroy the other: virsh destroy NAME"});
  }
  for (auto& question : questions) tell(scene, question.get());
}

}  // namespace drover::move::doctor
