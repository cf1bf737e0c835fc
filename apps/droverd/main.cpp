// SPDX-License-Identifier: Apache-2.0
// droverd: reads its configuration, puts the parts together, waits for a signal. No logic.
#include <CLI/CLI.hpp>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "api/servers.h"
#include "archive/archivist.h"
#include "backend.h"
#include "base/file.h"
#include "base/log.h"
#include "client/https_peer_transport.h"
#include "config.h"
#include "fit/fitting.h"
#include "hypervisor/libvirt/libvirt.h"
#include "hypervisor/network_image.h"
#include "journal/database.h"
#include "journal/host_book.h"
#include "journal/move_journal.h"
#include "move/engine.h"
#include "move/health/outside_watch.h"
#include "move/plan/guest_sampler.h"
#include "net/host_identity.h"
#include "net/http/peer_connections.h"
#include "net/link_listener.h"
#include "net/link_socket.h"
#include "place/placing.h"

namespace drover::droverd {
namespace {

constexpr mode_t kPrivate = 0700;
// An export or import that hangs in libvirt is left to the next droverd.
constexpr auto kArchivesStopLimit = std::chrono::seconds(5);
constexpr mode_t kTraversable = 0755;  // QEMU's user connects to sockets beneath it

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT}) ::sigaddset(&set, signal);
  return set;
}

std::string_view change_word(VmEvent::Kind kind) {
  switch (kind) {
    case VmEvent::Kind::kDefined:
      return "defined";
    case VmEvent::Kind::kUndefined:
      return "undefined";
    case VmEvent::Kind::kStarted:
      return "started";
    case VmEvent::Kind::kStopped:
      return "stopped";
    case VmEvent::Kind::kSuspended:
      return "suspended";
    case VmEvent::Kind::kResumed:
      return "resumed";
    default:
      return "other";
  }
}

api::EventHub::MoveNews news_of(move::MoveChange change) {
  switch (change) {
    case move::MoveChange::kProgress:
      return api::EventHub::MoveNews::kProgress;
    case move::MoveChange::kPhase:
      return api::EventHub::MoveNews::kPhase;
    case move::MoveChange::kState:
      break;
  }
  return api::EventHub::MoveNews::kState;
}

move::CarrierOptions carrier_options(const Config& config, const std::string& instance) {
  move::CarrierOptions options;
  options.gate_program = config.program_folder / "drover-gate";
  options.mover_program = config.program_folder / "drover-mover";
  options.socket_folder = config.socket_folder;
  options.run_folder = config.run_folder / "moves";
  options.records_folder = config.state_folder / "records";
  options.writes_folder = config.state_folder / "writes";
  options.libvirt_socket = config.libvirt_socket;
  options.instance_id = instance;
  options.patience = config.patience;
  options.pause_budget = config.pause_budget;
  return options;
}

