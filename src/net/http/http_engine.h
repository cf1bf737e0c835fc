// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 on one connection after the other or many at once: the only server-side file that knows
// cpp-httplib, which parses and writes; sockets, TLS, threads and limits are ours. Any thread.
#pragma once

#include <atomic>
#include <memory>

#include "net/byte_stream.h"
#include "net/http/http_message.h"
#include "net/http/request_reader.h"

namespace drover::net {

class HttpEngine {
 public:
  explicit HttpEngine(HttpHandler& handler);
  ~HttpEngine();
  // Serves the connection's requests until either side is done with it. `trusted` becomes true once
  // the handler has let a request pass.
  void serve(ByteStream& stream, const Origin& origin, const RequestReader::Limits& limits,
             std::atomic<bool>& trusted);
  // Connections end after the request under way.
  void stop();

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace drover::net
