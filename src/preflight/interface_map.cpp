// SPDX-License-Identifier: Apache-2.0
#include "preflight/interface_map.h"

#include <algorithm>

#include <fmt/ranges.h>

namespace drover::preflight {
namespace {

constexpr std::string_view kNetworkPrefix = "network:";
constexpr std::string_view kBridgePrefix = "bridge:";
constexpr std::size_t kNameBytesMost = 255;
constexpr std::size_t kFixesMost = 3;

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::ranges::find(list, value) != list.end();
}

bool same_from(const std::string& a, const std::string& b) { return a == b || same_mac(a, b); }

// Each interface once, the running VM's first.
std::vector<InterfaceFacts> interfaces_of(const DomainFacts& live, const DomainFacts* persistent) {
  std::vector<InterfaceFacts> all = live.interfaces;
  if (persistent == nullptr) return all;
  for (const auto& interface : persistent->interfaces) {
    const bool known = std::ranges::any_of(all, [&](const InterfaceFacts& other) {
      return same_mac(other.mac, interface.mac) && other.source == interface.source;
    });
    if (!known) all.push_back(interface);
  }
  return all;
}

std::string words_of(const std::vector<InterfaceFacts>& interfaces) {
  if (interfaces.empty()) return "It has no interface.";
  std::vector<std::string> words;
  for (const auto& interface : interfaces) {
    words.push_back(interface.source.empty()
                        ? fmt::format("{} ({})", interface.mac, interface.type)
                        : fmt::format("{} on {}", interface.mac, interface.source));
  }
  return fmt::format("It has {}.", fmt::join(words, ", "));
}

Status check_requested(const std::string& vm, const InterfacePlace& place,
                       const std::vector<InterfaceFacts>& interfaces) {
  bool named = false;
  for (const auto& interface : interfaces) {
    if (!names_interface(place.from, interface)) continue;
    named = true;
    if (can_be_plugged(interface)) return {};
  }
  if (named) {
    return fail(ErrorCode::kInvalidArgument,
                "{} cannot be plugged in elsewhere: it is no interface of a bridge, a network, a "
                "device (macvtap) or of QEMU's own network.",
                place.from);
  }
  return fail(ErrorCode::kInvalidArgument, "{} has no interface {}. {}", vm, place.from,
              words_of(interfaces));
}

// What decides an interface's place: a MAC goes before a name, as in adapt_interfaces().
const InterfacePlace* place_of(const InterfaceFacts& interface,
                               std::span<const InterfacePlace> places) {
  const InterfacePlace* found = nullptr;
  for (const auto& place : places) {
    if (!names_interface(place.from, interface)) continue;
    if (is_mac(place.from)) return &place;
    if (found == nullptr) found = &place;
  }
  return found;
}

std::string_view without(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

std::optional<InterfaceTarget> find_target(const InterfacePlace& place, const HostFacts& host) {
  using Kind = InterfaceTarget::Kind;
  const auto& facts = host.networks;
  const std::string& to = place.to;
  const bool any = !to.starts_with(kNetworkPrefix) && !to.starts_with(kBridgePrefix);
  if (any || to.starts_with(kNetworkPrefix)) {
    const std::string name(without(to, kNetworkPrefix));
    if (contains(facts.active_networks, name))
      return InterfaceTarget{place.from, Kind::kNetwork, name};
  }
  if (any || to.starts_with(kBridgePrefix)) {
    const std::string name(without(to, kBridgePrefix));
    if (contains(facts.bridges, name)) return InterfaceTarget{place.from, Kind::kBridge, name};
  }
  return {};
}

// A bridge that libvirt made for a network of its own is offered as that network.
std::vector<std::string> offered_by(const HostFacts& host) {
  std::vector<std::string> names = host.networks.active_networks;
  for (const auto& bridge : host.networks.bridges) {
    const auto link = std::ranges::find(host.networks.links, bridge, &LinkFacts::name);
    if (link != host.networks.links.end() && !link->network.empty()) continue;
    names.push_back(contains(names, bridge) ? "bridge:" + bridge : bridge);
  }
  return names;
}

}  // namespace

Status check_interface_places(std::span<const InterfacePlace> places, std::size_t most) {
  if (places.size() > most)
    return fail(ErrorCode::kInvalidArgument, "At most {} interfaces can be placed.", most);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& [from, to] = places[i];
    const std::string_view name = without(without(to, kNetworkPrefix), kBridgePrefix);
    if (from.empty() || name.empty() || from.size() > kNameBytesMost ||
        to.size() > kNameBytesMost) {
      return fail(ErrorCode::kInvalidArgument,
                  "--network {}={} maps {}: name the interface (its MAC, network or bridge) and a "
                  "network or bridge of the destination, such as lan=prod.",
                  from, to, from.empty() ? "nothing" : "to nothing");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (same_from(places[j].from, from)) {
        return fail(ErrorCode::kInvalidArgument, "--network names {} twice: as {} and as {}.", from,
                    places[j].to, to);
      }
    }
  }
  return {};
}

