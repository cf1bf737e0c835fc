// SPDX-License-Identifier: Apache-2.0
#include "api/servers.h"

#include <system_error>
#include <vector>

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/exchange.h"
#include "api/router.h"
#include "base/log.h"
#include "net/http/http_server.h"
#include "net/unix_socket.h"

namespace drover::api {
namespace {

// -1: no such group.
gid_t group_id(const std::string& name) {
  std::vector<char> buffer(16384);
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return static_cast<gid_t>(-1);
  }
  return entry.gr_gid;
}

Result<UniqueFd> open_socket(const ServerOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.socket.parent_path(), error);
  // 0600 until the group is set: a moment with the wrong group must not be a moment of access.
  ASSIGN_OR_RETURN(UniqueFd listener,
                   net::listen_unix(options.socket, net::SocketKind::kStream, 0600));
  const gid_t gid = group_id(options.socket_group);
  if (gid == static_cast<gid_t>(-1)) {
    log::warning(
        "There is no group {}: only root can use {}. `groupadd --system {}` and a restart change "
        "that.",
        options.socket_group, options.socket.string(), options.socket_group);
    return listener;
  }
  if (::chown(options.socket.c_str(), static_cast<uid_t>(-1), gid) != 0 ||
      ::chmod(options.socket.c_str(), 0660) != 0) {
    return fail_errno(fmt::format("Cannot give {} to the group {}", options.socket.string(),
                                  options.socket_group));
  }
  return listener;
}

}  // namespace

struct Servers::Parts {
  Parts(ServerOptions given, const net::HostIdentity& host_identity, journal::HostBook& book,
        Backend& backend, net::PeerHandler& peer_handler, net::PeerConnections& connections,
        EventHub& event_hub)
      : options(std::move(given)),
        identity(host_identity),
        hub(event_hub),
        courier(book, identity, connections, hub, options.host_name),
        pairing(options, identity, book, invites, courier, hub),
        carrier(book, connections),
        peers(connections),
        services{options, identity, backend, book,    hub, peer_handler,
                 invites, courier,  pairing, carrier, 0,   0},
        router(services) {}

  const ServerOptions options;
  const net::HostIdentity& identity;
  EventHub& hub;
  InviteBook invites;
  HostCourier courier;
  Pairing pairing;
  Carrier carrier;
  net::PeerConnections& peers;
  Services services;
  Router router;
  std::unique_ptr<net::HttpServer> server;
};

Servers::Servers(ServerOptions options, const net::HostIdentity& identity, journal::HostBook& book,
                 Backend& backend, net::PeerHandler& peer_handler,
                 net::PeerConnections& connections, EventHub& hub)
    : parts_(std::make_unique<Parts>(std::move(options), identity, book, backend, peer_handler,
                                     connections, hub)) {}

Servers::~Servers() { stop(); }

Status Servers::start() {
  Parts& parts = *parts_;
  RETURN_IF_ERROR(journal::check_host_name(parts.options.host_name));
  ASSIGN_OR_RETURN(UniqueFd tcp,
                   net::listen_tcp({parts.options.listen_address, parts.options.api_port}));
  ASSIGN_OR_RETURN(const net::Address bound, net::local_address(tcp.get()));
  ASSIGN_OR_RETURN(UniqueFd local, open_socket(parts.options));
  parts.services.api_port = bound.port;
  parts.server = std::make_unique<net::HttpServer>(parts.router, parts.options.limits);
  parts.server->listen_local(std::move(local));
  parts.server->listen_tls(std::move(tcp), std::make_shared<net::TlsServerContext>(
                                               parts.identity, [&parts](std::string_view identity) {
                                                 return parts.invites.find_key(identity);
                                               }));
  parts.courier.start();
  RETURN_IF_ERROR(parts.server->start());
  log::info("The API listens on {} and TCP port {}.", parts.options.socket.string(), bound.port);
  return {};
}

void Servers::stop() {
  parts_->hub.close();
  // What waits for another host must not make this one wait to end.
  parts_->peers.break_off();
  if (parts_->server) parts_->server->stop();
  parts_->courier.stop();
}

std::uint16_t Servers::api_port() const { return parts_->services.api_port; }

}  // namespace drover::api
