// SPDX-License-Identifier: Apache-2.0
// Network cards of a host that a guest has beside a virtio card of the same MAC, as libvirt's
// <teaming> pairs them: the guest can live without the host's card for a while. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

struct TeamedDevice {
  std::string label;        // "52:54:00:00:00:01", or of a <hostdev> "0000:03:00.0"
  std::string xml;          // the whole element
  bool of_network = false;  // a libvirt network gives the card: any host with that network has one
};

// Those of <teaming type='transient'>, in the definition's order. Only <interface> and <hostdev>
// can be.
Result<std::vector<TeamedDevice>> teamed_devices(std::string_view domain_xml);

enum class KeepTeamed { kNone, kOfNetworks };
// The definition without them; the virtio cards stay.
Result<std::string> without_teamed(std::string_view domain_xml, KeepTeamed keep);

}  // namespace drover
