// SPDX-License-Identifier: Apache-2.0
// The table of endpoints. docs/openapi.yaml has the same methods and paths; a test compares them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/exchange.h"

namespace drover::api {

enum class Who { kUser, kPeer, kNewcomer };

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/v1/moves/{id}": {…} stands for one part of the path
  Who who;
  Answer (*run)(const Exchange& exchange);
  std::string_view query = {};  // the one query member it takes beside `host`
  bool is_stream = false;
};

std::span<const Route> routes();

struct Match {
  const Route* route = nullptr;
  std::vector<std::string> arguments;
};
// kNotFound: no such path. kInvalidArgument with `method_only`: the path is there, with other
// methods.
struct Mismatch {
  bool path_known = false;
};
std::expected<Match, Mismatch> find_route(std::string_view method, std::string_view path);

// Endpoints, by noun.
Answer get_version(const Exchange& exchange);
Answer get_host(const Exchange& exchange);
Answer get_settings(const Exchange& exchange);
Answer change_settings(const Exchange& exchange);
Answer list_hosts(const Exchange& exchange);
Answer add_host(const Exchange& exchange);
Answer invite_host(const Exchange& exchange);
Answer get_peer(const Exchange& exchange);
Answer change_peer(const Exchange& exchange);
Answer remove_peer(const Exchange& exchange);
Answer approve_peer(const Exchange& exchange);
Answer list_interface_places(const Exchange& exchange);
Answer set_interface_places(const Exchange& exchange);
Answer cpu_compat(const Exchange& exchange);
Answer get_mobility(const Exchange& exchange);
Answer list_fixes(const Exchange& exchange);
Answer fix_plan(const Exchange& exchange);
Answer undo_fix(const Exchange& exchange);
Answer list_vms(const Exchange& exchange);
Answer make_plan(const Exchange& exchange);
Answer get_plan(const Exchange& exchange);
Answer list_moves(const Exchange& exchange);
Answer start_move(const Exchange& exchange);
Answer get_move(const Exchange& exchange);
Answer cancel_move(const Exchange& exchange);
Answer converge_move(const Exchange& exchange);
Answer resolve_move(const Exchange& exchange);
Answer replug_vm(const Exchange& exchange);
Answer list_queue(const Exchange& exchange);
Answer hold_move(const Exchange& exchange);
Answer release_move(const Exchange& exchange);
Answer set_priority(const Exchange& exchange);
Answer best_host(const Exchange& exchange);
Answer plan_evacuation(const Exchange& exchange);
Answer start_evacuation(const Exchange& exchange);
Answer list_evacuations(const Exchange& exchange);
Answer cancel_evacuation(const Exchange& exchange);
Answer list_archives(const Exchange& exchange);
Answer get_archive(const Exchange& exchange);
Answer plan_archive(const Exchange& exchange);
Answer start_archive(const Exchange& exchange);
Answer cancel_archive(const Exchange& exchange);
Answer give_up_archive(const Exchange& exchange);
Answer follow_move(const Exchange& exchange);
Answer follow_events(const Exchange& exchange);
Answer list_quarantine(const Exchange& exchange);
Answer restore_quarantine(const Exchange& exchange);
Answer drop_quarantine(const Exchange& exchange);
Answer list_tokens(const Exchange& exchange);
Answer add_token(const Exchange& exchange);
Answer remove_token(const Exchange& exchange);
Answer doctor(const Exchange& exchange);
Answer fix(const Exchange& exchange);
Answer pair_with(const Exchange& exchange);
Answer peer_verb(const Exchange& exchange);

}  // namespace drover::api
