// SPDX-License-Identifier: Apache-2.0
#include "api/routes.h"

#include <array>

namespace drover::api {
namespace {

constexpr std::array kRoutes{
    Route{"GET", "/v1/version", Who::kUser, get_version},
    Route{"GET", "/v1/host", Who::kUser, get_host},
    Route{"GET", "/v1/settings", Who::kUser, get_settings},
    Route{"PATCH", "/v1/settings", Who::kUser, change_settings},
    Route{"GET", "/v1/hosts", Who::kUser, list_hosts},
    Route{"POST", "/v1/hosts", Who::kUser, add_host},
    Route{"POST", "/v1/hosts/invite", Who::kUser, invite_host},
    Route{"GET", "/v1/hosts/{name}", Who::kUser, get_peer},
    Route{"PATCH", "/v1/hosts/{name}", Who::kUser, change_peer},
    Route{"DELETE", "/v1/hosts/{name}", Who::kUser, remove_peer},
    Route{"GET", "/v1/hosts/{name}/interfaces", Who::kUser, list_interface_places},
    Route{"PUT", "/v1/hosts/{name}/interfaces", Who::kUser, set_interface_places},
    Route{"POST", "/v1/hosts/{name}/approve", Who::kUser, approve_peer},
    Route{"GET", "/v1/vms", Who::kUser, list_vms, "all"},
    Route{"POST", "/v1/vms/{id}/replug", Who::kUser, replug_vm},
    Route{"POST", "/v1/vms/{id}/cpu-compat", Who::kUser, cpu_compat},
    Route{"GET", "/v1/mobility", Who::kUser, get_mobility, "vm"},
    Route{"GET", "/v1/fixes", Who::kUser, list_fixes},
    Route{"POST", "/v1/fixes/{id}/undo", Who::kUser, undo_fix},
    Route{"POST", "/v1/plans/{id}/fix", Who::kUser, fix_plan},
    Route{"POST", "/v1/plans", Who::kUser, make_plan},
    Route{"GET", "/v1/plans/{id}", Who::kUser, get_plan},
    Route{"GET", "/v1/moves", Who::kUser, list_moves},
    Route{"POST", "/v1/moves", Who::kUser, start_move},
    Route{"GET", "/v1/moves/{id}", Who::kUser, get_move},
    Route{"POST", "/v1/moves/{id}/cancel", Who::kUser, cancel_move},
    Route{"POST", "/v1/moves/{id}/convergence", Who::kUser, converge_move},
    Route{"POST", "/v1/moves/{id}/resolve", Who::kUser, resolve_move},
    Route{"GET", "/v1/moves/{id}/events", Who::kUser, follow_move, {}, true},
    Route{"GET", "/v1/queue", Who::kUser, list_queue},
    Route{"POST", "/v1/queue/{id}/hold", Who::kUser, hold_move},
    Route{"POST", "/v1/queue/{id}/release", Who::kUser, release_move},
    Route{"POST", "/v1/queue/{id}/priority", Who::kUser, set_priority},
    Route{"POST", "/v1/best", Who::kUser, best_host},
    Route{"GET", "/v1/evacuations", Who::kUser, list_evacuations},
    Route{"POST", "/v1/evacuations", Who::kUser, start_evacuation},
    Route{"POST", "/v1/evacuations/plan", Who::kUser, plan_evacuation},
    Route{"POST", "/v1/evacuations/cancel", Who::kUser, cancel_evacuation},
    Route{"GET", "/v1/archives", Who::kUser, list_archives},
    Route{"POST", "/v1/archives", Who::kUser, start_archive},
    Route{"POST", "/v1/archives/plan", Who::kUser, plan_archive},
    Route{"GET", "/v1/archives/{id}", Who::kUser, get_archive},
    Route{"POST", "/v1/archives/{id}/cancel", Who::kUser, cancel_archive},
    Route{"POST", "/v1/archives/{id}/give-up", Who::kUser, give_up_archive},
    Route{"GET", "/v1/events", Who::kUser, follow_events, {}, true},
    Route{"GET", "/v1/quarantine", Who::kUser, list_quarantine},
    Route{"POST", "/v1/quarantine/{move}/restore", Who::kUser, restore_quarantine},
    Route{"POST", "/v1/quarantine/{move}/drop", Who::kUser, drop_quarantine},
    // The same store by the name that its other use has (docs/residue.md).
    Route{"GET", "/v1/residue", Who::kUser, list_quarantine},
    Route{"POST", "/v1/residue/{move}/drop", Who::kUser, drop_quarantine},
    Route{"GET", "/v1/tokens", Who::kUser, list_tokens},
    Route{"POST", "/v1/tokens", Who::kUser, add_token},
    Route{"DELETE", "/v1/tokens/{id}", Who::kUser, remove_token},
    Route{"GET", "/v1/doctor", Who::kUser, doctor},
    Route{"POST", "/v1/doctor/fix", Who::kUser, fix},
    Route{"POST", "/v1/peer/pair", Who::kNewcomer, pair_with},
    Route{"POST", "/v1/peer/{verb}", Who::kPeer, peer_verb},
};

// Cuts the next part off "/a/b"; false at the end.
bool next_part(std::string_view& path, std::string_view& part) {
  if (path.empty() || path.front() != '/') return false;
  path.remove_prefix(1);
  const std::size_t slash = path.find('/');
  part = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  return true;
}

bool fits(std::string_view pattern, std::string_view path, std::vector<std::string>& arguments) {
  std::string_view wanted, given;
  while (true) {
    const bool more = next_part(pattern, wanted);
    if (next_part(path, given) != more) return false;
    if (!more) return path.empty();
    if (wanted.starts_with('{')) {
      if (given.empty()) return false;
      arguments.emplace_back(given);
    } else if (wanted != given) {
      return false;
    }
  }
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

// Fixed paths stand before patterns that would take them too, and the first that fits is it.
std::expected<Match, Mismatch> find_route(std::string_view method, std::string_view path) {
  Mismatch mismatch;
  for (const Route& route : kRoutes) {
    Match match{&route, {}};
    if (!fits(route.pattern, path, match.arguments)) continue;
    if (route.method == method) return match;
    mismatch.path_known = true;
  }
  return std::unexpected(mismatch);
}

}  // namespace drover::api
