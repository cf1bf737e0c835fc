// SPDX-License-Identifier: Apache-2.0
// The API's part about how VMs fit hosts, as typed calls: networks, CPUs, places, fixes. As
// ApiClient: one thread at a time on a client.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "client/api_client.h"
#include "model/fit.h"

namespace drover::client {

// Where interfaces of VMs are plugged in at a paired host, as is remembered.
Result<std::vector<InterfacePlace>> interface_places(ApiClient& client, std::string_view host);
Result<std::vector<InterfacePlace>> set_interface_places(ApiClient& client, std::string_view host,
                                                         std::span<const InterfacePlace> places);

// `write`: into the VM's definition, for its next start.
enum class CpuWrite { kOnlyLook, kWrite };
Result<CpuCompat> cpu_compat(ApiClient& client, std::string_view vm,
                             const std::vector<std::string>& hosts, CpuWrite write);

// Of one VM of the daemon's host, or of all (empty).
Result<Mobility> mobility(ApiClient& client, std::string_view vm);

// Newest first.
Result<std::vector<AppliedFix>> fixes(ApiClient& client);
// Of a plan that was made before.
Result<std::vector<AppliedFix>> apply_fix(ApiClient& client, std::string_view plan,
                                          std::string_view code);
Result<AppliedFix> undo_fix(ApiClient& client, std::string_view id);

}  // namespace drover::client
