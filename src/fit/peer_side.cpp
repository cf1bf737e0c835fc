// SPDX-License-Identifier: Apache-2.0
#include "fit/peer_side.h"

#include "fit/verbs.h"

namespace drover::fit {

Result<std::string> PeerSide::handle(std::string_view peer_name, std::string_view verb,
                                     std::string_view body) {
  if (verb == verb::kCpu) {
    ASSIGN_OR_RETURN(const CpuRequest request, cpu_request_from_json(body));
    ASSIGN_OR_RETURN(const std::string cpu, world_.hypervisor.host_cpu(request.machine));
    return to_json(CpuReply{cpu});
  }
  if (verb == verb::kCpuCheck) {
    ASSIGN_OR_RETURN(const CpuCheckRequest request, cpu_check_request_from_json(body));
    CpuCheckReply reply;
    ASSIGN_OR_RETURN(const CpuComparison compared,
                     world_.hypervisor.compare_cpu(request.definition, &reply.missing));
    reply.fits = compared != CpuComparison::kIncompatible;
    return to_json(reply);
  }
  return others_.handle(peer_name, verb, body);
}

}  // namespace drover::fit
