// SPDX-License-Identifier: Apache-2.0
// What the API asks of the rest of droverd, in the model's words. The API implements hosts,
// invites, settings and tokens by itself; everything about VMs and moves is behind this. Any thread
// may call any function, several at a time; each returns within seconds (a move is started, not
// waited for).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/fit.h"
#include "base/error.h"
#include "model/archive.h"
#include "model/evacuation.h"
#include "model/host.h"
#include "model/move.h"
#include "model/plan.h"
#include "model/vm.h"

namespace drover::api {

struct MoveClaim {
  std::string runs_on;
  bool peer_is_lost = false;
  std::string requested_by;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // `name` and `settings` are filled in by the API.
  virtual Result<HostFacts> host_facts() = 0;
  // Of this host; `host` is filled in by the API.
  virtual Result<std::vector<Vm>> vms() = 0;

  // Takes the links of a running VM's network interfaces down and up; what was done, by MAC.
  virtual Result<std::vector<std::string>> replug_vm(std::string_view name_or_uuid,
                                                     std::string_view requested_by) = 0;

  // `requested_by` is set: "alice" (local), "token:ci", or "alice@host3" when a paired host carried
  // the request.
  virtual Result<Plan> make_plan(const MoveRequest& request) = 0;
  virtual Result<Plan> plan(std::string_view id) = 0;
  virtual Result<Move> start_move(const PlanApproval& approval) = 0;
  virtual Result<Move> start_move(const MoveRequest& request) = 0;
  // Newest first, bounded by the implementation.
  virtual Result<std::vector<Move>> moves() = 0;
  virtual Result<Move> move(std::string_view id) = 0;
  virtual Result<Move> cancel_move(std::string_view id, std::string_view requested_by) = 0;
  // An administrator's word on who runs the VM of a move that is parked or in doubt. kConflict: it
  // is not so, or none is needed; kUnavailable: it cannot be checked.
  virtual Result<Move> resolve_move(std::string_view id, const MoveClaim& claim) = 0;
  // kConflict: the move is too far for that policy.
  virtual Result<Move> converge_move(std::string_view id, const Convergence& policy,
                                     std::string_view requested_by) = 0;

  // Moves that wait for their turn, in order, with their positions.
  virtual Result<std::vector<Move>> queue() = 0;
  // kConflict: the move does not wait.
  virtual Result<Move> hold_move(std::string_view id, bool held, std::string_view requested_by) = 0;
  virtual Result<Move> set_priority(std::string_view id, int priority,
                                    std::string_view requested_by) = 0;

  // Placing (docs/evacuate.md). These look at every paired host, and may take a minute.
  virtual Result<BestChoice> best_host(const BestRequest& request) = 0;
  virtual Result<Evacuation> plan_evacuation(const EvacuationRequest& request) = 0;
  virtual Result<Evacuation> start_evacuation(const EvacuationRequest& request) = 0;
  // Newest first.
  virtual Result<std::vector<Evacuation>> evacuations() = 0;
  virtual Result<Evacuation> cancel_evacuation(std::string_view requested_by) = 0;

  // Exports and imports of this host (docs/export.md). A plan of an import asks paired hosts, too.
  virtual Result<Archive> plan_archive(const ArchiveRequest& request) = 0;
  virtual Result<Archive> start_archive(const ArchiveRequest& request) = 0;
  // Newest first.
  virtual Result<std::vector<Archive>> archives() = 0;
  virtual Result<Archive> archive(std::string_view id) = 0;
  virtual Result<Archive> cancel_archive(std::string_view id, std::string_view requested_by) = 0;
  virtual Result<Archive> give_up_archive(std::string_view id, std::string_view requested_by) = 0;

  virtual Result<std::vector<QuarantinedDisk>> quarantine() = 0;
  virtual Status restore_quarantine(std::string_view move_id, std::string_view requested_by) = 0;
  virtual Status drop_quarantine(std::string_view move_id, std::string_view requested_by) = 0;

  // How VMs fit hosts; lives as long as this.
  virtual Fit& fit() = 0;

  virtual Result<std::vector<Finding>> doctor() = 0;
  // kInvalidArgument: no such fix.
  virtual Status fix(std::string_view name, std::string_view requested_by) = 0;
};

}  // namespace drover::api
