// SPDX-License-Identifier: Apache-2.0
#include "move/plan/interface_choice.h"

#include <algorithm>
#include <set>

#include "preflight/interface_map.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kSkewMost = 5s;

void add(preflight::Findings& found, std::vector<Finding>& findings) {
  auto list = found.take();
  findings.insert(findings.end(), list.begin(), list.end());
}

std::string without_kind(const std::string& place) {
  for (const std::string_view prefix : {"network:", "bridge:"}) {
    if (place.starts_with(prefix)) return place.substr(prefix.size());
  }
  return place;
}

}  // namespace

Result<std::vector<InterfacePlace>> choose_interfaces(World& world, const Peer& destination,
                                                      const preflight::SourceView& view) {
  const auto& asked = view.request.interfaces;
  RETURN_IF_ERROR(preflight::check_interface_places(asked));
  const auto live = parse_domain(view.live_xml);
  if (!live) return asked;  // VM_UNREADABLE says so
  std::optional<DomainFacts> persistent;
  if (auto read = parse_domain(view.persistent_xml)) persistent = std::move(*read);
  ASSIGN_OR_RETURN(const auto remembered, world.book.interface_places().of(destination.public_key));
  return preflight::choose_interface_places(*live, persistent ? &*persistent : nullptr, asked,
                                            remembered);
}

void note_interfaces(std::span<const InterfacePlace> chosen, const preflight::SourceView& view,
                     std::vector<Finding>& findings) {
  const auto live = parse_domain(view.live_xml);
  if (!live) return;
  preflight::Findings found;
  preflight::note_interface_places(*live, chosen, view.request.interfaces, view.request.destination,
                                   found);
  add(found, findings);
}

Status remember_interfaces(World& world, const MoveRequest& request) {
  if (request.interfaces.empty()) return {};
  ASSIGN_OR_RETURN(const Peer peer, world.book.find_peer(request.destination));
  return world.book.interface_places().add(peer.public_key, request.interfaces);
}

Status remember_way_back(World& world, std::string_view source,
                         std::span<const InterfacePlace> places) {
  std::vector<InterfacePlace> back;
  std::set<std::string> ambiguous;
  for (const auto& place : places) {
    const std::string from = without_kind(place.to);
    if (is_mac(place.from)) ambiguous.insert(from);
    const auto known = std::ranges::find(back, from, &InterfacePlace::from);
    if (known == back.end())
      back.push_back({from, place.from});
    else
      ambiguous.insert(from);
  }
  std::erase_if(back, [&](const InterfacePlace& place) {
    return ambiguous.contains(place.from) || place.from == place.to;
  });
  if (back.empty()) return {};
  ASSIGN_OR_RETURN(const Peer peer, world.book.find_peer(source));
  return world.book.interface_places().add_unknown(peer.public_key, back);
}

void check_clock(const HostFacts& other, std::chrono::system_clock::time_point before,
                 std::chrono::system_clock::time_point after, std::vector<Finding>& findings) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  if (!other.clock) return;
  const bool ahead = *other.clock > after;
  const auto skew = duration_cast<milliseconds>(ahead                   ? *other.clock - after
                                                : *other.clock < before ? before - *other.clock
                                                                        : 0s);
  if (skew <= kSkewMost) return;
  preflight::Findings found;
  found.warning(
      preflight::Code::kTimeSkew, other.name,
      fmt::format("The clock of {} is {:.1f} s {} this host's.", other.name,
                  static_cast<double>(skew.count()) / 1000, ahead ? "ahead of" : "behind"),
      "The guest's clock goes on from the host's; a jump can end leases, tickets and "
      "certificates in it.",
      {fmt::format("On {}: chronyc makestep, or: systemctl restart systemd-timesyncd", other.name),
       "timedatectl, on both hosts"});
  add(found, findings);
}

}  // namespace drover::move
