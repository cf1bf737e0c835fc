// SPDX-License-Identifier: Apache-2.0
#include "api/host_courier.h"

#include <algorithm>

#include "base/log.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr std::size_t kLettersMax = 1024;  // two for each pair of a full book, twice over
constexpr std::size_t kLettersBytesMax = 1 << 20;
constexpr std::size_t kWaitingMax = 32;  // hosts introduced and not approved
constexpr auto kDeliverWithin = 5s;      // also what stop() may have to wait

std::string introduction_of(const Peer& peer) {
  return json::dump({{"protocol", 1},
                     {"name", peer.name},
                     {"address", peer.address},
                     {"api_port", peer.api_port},
                     {"mover_port", peer.mover_port},
                     {"public_key", peer.public_key}});
}

std::string state_answer(std::string_view state) { return json::dump({{"state", state}}); }

}  // namespace

HostCourier::HostCourier(journal::HostBook& book, const net::HostIdentity& identity,
                         net::PeerConnections& connections, EventHub& hub, std::string own_name)
    : book_(book),
      identity_(identity),
      connections_(connections),
      hub_(hub),
      own_name_(std::move(own_name)),
      letters_(kLettersMax, kLettersBytesMax) {}

void HostCourier::start() {
  thread_ = std::thread([this] {
    while (auto letter = letters_.pop()) {
      if (stopping_) return;
      deliver(*letter);
    }
  });
}

void HostCourier::stop() {
  stopping_ = true;
  letters_.close();
  if (thread_.joinable()) thread_.join();
}

void HostCourier::send(Letter letter) {
  const std::string to = letter.to.name;
  const std::size_t bytes = letter.body.size();
  if (!letters_.push(std::move(letter), bytes, Deadline::after(0ms))) {
    log::warning("Too much news for other hosts at once; {} is not told.", to);
  }
}

void HostCourier::deliver(const Letter& letter) {
  const net::PeerEndpoint to{
      letter.to.name, {letter.to.address, letter.to.api_port}, letter.to.public_key};
  const auto reply = connections_.call(
      to, {"POST", "/v1/peer/" + letter.verb, letter.body, {}, Deadline::after(kDeliverWithin)});
  if (!reply)
    return log::warning("Could not tell {} ({}): {}", to.name, letter.verb, reply.error().text());
  if (reply->status == 200) return log::info("Told {} ({}): {}", to.name, letter.verb, reply->body);
  log::warning("{} did not take the news ({}): {}", to.name, letter.verb,
               json::error_of_body(reply->status, reply->body).text());
}

void HostCourier::introduce(const Peer& newcomer) {
  for (const Peer& other : book_.peers()) {
    if (other.public_key == newcomer.public_key || other.state != PeerState::kPaired) continue;
    send({other, "introduce", introduction_of(newcomer)});
    send({newcomer, "introduce", introduction_of(other)});
  }
}

void HostCourier::part(const Peer& gone) {
  connections_.drop(gone.public_key);
  send({gone, "forget", json::dump({{"protocol", 1}, {"public_key", identity_.public_key()}})});
  for (const Peer& other : book_.peers()) {
    if (other.state != PeerState::kPaired) continue;
    send({other, "forget", json::dump({{"protocol", 1}, {"public_key", gone.public_key}})});
  }
}

Result<std::string> HostCourier::take_introduction(const Peer& from, std::string_view body) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(body));
  Peer peer;
  std::uint32_t protocol = 0;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kIgnore)
                      .need("protocol", protocol)
                      .need("name", peer.name)
                      .need("address", peer.address)
                      .need("api_port", peer.api_port)
                      .need("mover_port", peer.mover_port)
                      .need("public_key", peer.public_key)
                      .finish());
  if (peer.public_key == identity_.public_key() || book_.find_peer_by_key(peer.public_key)) {
    return state_answer("known");
  }
  if (peer.name == own_name_) {
    return fail(ErrorCode::kConflict,
                "{} calls itself {} too; it can only be paired by hand, with --name.", peer.name,
                own_name_);
  }
  if (!from.rights.introduce) peer.state = PeerState::kWaiting;
  if (std::ranges::count(book_.peers(), PeerState::kWaiting, &Peer::state) >=
      static_cast<std::ptrdiff_t>(kWaitingMax)) {
    return fail(ErrorCode::kConflict, "{} hosts wait for approval here already.", kWaitingMax);
  }
  RETURN_IF_ERROR(book_.put_peer(peer, from.public_key));
  const bool waits = peer.state == PeerState::kWaiting;
  log::info("{} introduced the host {} ({}); {}.", from.name, peer.name, peer.address,
            waits ? "it waits for `drover host approve`" : "it is paired");
  hub_.publish_host(peer.name, waits ? "waiting" : "added");
  return state_answer(waits ? "waiting" : "paired");
}

Result<std::string> HostCourier::take_parting(const Peer& from, std::string_view body) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(body));
  std::string key;
  std::uint32_t protocol = 0;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kIgnore)
                      .need("protocol", protocol)
                      .need("public_key", key)
                      .finish());
  const auto gone = book_.find_peer_by_key(key);
  if (!gone) return state_answer("unknown");
  // A host may part from us itself; that another one goes is its word only where it brought that
  // one here.
  const bool itself = key == from.public_key;
  const bool vouched = from.rights.introduce && book_.introduced_by(gone->name) == from.public_key;
  if (!itself && !vouched) {
    log::info("{} removed the host {}; it stays paired here.", from.name, gone->name);
    return state_answer("kept");
  }
  RETURN_IF_ERROR(book_.remove_peer(gone->name));
  connections_.drop(key);
  log::info("The host {} is no longer paired: {} said so.", gone->name, from.name);
  hub_.publish_host(gone->name, "removed");
  return state_answer("removed");
}

}  // namespace drover::api
