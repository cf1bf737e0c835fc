// SPDX-License-Identifier: Apache-2.0
#include "move/plan/teaming.h"

#include <algorithm>

#include "hypervisor/teaming.h"
#include "preflight/codes.h"

namespace drover::move {

Status take_teamed_out(preflight::SourceView& view, std::vector<Finding>& findings) {
  if (view.live_xml.empty()) return {};  // said already
  const auto found = teamed_devices(view.live_xml);
  if (!found) return {};  // likewise
  const std::string& next_boot = view.persistent_xml;
  for (const TeamedDevice& device : *found) {
    const auto kept = teamed_devices(next_boot);
    const bool comes_back = kept && std::ranges::any_of(*kept, [&](const TeamedDevice& other) {
                              return other.label == device.label && other.of_network;
                            });
    const bool off = view.vm.state == VmState::kOff;
    findings.push_back(
        {std::string(preflight::code_name(preflight::Code::kNicTeamed)),
         FindingLevel::kNote,
         device.label,
         fmt::format("The network card {} of {} stays here; its virtio card goes on.", device.label,
                     view.vm.name),
         off ? "The definition at the destination has none: which card of that host it should be "
               "is "
               "not known."
         : comes_back
             ? "It is unplugged before the copy, and one of the destination's network of the same "
               "name is plugged in there. If the move is undone it is plugged in again here."
             : "It is unplugged before the copy, and the definition at the destination has none: "
               "which card of that host it should be is not known. If the move is undone it is "
               "plugged in again here.",
         {fmt::format("Afterwards, there: virsh attach-device {} CARD.xml --live --config",
                      view.vm.name)}});
  }
  ASSIGN_OR_RETURN(view.live_xml, without_teamed(view.live_xml, KeepTeamed::kNone));
  if (next_boot.empty()) return {};
  ASSIGN_OR_RETURN(view.persistent_xml, without_teamed(next_boot, KeepTeamed::kOfNetworks));
  return {};
}

}  // namespace drover::move
