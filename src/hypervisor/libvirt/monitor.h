// SPDX-License-Identifier: Apache-2.0
// Commands to a VM's QEMU through libvirt's pass-through (QMP, QEMU's docs/interop/qmp-spec.txt).
// A guest may have taken its QEMU over: answers are not trusted to have any shape. Any thread.
#pragma once

#include <string>
#include <string_view>

#include <libvirt/libvirt.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace drover::libvirt {

// What the command returns. `purpose` completes "QEMU cannot be asked to ...". `descriptor` goes
// along with it; -1: none. kHypervisor: QEMU refuses it, or answers something else.
Result<nlohmann::json> ask_monitor(virDomainPtr domain, const nlohmann::json& command,
                                   std::string_view purpose, int descriptor = -1);

// Of an object that has such a member, and that is a text; else empty.
std::string text_of(const nlohmann::json& object, const char* member);

}  // namespace drover::libvirt
