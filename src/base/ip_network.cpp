// SPDX-License-Identifier: Apache-2.0
#include "base/ip_network.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <fmt/ranges.h>

namespace drover {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

struct IpAddress {
  Bytes bytes{};
  int family = 0;

  unsigned bits() const { return family == AF_INET ? 32 : 128; }
};

std::optional<IpAddress> read_ip(std::string_view text) {
  const std::string word(text);
  IpAddress address;
  for (const int family : {AF_INET, AF_INET6}) {
    address.family = family;
    if (::inet_pton(family, word.c_str(), address.bytes.data()) == 1) return address;
  }
  return {};
}

Bytes masked(Bytes bytes, unsigned prefix_bits) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const unsigned before = static_cast<unsigned>(i) * 8;
    const unsigned kept = prefix_bits <= before ? 0 : std::min(prefix_bits - before, 8u);
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00u >> kept));
  }
  return bytes;
}

std::unexpected<Error> no_network(std::string_view text) {
  return fail(ErrorCode::kInvalidArgument,
              "\"{}\" is no network. Write it with its prefix, such as 10.77.1.0/24 or "
              "fd00:1::/64, or say any.",
              text.substr(0, 80));
}

}  // namespace

Result<IpNetwork> IpNetwork::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return no_network(text);
  const std::string_view prefix = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), bits);
  const auto address = read_ip(text.substr(0, slash));
  if (!address || error != std::errc() || end != prefix.data() + prefix.size() ||
      bits > address->bits()) {
    return no_network(text);
  }
  ASSIGN_OR_RETURN(const IpNetwork network, around(text.substr(0, slash), bits));
  if (network.bytes_ != address->bytes) {
    return fail(ErrorCode::kInvalidArgument,
                "{} is an address in the network {}: write the network.", text, network.text());
  }
  return network;
}

Result<IpNetwork> IpNetwork::around(std::string_view address, unsigned prefix_bits) {
  const auto read = read_ip(address);
  if (!read || prefix_bits > read->bits()) return no_network(address);
  IpNetwork network;
  network.family_ = read->family;
  network.prefix_bits_ = prefix_bits;
  network.bytes_ = masked(read->bytes, prefix_bits);
  return network;
}

bool IpNetwork::contains(std::string_view address) const {
  const auto read = read_ip(address);
  return read && read->family == family_ && masked(read->bytes, prefix_bits_) == bytes_;
}

std::string IpNetwork::text() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family_, bytes_.data(), text, sizeof text);
  return fmt::format("{}/{}", text, prefix_bits_);
}

Result<std::vector<std::string>> parse_networks(std::string_view text) {
  if (text == "any") return std::vector<std::string>{};
  std::vector<std::string> words;
  while (true) {
    const std::size_t comma = text.find(',');
    words.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return check_networks(words);
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<std::string>> check_networks(const std::vector<std::string>& networks) {
  std::vector<std::string> checked;
  for (const auto& word : networks) {
    ASSIGN_OR_RETURN(const IpNetwork network, IpNetwork::parse(word));
    if (std::ranges::find(checked, network.text()) != checked.end()) {
      return fail(ErrorCode::kInvalidArgument, "The network {} is named twice.", network.text());
    }
    checked.push_back(network.text());
  }
  if (checked.size() <= kNetworksMax) return checked;
  return fail(ErrorCode::kInvalidArgument, "At most {} networks can be named, not {}.",
              kNetworksMax, checked.size());
}

std::string networks_text(const std::vector<std::string>& networks) {
  return networks.empty() ? "any" : fmt::format("{}", fmt::join(networks, ","));
}

bool lies_in_networks(std::string_view address, const std::vector<std::string>& networks) {
  return networks.empty() || std::ranges::any_of(networks, [&](const std::string& text) {
           const auto network = IpNetwork::parse(text);
           return network && network->contains(address);
         });
}

}  // namespace drover
