// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU opens over the network, by one name: "nbd://storage1:10809/web01". Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

// "nbd://storage1:10809/web01", "nbd://[fd00::9]:10809/"; `port` may be empty: 10809. Empty: the
// host is neither a DNS name nor an IP address, the port is no number, or the export's name has
// control characters.
std::string nbd_uri(std::string_view host, std::string_view port, std::string_view name);

// An administrator's word on which of them VMs that come here may have: "nbd://storage1", all of
// that host; "nbd://storage1:10809", all of that server; "nbd://storage1:10809/web01", one.
// kInvalidArgument says what it looks like.
Status check_network_disk_rule(std::string_view rule);

// Whether one of the rules allows it. Names are compared as they are written. False for "".
bool admits_network_disk(std::span<const std::string> rules, std::string_view uri);

// Of a placement's path (model/plan.h): a network disk's begins with its protocol, a file's with /.
inline bool is_network_path(std::string_view path) { return path.starts_with("nbd://"); }

}  // namespace drover