Status run(const Config& config) {
  const sigset_t signals = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  RETURN_IF_ERROR(make_folder(config.state_folder, kPrivate));
  RETURN_IF_ERROR(make_folder(config.state_folder / "records", kPrivate));
  RETURN_IF_ERROR(make_folder(config.state_folder / "writes", kPrivate));
  RETURN_IF_ERROR(make_folder(config.run_folder, kTraversable));
  RETURN_IF_ERROR(make_folder(config.run_folder / "moves", kPrivate));
  NetworkImage::remove_left();

  ASSIGN_OR_RETURN(const auto database, journal::Database::open(config.state_folder / "drover.db"));
  ASSIGN_OR_RETURN(auto journal, journal::MoveJournal::open(*database));
  ASSIGN_OR_RETURN(const auto book, journal::HostBook::open(*database));
  ASSIGN_OR_RETURN(const auto identity,
                   net::HostIdentity::load_or_make(config.state_folder / "identity.key"));
  ASSIGN_OR_RETURN(auto records,
                   gate::RecordFolder::open(config.state_folder / "records", journal.instance()));
  const auto hypervisor = libvirt::make_libvirt({config.libvirt_uri});
  const auto pictures = libvirt::make_pictures({config.libvirt_uri});
  net::PeerConnections connections(identity);
  client::HttpsPeerTransport peers([&](std::string_view name) { return book->find_peer(name); },
                                   connections);

  move::Slots slots;
  move::Bandwidth bandwidth;
  move::CarrierPrograms carriage(carrier_options(config, journal.instance()));
  move::World world{*hypervisor, journal, *book,     peers,       records,
                    carriage,    slots,   bandwidth, config.name, identity.public_key()};
  api::EventHub hub;
  move::Inventory inventory(*hypervisor, *book, peers, config.name);
  move::DestinationSide destination(
      world, [&] { return inventory.here_now(); },
      config.keep_residue_disks ? move::KeepResidue::kDisks : move::KeepResidue::kOff);
  destination.listens_at(config.listen_address);
  destination.reservations_last(config.patience);
  destination.has_version(DROVER_VERSION);
  place::Placing* placing = nullptr;  // set before anything moves
  move::Engine engine(world, destination, [&](move::MoveChange change, const Move& move) {
    if (change == move::MoveChange::kState) inventory.look_again();
    hub.publish_move(news_of(change), move);
    if (change == move::MoveChange::kState) placing->take(move);
  });
  place::Placing made(world, engine, inventory, destination);
  placing = &made;
  const auto& programs = carriage.options();
  move::OutsideWatch outside(
      config.name, [&](std::string_view uuid) { return engine.concerns(uuid); },
      [&] { return inventory.everywhere().vms; });
  archive::Archivist archivist(
      world,
      {.moving = [&](std::string_view uuid) { return engine.moving(uuid); },
       .everywhere = [&] { return inventory.everywhere().vms; },
       .while_free =
           [&](const Vm& vm, const std::function<Status()>& begin) {
             return engine.while_free(vm, begin);
           }},
      {.version = DROVER_VERSION,
       .socket_folder = config.socket_folder,
       .pictures = pictures.get()});
  engine.keep_away([&](std::string_view uuid) { return archivist.busy(uuid); });
  inventory.describe_by([&](Vm& vm) {
    vm.move_id = engine.moving(vm.uuid);
    vm.remark = outside.remark(vm.uuid);
  });
  fit::Fitting fitting(world, engine, inventory, made.peer_side());
  Backend backend(world, engine, inventory, made.placer(), made.evacuator(), fitting, archivist,
                  {.programs = {programs.gate_program, programs.mover_program},
                   .state_folder = config.state_folder,
                   .moves_folder = programs.run_folder,
                   .socket_folder = programs.socket_folder,
                   .version = DROVER_VERSION});
  inventory.add_listener([&](const VmEvent& event) { destination.take_vm_event(event); });
  inventory.add_listener([&](const VmEvent& event) { engine.take_vm_event(event); });
  inventory.add_listener([&](const VmEvent& event) { outside.take_vm_event(event); });
  inventory.add_listener([&](const VmEvent& event) {
    if (!event.uuid.empty()) hub.publish_vm(event.uuid, event.name, change_word(event.kind));
  });
  move::GuestSampler sampler(*hypervisor, [&] { return inventory.here(); });
  inventory.start();
  RETURN_IF_ERROR(engine.recover());
  RETURN_IF_ERROR(made.recover());
  RETURN_IF_ERROR(archivist.recover());
  sampler.start();

  ASSIGN_OR_RETURN(UniqueFd door, net::listen_tcp({config.listen_address, config.mover_port}));
  const net::LinkListener links(
      std::move(door),
      [&](const net::LinkPreamble& preamble, UniqueFd link) {
        destination.take_link(preamble.move_id, preamble.link, std::move(link));
      },
      [&](const std::string& local) { return destination.admits(local); });
  api::ServerOptions options;
  options.host_name = config.name;
  options.version = DROVER_VERSION;
  options.socket = config.run_folder / "drover.sock";
  options.listen_address = config.listen_address;
  options.api_port = config.api_port;
  options.mover_port = config.mover_port;
  options.advertised_address = config.advertise_address;
  api::Servers servers(options, identity, *book, backend, fitting.peer_side(), connections, hub);
  RETURN_IF_ERROR(servers.start());
  log::info("droverd serves {} on {}:{} and {}.", config.name,
            config.listen_address.empty() ? "every address" : config.listen_address,
            config.api_port, config.mover_port);
  ::sd_notify(0, "READY=1");

  int signal = 0;
  ::sigwait(&signals, &signal);
  log::info("droverd stops; moves under way go on.");
  ::sd_notify(0, "STOPPING=1");
  fitting.leave();
  servers.stop();
  made.leave();
  (void)archivist.stop(kArchivesStopLimit);
  engine.stop();
  // Threads may be inside libvirt's migration calls, which only end with the moves: the process
  // ends without them.
  ::_exit(0);
}

}  // namespace
}  // namespace drover::droverd

int main(int argc, char** argv) {
  CLI::App app{"droverd: moves virtual machines between hosts that run libvirt and QEMU/KVM"};
  std::string path;
  const auto* given = app.add_option(
      "--config", path, "configuration file (default /etc/drover/droverd.toml, if it is there)");
  app.set_version_flag("--version", DROVER_VERSION);
  CLI11_PARSE(app, argc, argv);
  const bool must_exist = given->count() > 0;
  const auto config =
      drover::droverd::read_config(must_exist ? path : "/etc/drover/droverd.toml", must_exist);
  if (!config) {
    fmt::print(stderr, "droverd: {}\n", config.error().text());
    return 2;
  }
  drover::log::start("droverd", config->log_level);
  const auto status = drover::droverd::run(*config);
  drover::log::error("droverd cannot run: {}", status.error().text());
  return 1;
}
