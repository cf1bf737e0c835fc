// SPDX-License-Identifier: Apache-2.0
// For tests of the API: one whole host in this process, on a unix socket and a random TCP port,
// with a fake backend.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>

#include <gtest/gtest.h>

#include "api/servers.h"
#include "base/random.h"
#include "client/api_client.h"
#include "client/https_peer_transport.h"
#include "journal/database.h"
#include "json/model_json.h"

namespace drover::api {

class FakeFit final : public Fit {
 public:
  Result<CpuCompat> cpu_compat(const CpuWish& wish) override {
    CpuCompat found;
    found.vm_name = wish.vm;
    found.hosts = wish.hosts;
    if (wish.write) found.fix = wish.requested_by;
    return found;
  }
  Result<Mobility> mobility(std::string_view vm) override {
    Mobility found;
    found.vms.emplace_back().vm_name = vm;
    return found;
  }
  Result<std::vector<AppliedFix>> fixes() override { return std::vector<AppliedFix>(2); }
  Result<std::vector<AppliedFix>> apply_fix(std::string_view plan_id, std::string_view code,
                                            std::string_view) override {
    std::vector<AppliedFix> done(1);
    done[0].id = plan_id;
    done[0].code = code;
    return done;
  }
  Result<AppliedFix> undo_fix(std::string_view id, std::string_view) override {
    return fail(ErrorCode::kNotFound, "There is no fix {}.", id);
  }
};

class FakeBackend final : public Backend {
 public:
  Fit& fit() override { return fit_; }
  Result<HostFacts> host_facts() override {
    HostFacts facts;
    facts.cpus = 4;
    return facts;
  }
  Result<std::vector<Vm>> vms() override {
    Vm vm;
    vm.name = "web";
    return std::vector<Vm>{vm};
  }
  Result<Plan> make_plan(const MoveRequest& request) override {
    Plan plan;
    plan.id = "p1";
    plan.request = request;
    return plan;
  }
  Result<Plan> plan(std::string_view id) override {
    if (id != "p1") return fail(ErrorCode::kNotFound, "There is no plan {}.", id);
    return Plan{};
  }
  Result<Move> start_move(const PlanApproval& approval) override {
    Move move = make_move(approval.requested_by);
    move.plan.id = approval.plan_id;
    return put(move);
  }
  Result<Move> start_move(const MoveRequest& request) override {
    if (request.vm == "blocked") return fail(ErrorCode::kBlocked, "The plan has blockers.");
    return put(make_move(request.requested_by));
  }
  Result<std::vector<Move>> moves() override { return std::vector<Move>{make_move("x")}; }
  Result<Move> move(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    const auto found = moves_.find(id);
    if (found == moves_.end()) return fail(ErrorCode::kNotFound, "There is no move {}.", id);
    return found->second;
  }
  Result<Move> cancel_move(std::string_view id, std::string_view) override {
    ASSIGN_OR_RETURN(Move known, move(id));
    known.cancel_asked = true;
    return put(known);
  }
  Result<Move> resolve_move(std::string_view id, const MoveClaim& claim) override {
    ASSIGN_OR_RETURN(Move known, move(id));
    known.resolution = Resolution{claim.runs_on, claim.peer_is_lost, claim.requested_by, {}};
    return put(known);
  }
  Result<std::vector<std::string>> replug_vm(std::string_view name, std::string_view) override {
    return std::vector<std::string>{std::string(name)};
  }
  Result<Move> converge_move(std::string_view id, const Convergence& policy,
                             std::string_view) override {
    ASSIGN_OR_RETURN(Move known, move(id));
    known.convergence = policy;
    return put(known);
  }
  Result<std::vector<Move>> queue() override {
    const std::lock_guard lock(mutex_);
    std::vector<Move> waiting;
    for (const auto& [id, move] : moves_)
      if (move.queue) waiting.push_back(move);
    return waiting;
  }
  Result<Move> hold_move(std::string_view id, bool held, std::string_view) override {
    ASSIGN_OR_RETURN(Move known, move(id));
    known.queue.emplace().held = held;
    return put(known);
  }
  Result<Move> set_priority(std::string_view id, int priority, std::string_view) override {
    ASSIGN_OR_RETURN(Move known, move(id));
    known.queue.emplace().priority = priority;
    return put(known);
  }
  Result<BestChoice> best_host(const BestRequest& request) override {
    BestChoice choice;
    choice.hosts.resize(2);
    choice.hosts[0].host = request.among.empty() ? "host2" : request.among.front();
    choice.plan.emplace().request = request.request;
    return choice;
  }
  Result<Evacuation> plan_evacuation(const EvacuationRequest& request) override {
    Evacuation job;
    job.request = request;
    return job;
  }
  Result<Evacuation> start_evacuation(const EvacuationRequest& request) override {
    Evacuation job;
    job.id = "e1";
    job.request = request;
    job.state = EvacuationState::kRunning;
    return job;
  }
  Result<std::vector<Evacuation>> evacuations() override { return std::vector<Evacuation>(1); }
  Result<Evacuation> cancel_evacuation(std::string_view) override {
    return fail(ErrorCode::kConflict, "Nothing is being evacuated.");
  }
  Result<Archive> plan_archive(const ArchiveRequest& request) override {
    Archive job;
    job.request = request;
    return job;
  }
  Result<Archive> start_archive(const ArchiveRequest& request) override {
    Archive job;
    job.id = "a1";
    job.request = request;
    job.state = ArchiveState::kRunning;
    return job;
  }
  Result<std::vector<Archive>> archives() override { return std::vector<Archive>(1); }
  Result<Archive> archive(std::string_view id) override {
    if (id != "a1") return fail(ErrorCode::kNotFound, "There is no export or import {}.", id);
    Archive job;
    job.id = id;
    return job;
  }
  Result<Archive> cancel_archive(std::string_view, std::string_view) override {
    return fail(ErrorCode::kConflict, "It has ended.");
  }
  Result<Archive> give_up_archive(std::string_view, std::string_view) override {
    return fail(ErrorCode::kConflict, "It has ended.");
  }
  Result<std::vector<QuarantinedDisk>> quarantine() override {
    return std::vector<QuarantinedDisk>(1);
  }
  Status restore_quarantine(std::string_view, std::string_view) override { return {}; }
  Status drop_quarantine(std::string_view, std::string_view) override {
    return fail(ErrorCode::kInDoubt, "It is not known which host runs the VM.");
  }
  Result<std::vector<Finding>> doctor() override { return std::vector<Finding>(1); }
  Status fix(std::string_view name, std::string_view) override {
    if (name != "hook") return fail(ErrorCode::kInvalidArgument, "There is no fix {}.", name);
    return {};
  }

