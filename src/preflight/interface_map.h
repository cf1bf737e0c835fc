// SPDX-License-Identifier: Apache-2.0
// Where a VM's network interfaces are plugged in at the destination: --network, and what is
// remembered of it. Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/adapt_interfaces.h"
#include "hypervisor/domain_xml.h"
#include "model/host.h"
#include "model/plan.h"
#include "preflight/finding.h"

namespace drover::preflight {

inline constexpr std::size_t kInterfacePlacesMax = 64;

// At the source: the places of a request, then those remembered of its two hosts that say something
// about an interface of which the request says nothing. kInvalidArgument: the request names
// nothing, an interface that the VM has not or twice, or one whose other end cannot be another.
// `persistent`: of the next boot; null: transient.
Result<std::vector<InterfacePlace>> choose_interface_places(
    const DomainFacts& live, const DomainFacts* persistent,
    std::span<const InterfacePlace> requested, std::span<const InterfacePlace> remembered);

// kInvalidArgument: what is no place at all, or too many.
Status check_interface_places(std::span<const InterfacePlace> places,
                              std::size_t most = kInterfacePlacesMax);

// For people, at the source: which interface goes where. `host`: the destination.
void note_interface_places(const DomainFacts& live, std::span<const InterfacePlace> places,
                           std::span<const InterfacePlace> requested, const std::string& host,
                           Findings& findings);

// At the destination: what the places are here. A place that is not here is a blocker, and left
// out.
std::vector<InterfaceTarget> find_interface_targets(std::span<const InterfacePlace> places,
                                                    const HostFacts& host, Findings& findings);

// "--network lan=NAME" for some places of a host that could be meant.
std::vector<std::string> network_fixes(const std::string& from, const HostFacts& host);

}  // namespace drover::preflight
