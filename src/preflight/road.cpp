// SPDX-License-Identifier: Apache-2.0
#include "preflight/road.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/ip_network.h"
#include "preflight/finding.h"

namespace drover::preflight {
namespace {

Result<std::vector<std::string>> wished_for(const RoadView& view) {
  std::vector<std::string> wish = view.source.settings.networks;
  if (view.request.networks) {
    ASSIGN_OR_RETURN(wish, check_networks(*view.request.networks));
  }
  return wish.empty() ? view.destination.settings.networks : wish;
}

const HostAddress* first_in(const HostFacts& host, const std::string& network,
                            const std::vector<std::string>& allowed) {
  const auto found = std::ranges::find_if(host.networks.addresses, [&](const HostAddress& at) {
    return lies_in_networks(at.address, {network}) && lies_in_networks(at.address, allowed);
  });
  return found == host.networks.addresses.end() ? nullptr : &*found;
}

// Two networks of which one holds the other give the same pair: it is used once.
bool has_pair(const std::vector<NetworkPair>& pairs, const NetworkPair& pair) {
  return std::ranges::any_of(pairs, [&](const NetworkPair& known) {
    return known.source_address == pair.source_address &&
           known.destination_address == pair.destination_address;
  });
}

std::vector<NetworkPair> pairs_in(const std::vector<std::string>& wish, const RoadView& view) {
  std::vector<NetworkPair> pairs;
  for (const auto& network : wish) {
    const auto* from = first_in(view.source, network, {});
    const auto* to = first_in(view.destination, network, view.destination.settings.networks);
    if (from == nullptr || to == nullptr) continue;
    NetworkPair pair{network, from->address, to->address};
    if (!has_pair(pairs, pair)) pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::string addresses_words(const HostFacts& host) {
  std::vector<std::string> words;
  for (const auto& at : host.networks.addresses)
    words.push_back(fmt::format("{}/{}", at.address, at.prefix_bits));
  return words.empty() ? "no address" : fmt::format("{}", fmt::join(words, ", "));
}

// What both are in, and the destination allows.
std::vector<std::string> common_networks(const RoadView& view) {
  std::vector<std::string> common;
  for (const auto& at : view.source.networks.addresses) {
    const auto network = IpNetwork::around(at.address, at.prefix_bits);
    if (!network || std::ranges::find(common, network->text()) != common.end()) continue;
    if (first_in(view.destination, network->text(), view.destination.settings.networks) != nullptr)
      common.push_back(network->text());
  }
  return common;
}

void no_common_network(const RoadView& view, const std::vector<std::string>& wish,
                       Findings& findings) {
  std::vector<std::string> fixes;
  const auto common = common_networks(view);
  if (!common.empty()) {
    fixes.push_back(fmt::format("Both hosts are in {}: --networks {}", fmt::join(common, " and "),
                                fmt::join(common, ",")));
  }
  if (!view.destination.settings.networks.empty()) {
    fixes.push_back(fmt::format(
        "{} takes moves in over {} only: drover settings {} networks+=...", view.destination.name,
        networks_text(view.destination.settings.networks), word(view.destination.name)));
  }
  fixes.push_back("Take the way by which the hosts were paired: --networks any");
  findings.blocker(Code::kNoCommonNetwork, networks_text(wish),
                   fmt::format("{} and {} do not both have an address in {}.", view.source.name,
                               view.destination.name, networks_text(wish)),
                   fmt::format("Links go over these networks only. {} has {}; {} has {}.",
                               view.source.name, addresses_words(view.source),
                               view.destination.name, addresses_words(view.destination)),
                   std::move(fixes));
}

void note_guests(const HostFacts& host, const std::string& address, Findings& findings) {
  const auto found = std::ranges::find(host.networks.addresses, address, &HostAddress::address);
  if (found == host.networks.addresses.end() || !found->guests) return;
  findings.note(Code::kNetworkSharedWithGuests, found->device,
                fmt::format("On {} the move shares the bridge {} ({}) with guests.", host.name,
                            found->device, address),
                "It takes bandwidth from them. A network of its own for moves (drover settings "
                "networks) or a limit (bandwidth) avoids that.");
}

constexpr std::uint32_t kSpeedLeast = 1000;

// As the device says: what is in between may be slower.
void warn_of_slow_link(const HostFacts& host, const std::string& address, Findings& findings) {
  const auto at = std::ranges::find(host.networks.addresses, address, &HostAddress::address);
  if (at == host.networks.addresses.end()) return;
  const auto link = std::ranges::find(host.networks.links, at->device, &LinkFacts::name);
  if (link == host.networks.links.end() || link->speed_mbit == 0 || link->speed_mbit >= kSpeedLeast)
    return;
  findings.warning(
      Code::kLinkSlow, link->name,
      fmt::format("{} on {}, which the move goes over, has {} Mbit/s.", link->name, host.name,
                  link->speed_mbit),
      "Below 1 Gbit/s a busy guest may change its memory faster than the link carries it.",
      {"Name a faster network: --networks", "Choose what happens then: --convergence pause:10"});
}

}  // namespace

Result<Road> choose_road(const RoadView& view) {
  ASSIGN_OR_RETURN(const auto wish, wished_for(view));
  Road road;
  Findings findings;
  if (wish.empty()) {
    road.pairs.push_back({std::string(kAnyNetwork), view.address_towards, view.paired_address});
  } else {
    road.pairs = pairs_in(wish, view);
    if (road.pairs.empty()) no_common_network(view, wish, findings);
  }
  for (const auto& pair : road.pairs) {
    note_guests(view.source, pair.source_address, findings);
    note_guests(view.destination, pair.destination_address, findings);
    warn_of_slow_link(view.source, pair.source_address, findings);
    warn_of_slow_link(view.destination, pair.destination_address, findings);
  }
  road.findings = findings.take();
  return road;
}

}  // namespace drover::preflight
