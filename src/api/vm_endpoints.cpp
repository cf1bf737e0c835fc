// SPDX-License-Identifier: Apache-2.0
// /v1/vms, of this host and of all paired ones.
#include <mutex>
#include <tuple>

#include "api/routes.h"
#include "base/fan_out.h"
#include "hypervisor/session_vms.h"
#include "json/access_json.h"

namespace drover::api {

Answer list_vms(const Exchange& exchange) {
  VmListing listing;
  ASSIGN_OR_RETURN(listing.vms, exchange.services.backend.vms());
  for (Vm& vm : listing.vms) vm.host = exchange.services.options.host_name;
  listing.sessions = session_vms();
  for (SessionVm& vm : listing.sessions) vm.host = exchange.services.options.host_name;
  bool all = false;
  for (const auto& [name, value] : exchange.request.query)
    all = all || (name == "all" && value == "1");
  const auto answer = [&listing]() -> Answer {
    std::ranges::sort(listing.vms, {}, [](const Vm& vm) { return std::tie(vm.host, vm.name); });
    std::ranges::sort(listing.unreachable, {}, &UnreachableHost::host);
    return json_answer(json::dump(json::encode(listing)));
  };
  if (!all) return answer();
  if (exchange.caller.carried) {
    return fail(ErrorCode::kInvalidArgument, "A carried request lists the VMs of one host only.");
  }
  const std::vector<Peer> peers = exchange.services.book.peers();
  std::mutex mutex;  // guards listing
  fan_out(peers.size(), [&](std::size_t i) {
    auto vms = exchange.services.carrier.vms(peers[i]);
    const std::lock_guard lock(mutex);
    if (vms)
      listing.vms.insert(listing.vms.end(), vms->begin(), vms->end());
    else
      listing.unreachable.push_back({peers[i].name, std::move(vms).error()});
  });
  return answer();
}

Answer replug_vm(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto done, exchange.services.backend.replug_vm(exchange.arguments[0],
                                                                        exchange.caller.name));
  return json_answer(json::dump({{"interfaces", done}}));
}

}  // namespace drover::api
