// SPDX-License-Identifier: Apache-2.0
#include "move/destination/network_disk_rules.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>

#include "model/network_disk.h"
#include "move/plan/network_disks.h"
#include "net/resolve.h"

namespace drover::move {
namespace {

// 0: no port.
unsigned port_of(const NetworkSource& disk) {
  const std::string& text = disk.port;
  if (text.empty()) return network_disk_port(disk.protocol);
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  return read.ec == std::errc() && read.ptr == end ? port : 0;
}

// Of iSCSI's names the case means nothing (RFC 7143, 4.2.7.1).
bool same_target(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  });
}

// Whether `other` may be this disk. What does not name its LUN as ours is named may be any of the
// target's; what names none is LUN 0, as libvirt has it.
bool may_be_lun(std::string_view disk, std::string_view other) {
  const std::size_t slash = std::min(other.find('/'), other.size());
  const std::string_view target = disk.substr(0, disk.find('/'));
  if (!same_target(target, other.substr(0, slash))) return false;
  const std::string named = slash == other.size() ? std::string(other) + "/0" : std::string(other);
  return same_target(disk, named) || network_disk_uri("iscsi", "any", "", named).empty();
}

// Another may name a snapshot of it, or an empty namespace.
bool same_image(std::string_view disk, std::string_view other) {
  const std::size_t slash = disk.find('/');
  const std::string_view pool = disk.substr(0, slash), image = disk.substr(slash + 1);
  const std::size_t last = other.rfind('/');
  return last != other.npos && other.substr(0, other.find('/')) == pool &&
         other.substr(last + 1).substr(0, other.substr(last + 1).find_first_of("@:")) == image;
}

bool same_file(const std::string& disk, const std::string& other) {
  return std::filesystem::path(disk) == std::filesystem::path(other).lexically_normal();
}

}  // namespace

std::vector<std::string> proven_network_disks(std::string_view definition,
                                              std::span<const DiskPlacement> placements,
                                              std::span<const std::string> rules) {
  std::vector<std::string> proven;
  const auto domain = parse_domain(definition);
  if (!domain) return proven;
  for (const DiskFacts& disk : network_disks_in(*domain)) {
    const bool placed = std::ranges::any_of(placements, [&](const DiskPlacement& placement) {
      return is_network(placement) && placement.shared && placement.target == disk.disk.target;
    });
    if (!placed || !admits_servers_of(rules, disk)) continue;
    const SecretName& secret = disk.network.secret;
    for (std::string& uri : network_uris(disk)) {
      proven.push_back(
          network_disk_as_user(std::move(uri), disk.network.user, secret.uuid, secret.usage));
    }
  }
  return proven;
}

bool is_own_of_both(std::string_view disk, const HostFacts& one, const HostFacts& other) {
  const auto servers = network_disk_servers(disk);
  return std::ranges::any_of(one.networks.addresses, [&](const HostAddress& own) {
    const auto& theirs = other.networks.addresses;
    if (std::ranges::find(theirs, own.address, &HostAddress::address) == theirs.end()) return false;
    return std::ranges::find(servers, own.address) != servers.end();
  });
}

Result<std::vector<NetworkDiskUser>> network_disk_users(std::span<const Vm> vms,
                                                        std::string_view own_uuid,
                                                        const ReadDefinition& read) {
  std::vector<NetworkDiskUser> users;
  for (const Vm& vm : vms) {
    if (vm.uuid == own_uuid) continue;
    for (const DefinitionKind kind : {DefinitionKind::kPersistent, DefinitionKind::kLive}) {
      if (kind == DefinitionKind::kPersistent && !vm.persistent) continue;
      const auto text = read(vm.uuid, kind);
      if (!text && text.error().code == ErrorCode::kNotFound) continue;  // it has gone
      if (!text) return std::unexpected(text.error());
      ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(*text));
      for (const NetworkSource& source : domain.network_sources) users.push_back({vm.name, source});
    }
  }
  return users;
}

std::string taken_by(const NetworkSource& disk, std::span<const NetworkDiskUser> users) {
  for (const auto& [vm, other] : users) {
    if (other.protocol != disk.protocol) continue;
    const std::string taken = fmt::format("It is also a disk of {} there.", vm);
    if (disk.protocol == "iscsi" && may_be_lun(disk.name, other.name)) return taken;
    if (disk.protocol == "gluster" && same_file(disk.name, other.name)) return taken;
    if (disk.protocol == "rbd" && same_image(disk.name, other.name)) return taken;
    if (disk.protocol != "nbd" || other.host.empty()) continue;
    if (other.name != disk.name || port_of(other) != port_of(disk)) continue;
    if (other.host == disk.host) return taken;
    const auto ours = net::addresses_of(disk.host);
    const auto theirs = net::addresses_of(other.host);
    if (!ours || !theirs) {
      return fmt::format("It may also be a disk of {} there: {}", vm,
                         (ours ? theirs : ours).error().text());
    }
    if (std::ranges::find_first_of(*ours, *theirs) != ours->end()) return taken;
  }
  return {};
}

std::string network_disk_of_both(std::span<const DiskPlacement> one,
                                 std::span<const DiskPlacement> other) {
  // "iscsi", and the target and LUN; of NBD all of it, for exports of two servers may have one
  // name.
  const auto identity = [](const DiskPlacement& placement) -> std::string {
    const std::string& path = placement.destination_path;
    if (!is_network(placement) || path.starts_with("nbd:")) return path;
    return path.substr(0, path.find(':')) + path.substr(path.find('/', path.find("://") + 3));
  };
  for (const DiskPlacement& placement : one) {
    if (!is_network(placement)) continue;
    const std::string disk = identity(placement);
    if (std::ranges::any_of(other, [&](const DiskPlacement& second) {
          return is_network(second) && same_target(identity(second), disk);
        }))
      return placement.destination_path;
  }
  return {};
}

}  // namespace drover::move
