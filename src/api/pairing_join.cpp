// SPDX-License-Identifier: Apache-2.0
// The joining half of pairing.
#include "api/pairing.h"
#include "api/pairing_proof.h"
#include "base/log.h"
#include "json/access_json.h"
#include "net/dial.h"
#include "net/http/http_client.h"
#include "net/invite_code.h"
#include "net/tls_context.h"

namespace drover::api {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

Error unknown_code(const net::Address& address, Error error) {
  return wrap(std::move(error),
              fmt::format("{} does not accept this code. It was used already, has expired, or "
                          "droverd was restarted "
                          "there meanwhile. Make a new one there with `drover host invite`.",
                          net::address_text(address, net::kApiPort)));
}

Result<Json> post(net::HttpClient& http, const Json& body, Deadline deadline) {
  ASSIGN_OR_RETURN(const net::HttpReply reply,
                   http.call({"POST", "/v1/peer/pair", json::dump(body), {}, deadline}));
  if (reply.status != 200) return std::unexpected(json::error_of_body(reply.status, reply.body));
  return json::parse(reply.body);
}

// What the inviting host says of itself, once it has proved that it holds its key.
Result<Peer> ask(net::HttpClient& http, const net::HostIdentity& identity, std::string_view binding,
                 const net::Address& address, Deadline deadline) {
  ASSIGN_OR_RETURN(
      const Json offer,
      post(http,
           {{"protocol", kPairingProtocol}, {"step", "ask"}, {"public_key", identity.public_key()}},
           deadline));
  Peer peer;
  std::uint32_t protocol = 0;
  std::string signature;
  RETURN_IF_ERROR(json::Fields(offer, "", json::Unknown::kIgnore)
                      .need("protocol", protocol)
                      .need("name", peer.name)
                      .need("api_port", peer.api_port)
                      .need("mover_port", peer.mover_port)
                      .need("public_key", peer.public_key)
                      .need("signature", signature)
                      .finish());
  if (!verify_hex(peer.public_key,
                  pairing_proof("host", binding, peer.public_key, identity.public_key()),
                  signature)) {
    return fail(ErrorCode::kUnauthenticated, "{} did not prove that it holds its key.",
                address.host);
  }
  peer.address = address.host;
  peer.api_port = address.port;  // the port that was reached, which a forwarding may have changed
  return peer;
}

}  // namespace

Result<Peer> Pairing::add(const HostAddition& addition, std::uint16_t api_port) {
  const Deadline deadline = Deadline::after(20s);
  ASSIGN_OR_RETURN(const net::Address address, net::read_address(addition.address, net::kApiPort));
  ASSIGN_OR_RETURN(const net::InviteSecret secret, net::read_invite_code(addition.code));
  if (!addition.name.empty()) RETURN_IF_ERROR(journal::check_host_name(addition.name));
  ASSIGN_OR_RETURN(UniqueFd socket, net::dial_tcp(address, Deadline::after(5s)));
  const net::TlsClientContext context(nullptr);
  auto stream = context.connect(std::move(socket), secret, Deadline::after(5s));
  if (!stream) {
    if (stream.error().code != ErrorCode::kUnauthenticated) return std::unexpected(stream.error());
    return std::unexpected(unknown_code(address, stream.error()));
  }
  const std::string binding = (*stream)->channel_binding();
  net::HttpClient http(std::move(*stream));

  ASSIGN_OR_RETURN(Peer peer, ask(http, identity_, binding, address, deadline));
  peer.rights = addition.rights;
  if (!addition.name.empty()) peer.name = addition.name;
  if (peer.name == options_.host_name) {
    return fail(ErrorCode::kConflict,
                "Both hosts are called {}. Give the other one a name of its own here: `drover host "
                "add {} CODE --name "
                "NAME`. The code is still good.",
                peer.name, addition.address);
  }
  // Stored first: once the other side says yes, nothing may fail here any more.
  const auto former = book_.find_peer_by_key(peer.public_key);
  RETURN_IF_ERROR(book_.put_peer(peer));
  const Json join{
      {"protocol", kPairingProtocol},
      {"step", "join"},
      {"public_key", identity_.public_key()},
      {"signature", sign_hex(identity_, pairing_proof("newcomer", binding, peer.public_key,
                                                      identity_.public_key()))},
      {"name", options_.host_name},
      {"address", options_.advertised_address},
      {"api_port", api_port},
      {"mover_port", options_.mover_port}};
  if (const auto joined = post(http, join, deadline); !joined) {
    if (former) {
      RETURN_IF_ERROR(book_.put_peer(*former));
    } else {
      RETURN_IF_ERROR(book_.remove_peer(peer.name));
    }
    return std::unexpected(joined.error());
  }
  if (addition.enable_moves) RETURN_IF_ERROR(enable_moves());
  log::info("Paired with {} ({}), key {}.", peer.name, peer.address, peer.public_key);
  hub_.publish_host(peer.name, "added");
  return peer;
}

}  // namespace drover::api
