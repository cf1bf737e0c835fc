// SPDX-License-Identifier: Apache-2.0
// The inviting half of pairing.
#include "api/pairing.h"

#include "api/pairing_proof.h"
#include "base/log.h"
#include "json/access_json.h"
#include "net/dial.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;

}  // namespace

struct Pairing::Step {
  std::uint32_t protocol = 0;
  std::string step, public_key, signature, name, address;
  std::uint16_t api_port = 0, mover_port = 0;
};

Result<Invite> Pairing::invite(const InviteRequest& request, std::uint16_t api_port) {
  if (!request.name.empty()) {
    RETURN_IF_ERROR(journal::check_host_name(request.name));
    if (request.name == options_.host_name || book_.find_peer(request.name)) {
      return fail(ErrorCode::kConflict, "A host is already called {} here. Choose another name.",
                  request.name);
    }
  }
  ASSIGN_OR_RETURN(const std::string code, invites_.add(request));
  const std::string host =
      options_.advertised_address.empty() ? net::likely_own_address() : options_.advertised_address;
  Invite invite;
  invite.address = net::address_text({host, api_port}, net::kApiPort);
  invite.code = code;
  invite.expires_at = std::chrono::system_clock::now() + request.valid;
  invite.line = fmt::format("drover host add {} {}", invite.address, code);
  return invite;
}

Result<std::string> Pairing::answer(const net::HttpRequest& request, std::uint16_t api_port) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(request.body));
  Step step;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kIgnore)
                      .need("protocol", step.protocol)
                      .need("step", step.step)
                      .need("public_key", step.public_key)
                      .may("signature", step.signature)
                      .may("name", step.name)
                      .may("address", step.address)
                      .may("api_port", step.api_port)
                      .may("mover_port", step.mover_port)
                      .finish());
  if (step.protocol != kPairingProtocol) {
    return fail(ErrorCode::kInvalidArgument,
                "This host pairs by protocol {} only; the other speaks {}.", kPairingProtocol,
                step.protocol);
  }
  if (!net::is_public_key(step.public_key)) {
    return fail(ErrorCode::kProtocol, "The newcomer's public key is not one.");
  }
  if (step.public_key == identity_.public_key()) {
    return fail(ErrorCode::kConflict, "A host cannot be paired with itself.");
  }
  if (step.step == "ask") return answer_ask(request, step, api_port);
  if (step.step == "join") return answer_join(request, step);
  return fail(ErrorCode::kProtocol, "Pairing knows no step {}.", step.step.substr(0, 20));
}

Result<std::string> Pairing::answer_ask(const net::HttpRequest& request, const Step& step,
                                        std::uint16_t api_port) {
  if (!invites_.is_open(request.origin.psk_identity)) {
    return fail(ErrorCode::kUnauthenticated, "The invite was used or has expired.");
  }
  const std::string proof = pairing_proof("host", request.origin.channel_binding,
                                          identity_.public_key(), step.public_key);
  return json::dump({{"protocol", kPairingProtocol},
                     {"name", options_.host_name},
                     {"api_port", api_port},
                     {"mover_port", options_.mover_port},
                     {"public_key", identity_.public_key()},
                     {"signature", sign_hex(identity_, proof)}});
}

Result<Peer> Pairing::newcomer_of(const net::HttpRequest& request, const Step& step,
                                  const InviteRequest& terms) {
  const std::string proof = pairing_proof("newcomer", request.origin.channel_binding,
                                          identity_.public_key(), step.public_key);
  if (!verify_hex(step.public_key, proof, step.signature)) {
    return fail(ErrorCode::kUnauthenticated, "The newcomer did not prove that it holds its key.");
  }
  Peer peer;
  peer.name = terms.name.empty() ? step.name : terms.name;
  peer.address = step.address.empty() ? request.origin.remote.host : step.address;
  peer.api_port = step.api_port;
  peer.mover_port = step.mover_port;
  peer.public_key = step.public_key;
  peer.rights = terms.rights;
  const auto known = book_.find_peer(peer.name);
  if (peer.name == options_.host_name || (known && known->public_key != peer.public_key)) {
    return fail(ErrorCode::kConflict,
                "On {}, a host is already called {}. Make the invite there anew, with a name for "
                "this one: `drover "
                "host invite --name NAME`.",
                options_.host_name, peer.name);
  }
  ASSIGN_OR_RETURN(const net::Address address, net::read_address(peer.address, peer.api_port));
  peer.address = address.host;
  return peer;
}

Result<std::string> Pairing::answer_join(const net::HttpRequest& request, const Step& step) {
  const auto terms = invites_.claim(request.origin.psk_identity);
  if (!terms) return fail(ErrorCode::kUnauthenticated, "The invite was used or has expired.");
  const auto peer = newcomer_of(request, step, *terms);
  const Status stored = peer ? book_.put_peer(*peer) : Status(std::unexpected(peer.error()));
  if (!stored) {
    // What can be put right on the newcomer's side must not cost the code.
    invites_.release(request.origin.psk_identity);
    return std::unexpected(stored.error());
  }
  invites_.spend(request.origin.psk_identity);
  if (terms->enable_moves) RETURN_IF_ERROR(enable_moves());
  log::info("Paired with {} ({}), key {}.", peer->name, peer->address, peer->public_key);
  hub_.publish_host(peer->name, "added");
  courier_.introduce(*peer);
  return json::dump({{"protocol", kPairingProtocol}, {"known_as", peer->name}});
}

Status Pairing::enable_moves() {
  RETURN_IF_ERROR(book_.change_settings(
      {{"incoming", SettingChange::Op::kSet, "on"}, {"outgoing", SettingChange::Op::kSet, "on"}}));
  return {};
}

}  // namespace drover::api
