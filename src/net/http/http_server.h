// SPDX-License-Identifier: Apache-2.0
// Accepts connections on unix and TCP sockets and serves each on a thread of its own, up to a
// bound. Connections nobody has vouched for yet have a smaller bound; the oldest of them makes room
// for a new one, so strangers cannot keep peers out. start() and stop() from one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "net/http/http_engine.h"
#include "net/tls_context.h"

namespace drover::net {

class HttpServer {
 public:
  struct Limits {
    std::size_t connections = 96;  // each one thread; most of them event streams
    std::size_t strangers = 32;    // of these, by TCP and without a request that was let pass
    std::chrono::milliseconds handshake{5'000};
    RequestReader::Limits requests;
  };

  // REQUIRES: `handler` outlives the server.
  HttpServer(HttpHandler& handler, const Limits& limits);
  ~HttpServer();

  // Before start() only. Who may connect to a unix socket is said by its mode and owner.
  void listen_local(UniqueFd listener);
  void listen_tls(UniqueFd listener, std::shared_ptr<const TlsServerContext> context);
  Status start();
  // Breaks off all connections, and waits for their threads.
  void stop();

 private:
  struct Listener {
    UniqueFd socket;
    std::shared_ptr<const TlsServerContext> context;  // null: local
  };
  struct Connection {
    int descriptor = -1;   // guarded by mutex_; -1 once its thread is done with it
    bool evicted = false;  // broke off to make room; the acceptor's
    std::atomic<bool> trusted = false;
    std::atomic<bool> done = false;
    std::thread thread;
  };

  void run();
  void accept_from(const Listener& listener);
  bool make_room(bool local);
  void reap(bool all);
  void serve(Connection& connection, UniqueFd socket,
             const std::shared_ptr<const TlsServerContext>& context);
  void serve_stream(Connection& connection, ByteStream& stream, const Origin& origin);
  void forget_descriptor(Connection& connection);

  HttpEngine engine_;
  const Limits limits_;
  std::vector<Listener> listeners_;
  UniqueFd wake_;  // eventfd: stop, or a connection ended
  std::atomic<bool> stopping_ = false;
  std::thread acceptor_;
  std::mutex mutex_;  // guards descriptors of connections_ against shutdown after close
  std::list<Connection> connections_;  // the list itself belongs to the acceptor
};

}  // namespace drover::net