  Move put(const Move& move) {
    const std::lock_guard lock(mutex_);
    return moves_[move.id] = move;
  }
  static Move make_move(std::string requested_by) {
    Move move;
    move.id = "m1";
    move.plan.request.requested_by = std::move(requested_by);
    return move;
  }

 private:
  FakeFit fit_;
  std::mutex mutex_;  // guards moves_
  std::map<std::string, Move, std::less<>> moves_;
};

class EchoPeerHandler final : public net::PeerHandler {
 public:
  explicit EchoPeerHandler(Backend& backend) : backend_(backend) {}

  Result<std::string> handle(std::string_view peer, std::string_view verb,
                             std::string_view body) override {
    if (verb == "fail") return fail(ErrorCode::kPolicy, "The policy of this host refuses it.");
    if (verb == "vms") return json::to_json(backend_.vms().value());
    return fmt::format("{} {} {}", peer, verb, body);
  }

 private:
  Backend& backend_;
};

class TestHost {
 public:
  explicit TestHost(std::string name, std::function<void(ServerOptions&)> adjust = nullptr)
      : folder(std::filesystem::temp_directory_path() / ("drover-" + random_name(8))) {
    std::filesystem::create_directories(folder);
    identity.emplace(*net::HostIdentity::make());
    database = *journal::Database::open(folder / "drover.db");
    book = *journal::HostBook::open(*database);
    connections.emplace(*identity);
    options.host_name = std::move(name);
    options.version = "0.1.0";
    options.socket = folder / "drover.sock";
    options.socket_group = "no-such-group";
    options.listen_address = "127.0.0.1";
    options.advertised_address = "127.0.0.1";
    options.api_port = 0;
    options.mover_port = 1;
    options.limits.requests.idle = std::chrono::seconds(8);
    if (adjust) adjust(options);
    start();
  }
  ~TestHost() {
    servers->stop();
    std::filesystem::remove_all(folder);
  }
  void start() {
    hub = std::make_unique<EventHub>();
    servers =
        std::make_unique<Servers>(options, *identity, *book, backend, handler, *connections, *hub);
    const auto status = servers->start();
    EXPECT_TRUE(status) << status.error().text();
    port = servers->api_port();
  }
  void restart_on_same_port() {
    servers->stop();
    servers.reset();
    options.api_port = port;
    start();
  }

  client::ApiClient local(std::string carried_to = "") {
    client::Target target;
    target.socket = options.socket;
    target.carried_to = std::move(carried_to);
    return client::ApiClient(target);
  }
  client::ApiClient remote(std::string token) const {
    client::Target target;
    target.url = fmt::format("https://127.0.0.1:{}", port);
    target.token = std::move(token);
    return client::ApiClient(target);
  }
  client::HttpsPeerTransport transport() {
    return client::HttpsPeerTransport(
        [this](std::string_view name) { return book->find_peer(name); }, *connections);
  }

  const std::filesystem::path folder;
  std::optional<net::HostIdentity> identity;
  std::unique_ptr<journal::Database> database;
  std::unique_ptr<journal::HostBook> book;
  std::optional<net::PeerConnections> connections;
  ServerOptions options;
  FakeBackend backend;
  EchoPeerHandler handler{backend};
  std::unique_ptr<EventHub> hub;
  std::unique_ptr<Servers> servers;
  std::uint16_t port = 0;
};

// `joining` joins by an invite of `inviting`; rights as given on the inviting side.
inline Result<HostEntry> pair_hosts(TestHost& inviting, TestHost& joining, PeerRights rights = {},
                                    std::string name = "") {
  InviteRequest request;
  request.rights = rights;
  ASSIGN_OR_RETURN(const Invite invite, inviting.local().invite(request));
  HostAddition addition;
  addition.address = invite.address;
  addition.code = invite.code;
  addition.name = std::move(name);
  return joining.local().add_host(addition);
}

// Waits for what another thread brings about.
inline bool eventually(const std::function<bool()>& holds) {
  const Deadline deadline = Deadline::after(std::chrono::seconds(10));
  while (!holds()) {
    if (deadline.expired()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace drover::api
