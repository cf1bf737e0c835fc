// SPDX-License-Identifier: Apache-2.0
// Networks as people write them ("10.77.1.0/24", "fd00:1::/64") and whether an address lies in one.
// Plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

class IpNetwork {
 public:
  // kInvalidArgument: no address, no prefix, or bits set beyond the prefix (the message says what
  // is meant).
  static Result<IpNetwork> parse(std::string_view text);
  // The network of an interface: the address's first `prefix_bits` bits.
  static Result<IpNetwork> around(std::string_view address, unsigned prefix_bits);

  // False for a text that is no address. An IPv4 address never lies in an IPv6 network.
  bool contains(std::string_view address) const;
  std::string text() const;

 private:
  std::array<std::uint8_t, 16> bytes_{};  // IPv4: the first 4
  int family_ = 0;                        // AF_INET or AF_INET6
  unsigned prefix_bits_ = 0;
};

// Of one list: so many pairs of addresses a move can have.
inline constexpr std::size_t kNetworksMax = 8;

// "10.77.1.0/24,fd00:1::/64", or "any", which is no network at all. The order is kept.
// kInvalidArgument as parse(); also for a network named twice and for more than kNetworksMax.
Result<std::vector<std::string>> parse_networks(std::string_view text);
Result<std::vector<std::string>> check_networks(const std::vector<std::string>& networks);
// "any" for none.
std::string networks_text(const std::vector<std::string>& networks);
// True also for no networks at all. REQUIRES: they were checked; one that was not holds nothing.
bool lies_in_networks(std::string_view address, const std::vector<std::string>& networks);

}  // namespace drover