Result<std::vector<InterfacePlace>> choose_interface_places(
    const DomainFacts& live, const DomainFacts* persistent,
    std::span<const InterfacePlace> requested, std::span<const InterfacePlace> remembered) {
  RETURN_IF_ERROR(check_interface_places(requested));
  const auto interfaces = interfaces_of(live, persistent);
  for (const auto& place : requested)
    RETURN_IF_ERROR(check_requested(live.vm.name, place, interfaces));
  std::vector<InterfacePlace> places(requested.begin(), requested.end());
  for (const auto& place : remembered) {
    const bool speaks = std::ranges::any_of(interfaces, [&](const InterfaceFacts& interface) {
      return names_interface(place.from, interface) && can_be_plugged(interface) &&
             place_of(interface, requested) == nullptr;
    });
    if (speaks && places.size() < kInterfacePlacesMax) places.push_back(place);
  }
  return places;
}

void note_interface_places(const DomainFacts& live, std::span<const InterfacePlace> places,
                           std::span<const InterfacePlace> requested, const std::string& host,
                           Findings& findings) {
  for (const auto& interface : live.interfaces) {
    const InterfacePlace* place = place_of(interface, places);
    if (place == nullptr || !can_be_plugged(interface) || place->to == interface.source) continue;
    const bool asked = place_of(interface, requested) != nullptr;
    findings.note(
        Code::kNetworkMapped, interface.mac,
        fmt::format("On {} the interface {} is plugged into {}; here it is on {}.", host,
                    interface.mac, place->to,
                    interface.source.empty() ? "QEMU's own network" : interface.source),
        asked
            ? fmt::format("So it was asked for; the next move to {} does the same by itself.", host)
            : fmt::format("So it is remembered of these two hosts: drover host networks {}.",
                          word(host)));
  }
}

std::vector<InterfaceTarget> find_interface_targets(std::span<const InterfacePlace> places,
                                                    const HostFacts& host, Findings& findings) {
  std::vector<InterfaceTarget> targets;
  for (const auto& place : places) {
    if (auto target = find_target(place, host)) {
      targets.push_back(std::move(*target));
      continue;
    }
    auto fixes = network_fixes(place.from, host);
    fixes.push_back(
        fmt::format("On {}: virsh net-start {}, if it is only not started", host.name,
                    word(std::string(without(without(place.to, kNetworkPrefix), kBridgePrefix)))));
    findings.blocker(
        Code::kNetworkMapUnknown, place.from,
        fmt::format("{} has no active network and no bridge {}, to which {} is mapped.", host.name,
                    place.to, place.from),
        "The VM's network card would have nothing to be plugged into.", std::move(fixes));
  }
  return targets;
}

std::vector<std::string> network_fixes(const std::string& from, const HostFacts& host) {
  std::vector<std::string> fixes;
  for (const auto& name : offered_by(host)) {
    if (fixes.size() == kFixesMost) break;
    fixes.push_back(
        fmt::format("--network {}={}, if it is the same network there", word(from), word(name)));
  }
  return fixes;
}

}  // namespace drover::preflight
