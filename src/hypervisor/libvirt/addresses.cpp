// SPDX-License-Identifier: Apache-2.0
// Which addresses a guest has, as far as anybody knows.
#include <algorithm>
#include <cctype>

#include <libvirt/libvirt-qemu.h>
#include <nlohmann/json.hpp>

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

void add_from(virDomainPtr domain, unsigned source, std::vector<GuestAddress>& known) {
  virDomainInterfacePtr* list = nullptr;
  const int count = virDomainInterfaceAddresses(domain, &list, source, 0);
  for (int i = 0; i < count; ++i) {
    for (unsigned j = 0; j < list[i]->naddrs; ++j) {
      const auto& address = list[i]->addrs[j];
      // The host's neighbours are known without their network, which libvirt writes as 0.
      add(known, {list[i]->hwaddr == nullptr ? "" : list[i]->hwaddr,
                  address.addr == nullptr ? "" : address.addr, address.prefix});
    }
    virDomainInterfaceFree(list[i]);
  }
  std::free(list);
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
  add_from(found.get(), VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, known);
  add_from(found.get(), VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP, known);
  return known;
}

}  // namespace drover::libvirt
