// SPDX-License-Identifier: Apache-2.0
#include "net/http/peer_connections.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

namespace drover::net {
namespace {

using namespace std::chrono_literals;

// Well below the server's idle limit (RequestReader::Limits), so that no request meets a connection
// about to close.
constexpr auto kKeepFor = 5s;
constexpr std::size_t kKeptPerPeer = 4;
constexpr auto kConnectWithin = 5s;

Error about(const PeerEndpoint& peer, Error error) {
  const std::string where = fmt::format("{} ({})", peer.name, address_text(peer.address, 0));
  if (error.code == ErrorCode::kTimeout) {
    return wrap(std::move(error), fmt::format("{} did not answer in time.", where));
  }
  return wrap(std::move(error), fmt::format("The connection to {} broke.", where));
}

// An idle HTTP connection has nothing to read, unless the other side closed it.
bool is_quiet(int fd) {
  char byte;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

class PeerConnections::UnderWay {
 public:
  UnderWay(PeerConnections& connections, HttpClient& client)
      : connections_(connections), client_(&client) {
    const std::lock_guard lock(connections_.mutex_);
    connections_.under_way_.insert(client_);
  }
  ~UnderWay() {
    const std::lock_guard lock(connections_.mutex_);
    connections_.under_way_.erase(client_);
  }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

 private:
  PeerConnections& connections_;
  HttpClient* client_;
};

void PeerConnections::break_off() {
  const std::lock_guard lock(mutex_);
  for (HttpClient* client : under_way_) client->shut_down();
}

Result<std::unique_ptr<HttpClient>> PeerConnections::dial(const PeerEndpoint& peer,
                                                          Deadline deadline) {
  const Deadline soon =
      Deadline::after(std::min<std::chrono::milliseconds>(kConnectWithin, deadline.left()));
  auto socket = dial_tcp(peer.address, soon);
  if (!socket) {
    Error error = std::move(socket).error();
    if (!error.message.starts_with(peer.name))
      error.message = fmt::format("{}: {}", peer.name, error.message);
    return std::unexpected(std::move(error));
  }
  auto stream = context_.connect(std::move(*socket), peer.public_key, soon);
  if (stream) return std::make_unique<HttpClient>(std::move(*stream));
  Error error = std::move(stream).error();
  const std::string where = fmt::format("{} ({})", peer.name, address_text(peer.address, 0));
  if (error.code == ErrorCode::kUnauthenticated) {
    error.message = fmt::format(
        "{} answers with another identity than the one paired. If the host was installed anew, "
        "remove it here with "
        "`drover host remove {}` and pair it again; if not, another machine answers at its "
        "address.",
        where, peer.name);
    return std::unexpected(std::move(error));
  }
  error.code = ErrorCode::kUnavailable;
  error.retry = Retry::kLater;
  return std::unexpected(
      wrap(std::move(error), fmt::format("{} takes connections but does not complete a TLS "
                                         "handshake. Is it droverd that listens there?",
                                         where)));
}

std::unique_ptr<HttpClient> PeerConnections::take(const PeerEndpoint& peer) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  auto& kept = kept_[peer.public_key];
  std::erase_if(kept, [&](const Kept& entry) {
    return now - entry.since > kKeepFor || entry.address.host != peer.address.host ||
           entry.address.port != peer.address.port || !is_quiet(entry.client->bytes().descriptor());
  });
  if (kept.empty()) return nullptr;
  auto client = std::move(kept.back().client);
  kept.pop_back();
  return client;
}

void PeerConnections::keep(const PeerEndpoint& peer, std::unique_ptr<HttpClient> client) {
  if (!client->usable()) return;
  const std::lock_guard lock(mutex_);
  auto& kept = kept_[peer.public_key];
  kept.push_back({std::move(client), peer.address, std::chrono::steady_clock::now()});
  if (kept.size() > kKeptPerPeer) kept.pop_front();
}

void PeerConnections::drop(const std::string& public_key) {
  const std::lock_guard lock(mutex_);
  kept_.erase(public_key);
}

Result<HttpReply> PeerConnections::call(const PeerEndpoint& peer, const HttpCall& call) {
  auto client = take(peer);
  if (client == nullptr) {
    ASSIGN_OR_RETURN(client, dial(peer, call.deadline));
  }
  auto reply = [&] {
    const UnderWay under_way(*this, *client);
    return client->call(call);
  }();
  if (!reply) return std::unexpected(about(peer, std::move(reply).error()));
  keep(peer, std::move(client));
  return reply;
}

Result<HttpReply> PeerConnections::stream(const PeerEndpoint& peer, const HttpCall& call,
                                          std::chrono::milliseconds silence,
                                          const HttpClient::OnBytes& on_bytes) {
  ASSIGN_OR_RETURN(const auto client, dial(peer, call.deadline));
  const UnderWay under_way(*this, *client);
  auto reply = client->stream(call, silence, on_bytes);
  if (!reply && reply.error().code != ErrorCode::kCancelled) {
    return std::unexpected(about(peer, std::move(reply).error()));
  }
  return reply;
}

}  // namespace drover::net
