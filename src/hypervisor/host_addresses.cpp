// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/host_addresses.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/unique_fd.h"

namespace drover {
namespace {

using AddressList = std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)>;

std::span<const std::uint8_t> bytes_of(const sockaddr* address) {
  const auto as_bytes = [](const auto& field) {
    return std::span(reinterpret_cast<const std::uint8_t*>(&field), sizeof field);
  };
  if (address != nullptr && address->sa_family == AF_INET)
    return as_bytes(reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
  if (address != nullptr && address->sa_family == AF_INET6)
    return as_bytes(reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
  return {};
}

bool is_of_this_link_only(std::span<const std::uint8_t> bytes) {
  if (bytes.size() == 4) return bytes[0] == 127 || (bytes[0] == 169 && bytes[1] == 254);
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

// A guest's end of a bridge is a tap device.
bool has_guests(const std::string& bridge) {
  std::error_code ignored;
  const std::filesystem::path ports = "/sys/class/net/" + bridge + "/brif";
  for (const auto& port : std::filesystem::directory_iterator(ports, ignored)) {
    const auto tap = "/sys/class/net/" + port.path().filename().string() + "/tun_flags";
    if (std::filesystem::exists(tap, ignored)) return true;
  }
  return false;
}

// What the kernel says of a device; 0: nothing.
std::uint32_t number_of(const std::string& device, const char* what) {
  const auto text = read_file("/sys/class/net/" + device + "/" + what);
  std::uint32_t value = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

std::optional<HostAddress> read_entry(const ifaddrs& entry) {
  const auto bytes = bytes_of(entry.ifa_addr);
  const bool down = (entry.ifa_flags & IFF_UP) == 0 || (entry.ifa_flags & IFF_LOOPBACK) != 0;
  if (bytes.empty() || down || is_of_this_link_only(bytes)) return {};
  HostAddress found;
  char text[INET6_ADDRSTRLEN] = {};
  if (::inet_ntop(entry.ifa_addr->sa_family, bytes.data(), text, sizeof text) == nullptr) return {};
  found.address = text;
  for (const std::uint8_t byte : bytes_of(entry.ifa_netmask))
    found.prefix_bits += static_cast<std::uint32_t>(std::popcount(byte));
  found.device = entry.ifa_name;
  found.guests = has_guests(found.device);
  return found;
}

}  // namespace

std::vector<HostAddress> host_addresses() {
  std::vector<HostAddress> found;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  const AddressList owner(list, ::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (auto address = read_entry(*entry)) found.push_back(std::move(*address));
  }
  return found;
}

std::vector<LinkFacts> host_links(std::span<const std::string> bridges,
                                  std::span<const HostAddress> addresses) {
  std::vector<LinkFacts> links;
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(links, name, &LinkFacts::name) != links.end()) return;
    // A driver that knows no speed says -1, or nothing.
    links.push_back({name, number_of(name, "mtu"), number_of(name, "speed"), ""});
  };
  for (const auto& bridge : bridges) add(bridge);
  for (const auto& address : addresses) add(address.device);
  return links;
}

std::string address_towards(const std::string& destination) {
  sockaddr_in four{};
  sockaddr_in6 six{};
  four.sin_family = AF_INET;
  six.sin6_family = AF_INET6;
  four.sin_port = six.sin6_port = htons(9);  // any port: nothing is sent
  const bool is_four = ::inet_pton(AF_INET, destination.c_str(), &four.sin_addr) == 1;
  if (!is_four && ::inet_pton(AF_INET6, destination.c_str(), &six.sin6_addr) != 1) return {};
  auto* const to = is_four ? reinterpret_cast<sockaddr*>(&four) : reinterpret_cast<sockaddr*>(&six);
  socklen_t size = is_four ? sizeof four : sizeof six;
  const UniqueFd probe(::socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe || ::connect(probe.get(), to, size) != 0) return {};
  if (::getsockname(probe.get(), to, &size) != 0) return {};
  char text[INET6_ADDRSTRLEN] = {};
  const char* ok = ::inet_ntop(to->sa_family, bytes_of(to).data(), text, sizeof text);
  return ok == nullptr ? std::string() : std::string(text);
}

}  // namespace drover
