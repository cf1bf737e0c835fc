// SPDX-License-Identifier: Apache-2.0
// /v1/vms, of this host and of all paired ones.
#include <mutex>

#include "api/fan_out.h"
#include "api/routes.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

Result<std::vector<Vm>> vms_of(const Exchange& exchange, const Peer& peer) {
  net::HttpRequest request = exchange.request;
  request.query.clear();
  ASSIGN_OR_RETURN(const net::HttpAnswer answer,
                   exchange.services.carrier.carry(request, peer.name, exchange.caller.name));
  if (answer.status != 200) return std::unexpected(json::error_of_body(answer.status, answer.body));
  ASSIGN_OR_RETURN(const nlohmann::json tree, json::parse(answer.body));
  VmListing listing;
  RETURN_IF_ERROR(json::decode(tree, "", json::Unknown::kIgnore, listing));
  // It calls itself what it likes; here it has our name.
  for (Vm& vm : listing.vms) vm.host = peer.name;
  return std::move(listing.vms);
}

}  // namespace

Answer list_vms(const Exchange& exchange) {
  VmListing listing;
  ASSIGN_OR_RETURN(listing.vms, exchange.services.backend.vms());
  for (Vm& vm : listing.vms) vm.host = exchange.services.options.host_name;
  bool all = false;
  for (const auto& [name, value] : exchange.request.query)
    all = all || (name == "all" && value == "1");
  if (!all) return json_answer(json::dump(json::encode(listing)));
  if (exchange.caller.carried) {
    return fail(ErrorCode::kInvalidArgument, "A carried request lists the VMs of one host only.");
  }
  const std::vector<Peer> peers = exchange.services.book.peers();
  std::mutex mutex;  // guards listing
  fan_out(peers.size(), [&](std::size_t i) {
    auto vms = vms_of(exchange, peers[i]);
    const std::lock_guard lock(mutex);
    if (vms)
      listing.vms.insert(listing.vms.end(), vms->begin(), vms->end());
    else
      listing.unreachable.push_back({peers[i].name, std::move(vms).error()});
  });
  std::ranges::stable_sort(listing.vms, {}, &Vm::host);
  std::ranges::sort(listing.unreachable, {}, &UnreachableHost::host);
  return json_answer(json::dump(json::encode(listing)));
}

}  // namespace drover::api
