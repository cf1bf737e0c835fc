// SPDX-License-Identifier: Apache-2.0
// Which addresses a guest has, as far as anybody knows.
#include <algorithm>
#include <cctype>
#include <sstream>

#include <libvirt/libvirt-qemu.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

constexpr int kAgentSeconds = 1;
constexpr std::size_t kAddressesMost = 256;
constexpr const char* kAskInterfaces = R"({"execute":"guest-network-get-interfaces"})";

// Of one link, or of the guest alone: nothing that a network could be known by.
bool is_of_no_network(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("169.254.") || address == "::1" ||
         address.starts_with("fe8") || address.starts_with("fe9") || address.starts_with("fea") ||
         address.starts_with("feb");
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return text;
}

void add(std::vector<GuestAddress>& known, GuestAddress found) {
  found.mac = lower(found.mac);
  if (found.mac.empty() || found.address.empty() || is_of_no_network(found.address)) return;
  if (known.size() >= kAddressesMost) return;
  const bool there = std::ranges::any_of(known, [&](const GuestAddress& other) {
    return other.mac == found.mac && other.address == found.address;
  });
  if (!there) known.push_back(std::move(found));
}

void add_leases(virDomainPtr domain, std::vector<GuestAddress>& known) {
  virDomainInterfacePtr* list = nullptr;
  const int count =
      virDomainInterfaceAddresses(domain, &list, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, 0);
  for (int i = 0; i < count; ++i) {
    for (unsigned j = 0; j < list[i]->naddrs; ++j) {
      const auto& address = list[i]->addrs[j];
      add(known, {list[i]->hwaddr == nullptr ? "" : list[i]->hwaddr,
                  address.addr == nullptr ? "" : address.addr, address.prefix});
    }
    virDomainInterfaceFree(list[i]);
  }
  std::free(list);
}

// The kernel's own table of this host's neighbours (IPv4); libvirt 9.0 cannot read it on kernels of
// today ("wrong nlmsg len"). Its lines: address, type, flags, MAC, mask, device; flag 2: known.
void add_neighbours(const std::string& definition, std::vector<GuestAddress>& known) {
  const auto facts = parse_domain(definition);
  const auto table = read_file("/proc/self/net/arp");
  if (!facts || !table) return;
  std::istringstream lines(*table);
  std::string line, address, type, flags, mac;
  std::getline(lines, line);  // titles
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    if (!(words >> address >> type >> flags >> mac) || flags == "0x0") continue;
    for (const auto& interface : facts->interfaces) {
      if (lower(interface.mac) == lower(mac)) add(known, {mac, address, 0});
    }
  }
}

// Bytes of a guest: whatever they hold, nothing throws.
void add_from_agent(virDomainPtr domain, std::vector<GuestAddress>& known) {
  const Text reply(virDomainQemuAgentCommand(domain, kAskInterfaces, kAgentSeconds, 0));
  if (!reply) return;
  const auto tree = nlohmann::json::parse(reply.get(), nullptr, false);
  if (!tree.is_object() || !tree.contains("return") || !tree["return"].is_array()) return;
  const auto text = [](const nlohmann::json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  for (const auto& interface : tree["return"]) {
    if (!interface.is_object() || !interface.contains("ip-addresses") ||
        !interface["ip-addresses"].is_array())
      continue;
    for (const auto& one : interface["ip-addresses"]) {
      if (!one.is_object()) continue;
      const auto prefix = one.find("prefix");
      const bool fits = prefix != one.end() && prefix->is_number_unsigned() && *prefix <= 128u;
      add(known, {text(interface, "hardware-address"), text(one, "ip-address"),
                  fits ? prefix->get<std::uint32_t>() : 0});
    }
  }
}

}  // namespace

Result<std::vector<GuestAddress>> Adapter::guest_addresses(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  std::vector<GuestAddress> known;
  if (virDomainIsActive(found.get()) != 1) return known;
  add_from_agent(found.get(), known);
  add_leases(found.get(), known);
  if (const auto definition = domain_xml(found.get(), 0)) add_neighbours(*definition, known);
  return known;
}

}  // namespace drover::libvirt
