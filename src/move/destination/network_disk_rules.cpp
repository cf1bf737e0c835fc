// SPDX-License-Identifier: Apache-2.0
#include "move/destination/network_disk_rules.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "model/network_disk.h"
#include "move/plan/network_disks.h"
#include "net/resolve.h"

namespace drover::move {
namespace {

// 0: no port.
unsigned port_of(const DiskFacts& disk) {
  const std::string& text = disk.network_port;
  if (text.empty()) return network_disk_port(disk.protocol);
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  return read.ec == std::errc() && read.ptr == end ? port : 0;
}

bool same_name(const DiskFacts& one, const DiskFacts& other) {
  if (one.protocol != "iscsi") return one.network_name == other.network_name;
  // Of iSCSI's names the case means nothing (RFC 7143, 4.2.7.1).
  return std::ranges::equal(one.network_name, other.network_name, [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  });
}

}  // namespace

std::vector<std::string> proven_network_disks(std::string_view definition,
                                              std::span<const DiskPlacement> placements,
                                              std::span<const std::string> rules) {
  std::vector<std::string> proven;
  const auto domain = parse_domain(definition);
  if (!domain) return proven;
  for (const DiskFacts& disk : network_disks_in(*domain)) {
    const std::string uri = network_uri(disk);
    const bool placed = std::ranges::any_of(placements, [&](const DiskPlacement& placement) {
      return is_network(placement) && placement.shared && placement.target == disk.disk.target;
    });
    if (placed && admits_network_disk(rules, uri)) proven.push_back(uri);
  }
  return proven;
}

bool is_own_of_both(std::string_view server, const HostFacts& one, const HostFacts& other) {
  return std::ranges::any_of(one.networks.addresses, [&](const HostAddress& own) {
    const auto& theirs = other.networks.addresses;
    if (std::ranges::find(theirs, own.address, &HostAddress::address) == theirs.end()) return false;
    const bool six = own.address.find(':') != std::string::npos;
    const std::string_view protocol = server.substr(0, server.find(':'));
    const std::vector<std::string> rule{six ? fmt::format("{}://[{}]", protocol, own.address)
                                            : fmt::format("{}://{}", protocol, own.address)};
    return admits_network_disk(rule, server);
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
      for (const DiskFacts& disk : domain.disks) {
        if (disk.disk.kind == DiskKind::kNetwork) users.push_back({vm.name, disk});
      }
    }
  }
  return users;
}

std::string taken_by(const DiskFacts& disk, std::span<const NetworkDiskUser> users) {
  for (const NetworkDiskUser& user : users) {
    const DiskFacts& other = user.disk;
    if (other.protocol != disk.protocol || other.network_host.empty()) continue;
    if (!same_name(other, disk)) continue;
    const std::string taken = fmt::format("It is also a disk of {} there.", user.vm);
    if (disk.protocol != "nbd") return taken;  // one target, one volume has several addresses
    if (port_of(other) != port_of(disk)) continue;
    if (other.network_host == disk.network_host) return taken;
    const auto ours = net::addresses_of(disk.network_host);
    const auto theirs = net::addresses_of(other.network_host);
    if (!ours || !theirs) {
      return fmt::format("It may also be a disk of {} there: {}", user.vm,
                         (ours ? theirs : ours).error().text());
    }
    if (std::ranges::find_first_of(*ours, *theirs) != ours->end()) return taken;
  }
  return {};
}

}  // namespace drover::move
