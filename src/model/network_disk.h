// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU opens over the network, by one name: "nbd://storage1:10809/web01",
// "iscsi://storage1:3260/iqn.2026-11.example:vms/1", "gluster://storage1:24007/volume/web01.qcow2",
// "rbd://monitor1:6789/pool/web01".
// Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

// The port of servers of this protocol that a definition names without one; 0: nothing is proven of
// such disks (docs/decisions/0007).
std::uint16_t network_disk_port(std::string_view protocol);

// One disk may have several servers: the monitors of a Ceph cluster, servers of a GlusterFS pool.
bool has_several_servers(std::string_view protocol);
// They may ask for a user, and for a secret that libvirt keeps under this type: "ceph" of rbd,
// "iscsi" of iSCSI (CHAP). Empty: they do not.
std::string_view network_disk_secret_type(std::string_view protocol);

// `host`, `port` (may be empty) and `name` as libvirt's definitions have them, "target/lun" of
// iSCSI, "volume/path" of GlusterFS, "pool/image" of RBD. Empty: a protocol of which nothing is
// proven; the host is neither a DNS name nor an IP address; the port is no number; the name is none
// of that protocol.
std::string network_disk_uri(std::string_view protocol, std::string_view host,
                             std::string_view port, std::string_view name);

// Of one that is opened as `user`, with the secret that is named in one of two ways: the disk that
// the gate admits is the one that was proven so. No URI of a rule. `user` empty: `uri` itself.
std::string network_disk_as_user(std::string uri, std::string_view user,
                                 std::string_view secret_uuid, std::string_view secret_usage);

// An administrator's word on which of them VMs that come here may have: "nbd://storage1", all of
// that host; "nbd://storage1:10809", all of that server; "nbd://storage1:10809/web01", one.
// kInvalidArgument says what it looks like.
Status check_network_disk_rule(std::string_view rule);

// Whether one of the rules allows it. Names are compared as they are written. False for "".
bool admits_network_disk(std::span<const std::string> rules, std::string_view uri);

// A disk that has several servers, by all of them: "rbd://10.0.0.1:6789,10.0.0.2:6789/pool/web01".
// REQUIRES: `uris` are of one disk, as network_disk_uri() gives them, and not empty.
std::string join_network_disk_uris(std::span<const std::string> uris);
// The hosts in such a name, or in that of a disk of one server, without ports and brackets.
std::vector<std::string> network_disk_servers(std::string_view uri);

// Of a placement's path (model/plan.h): a network disk's begins with its protocol, a file's with /.
bool is_network_path(std::string_view path);

}  // namespace drover
