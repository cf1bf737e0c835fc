// SPDX-License-Identifier: Apache-2.0
// The API as typed calls, for the command line and system tests. One request at a time; one thread
// per object, but stop() may come from any. Errors are the server's own, or kUnavailable with the
// address, the cause and a hint.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/access.h"
#include "model/archive.h"
#include "model/evacuation.h"
#include "model/host.h"
#include "model/move.h"
#include "model/plan.h"
#include "model/vm.h"

namespace drover::client {

struct Target {
  // Local: the daemon of this machine, by its unix socket.
  std::string socket = "/run/drover/drover.sock";
  // Remote, when not empty: "https://host2:7430" or "host2". Needs a token, which also names the
  // server's key.
  std::string url;
  std::string token;
  // Not empty: the daemon carries each request to this paired host (`?host=`).
  std::string carried_to;
  std::chrono::milliseconds connect_within{std::chrono::seconds(5)};
  std::chrono::milliseconds answer_within{std::chrono::seconds(60)};
};

// One server-sent event; `body` is JSON: the Move for progress, phase, state.
struct StreamEvent {
  std::string name;
  std::string body;
};

class ApiClient {
 public:
  explicit ApiClient(Target target);
  ~ApiClient();
  ApiClient(ApiClient&&) noexcept;

  Result<ServerVersion> version();
  Result<HostFacts> host();

  Result<HostSettings> settings();
  Result<HostSettings> change_settings(const std::vector<SettingChange>& changes);

  Result<std::vector<HostEntry>> hosts();
  Result<HostEntry> host(std::string_view name);
  Result<Invite> invite(const InviteRequest& request);
  Result<HostEntry> add_host(const HostAddition& addition);
  Result<HostEntry> set_rights(std::string_view name, const PeerRights& rights);
  Result<HostEntry> approve_host(std::string_view name);
  Status remove_host(std::string_view name);

  Result<VmListing> vms(bool of_all_hosts);
  // What was done, by MAC.
  Result<std::vector<std::string>> replug_vm(std::string_view name_or_uuid);
  Result<Plan> make_plan(const MoveRequest& request);
  Result<Plan> plan(std::string_view id);
  // `requested_by` is the server's to say.
  Result<Move> start_move(const PlanApproval& approval);
  Result<Move> start_move(const MoveRequest& request);
  Result<std::vector<Move>> moves();
  Result<Move> move(std::string_view id);
  Result<Move> cancel_move(std::string_view id);
  Result<Move> converge_move(std::string_view id, const Convergence& policy);
  // An administrator's word on who runs the VM; checked there.
  enum class Peer { kAnswers, kIsLost };
  Result<Move> resolve_move(std::string_view id, std::string_view runs_on, Peer destination);

  // Moves that wait for their turn, in order.
  Result<std::vector<Move>> queue();
  Result<Move> hold_move(std::string_view id);
  Result<Move> release_move(std::string_view id);
  Result<Move> set_priority(std::string_view id, int priority);

  // These look at every paired host of the daemon.
  Result<BestChoice> best_host(const BestRequest& request);
  Result<Evacuation> plan_evacuation(const EvacuationRequest& request);
  Result<Evacuation> start_evacuation(const EvacuationRequest& request);
  // Newest first.
  Result<std::vector<Evacuation>> evacuations();
  Result<Evacuation> cancel_evacuation();

  // Exports and imports. A plan of an import asks the daemon's paired hosts.
  Result<Archive> plan_archive(const ArchiveRequest& request);
  Result<Archive> start_archive(const ArchiveRequest& request);
  // Newest first.
  Result<std::vector<Archive>> archives();
  Result<Archive> archive(std::string_view id);
  Result<Archive> cancel_archive(std::string_view id);
  Result<Archive> give_up_archive(std::string_view id);

  // Calls `on_move` with the event's name ("progress", "phase", "state") and the Move, first with
  // the present one, until it has ended (success) or `on_move` returns false (kCancelled).
  // kUnavailable: the stream broke, or was silent for 10 s; the move itself goes on. Call again to
  // go on watching.
  using OnMove = std::function<bool(std::string_view event, const Move& move)>;
  Status follow_move(std::string_view id, const OnMove& on_move);
  // All events of the daemon, until `on_event` returns false (kCancelled) or the stream breaks.
  using OnEvent = std::function<bool(const StreamEvent& event)>;
  Status follow_events(const OnEvent& on_event);
  // Breaks off a stream under way; it returns kCancelled. Any thread.
  void stop();

  Result<std::vector<QuarantinedDisk>> quarantine();
  Status restore_quarantine(std::string_view move_id);
  Status drop_quarantine(std::string_view move_id);

  Result<std::vector<Token>> tokens();
  Result<NewToken> add_token(std::string_view name);
  Status remove_token(std::string_view id);

  Result<std::vector<Finding>> doctor();
  Status fix(std::string_view name);

  // The JSON text of an answer, for `--json` and for tests. `path` is like "/v1/moves"; `body` may
  // be empty.
  Result<std::string> raw(std::string_view method, std::string_view path, std::string_view body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace drover::client
