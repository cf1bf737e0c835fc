// SPDX-License-Identifier: Apache-2.0
#include "api/carrier.h"

#include "base/fan_out.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using namespace std::chrono_literals;

constexpr auto kCarryWithin = 60s;
constexpr auto kSilence = 10s;
constexpr auto kHelloWithin = 2s;
constexpr auto kListWithin = 10s;
constexpr auto kFreshFor = 5s;

net::PeerEndpoint endpoint_of(const Peer& peer) {
  return {peer.name, {peer.address, peer.api_port}, peer.public_key};
}

// The same request for the other host: its own `host` taken out, the user put in.
net::HttpCall call_of(const net::HttpRequest& request, std::string_view user) {
  net::Pairs query;
  for (const auto& pair : request.query) {
    if (pair.first != "host") query.push_back(pair);
  }
  std::string target;
  for (const char c : request.path)
    target += c == '/' ? "/" : net::encode_part(std::string_view(&c, 1));
  return {request.method,
          target + net::encode_query(query),
          request.body,
          {{"Drover-User", std::string(user)}},
          Deadline::after(kCarryWithin)};
}

}  // namespace

Result<Peer> Carrier::paired(std::string_view name) const {
  ASSIGN_OR_RETURN(Peer peer, book_.find_peer(name));
  if (peer.state == PeerState::kPaired) return peer;
  return fail(ErrorCode::kPermission, "The host {} waits for approval: `drover host approve {}`.",
              peer.name, peer.name);
}

Result<net::HttpAnswer> Carrier::carry(const net::HttpRequest& request, std::string_view host,
                                       std::string_view user) {
  ASSIGN_OR_RETURN(const Peer peer, paired(host));
  ASSIGN_OR_RETURN(net::HttpReply reply,
                   connections_.call(endpoint_of(peer), call_of(request, user)));
  return net::HttpAnswer{reply.status, std::move(reply.body), nullptr};
}

Result<net::HttpAnswer> Carrier::carry_stream(const net::HttpRequest& request,
                                              std::string_view host, std::string_view user) {
  ASSIGN_OR_RETURN(const Peer peer, paired(host));
  // Once a stream has begun, its status is sent. So ask for its subject first: /v1/moves/ID, or
  // anything at all.
  net::HttpRequest probe = request;
  constexpr std::string_view kEvents = "/events";
  if (probe.path.ends_with(kEvents)) probe.path.resize(probe.path.size() - kEvents.size());
  if (probe.path == "/v1") probe.path = "/v1/version";
  ASSIGN_OR_RETURN(net::HttpAnswer first, carry(probe, host, user));
  if (first.status != 200) return first;
  net::HttpCall call = call_of(request, user);
  call.headers.emplace_back("Accept", "text/event-stream");
  return net::HttpAnswer{
      200, "", [this, peer, call](const net::StreamWrite& write) {
        // A broken stream simply ends; its reader asks again and then hears why.
        static_cast<void>(connections_.stream(endpoint_of(peer), call, kSilence, write));
      }};
}

Result<std::vector<Vm>> Carrier::vms(const Peer& peer) {
  if (peer.state != PeerState::kPaired) {
    return fail(ErrorCode::kPermission, "The host {} waits for approval: `drover host approve {}`.",
                peer.name, peer.name);
  }
  ASSIGN_OR_RETURN(
      const net::HttpReply reply,
      connections_.call(endpoint_of(peer),
                        {"POST", "/v1/peer/vms", "{}", {}, Deadline::after(kListWithin)}));
  if (reply.status != 200) return std::unexpected(json::error_of_body(reply.status, reply.body));
  ASSIGN_OR_RETURN(std::vector<Vm> vms, json::vms_from_json(reply.body, json::Unknown::kIgnore));
  // It calls itself what it likes; here it has our name.
  for (Vm& vm : vms) vm.host = peer.name;
  return vms;
}

std::string Carrier::trouble_with(const Peer& peer) {
  if (peer.state == PeerState::kWaiting)
    return fmt::format("It waits for `drover host approve {}`.", peer.name);
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(peer.public_key);
    if (found != known_.end() && std::chrono::steady_clock::now() - found->second.at < kFreshFor) {
      return found->second.trouble;
    }
  }
  const auto reply = connections_.call(
      endpoint_of(peer), {"POST", "/v1/peer/hello", "{}", {}, Deadline::after(kHelloWithin)});
  std::string trouble;
  if (!reply)
    trouble = reply.error().text();
  else if (reply->status != 200)
    trouble = json::error_of_body(reply->status, reply->body).text();
  const std::lock_guard lock(mutex_);
  if (known_.size() > 1024) known_.clear();  // keys of hosts long removed
  known_[peer.public_key] = {std::chrono::steady_clock::now(), trouble};
  return trouble;
}

std::vector<HostEntry> Carrier::entries(const std::vector<Peer>& peers) {
  std::vector<HostEntry> entries(peers.size());
  fan_out(peers.size(), [&](std::size_t i) {
    HostEntry& entry = entries[i];
    entry.peer = peers[i];
    entry.trouble = trouble_with(peers[i]);
    entry.reachable = entry.trouble.empty();
    const auto by = book_.find_peer_by_key(book_.introduced_by(peers[i].name));
    if (by) entry.introduced_by = by->name;
  });
  return entries;
}

}  // namespace drover::api
