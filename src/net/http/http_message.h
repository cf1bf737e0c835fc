// SPDX-License-Identifier: Apache-2.0
// HTTP requests and answers as plain values: what the server's handler and the client see. No HTTP
// library in here.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "net/dial.h"

namespace drover::net {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Where a request came from: the transport's word, never the sender's.
struct Origin {
  bool local = false;  // by unix socket; then `uid` is the caller's
  uid_t uid = 0;
  std::string peer_key;         // TLS: the key it proved to hold, hex; empty: none
  std::string psk_identity;     // TLS: keyed by this external PSK; empty: by certificates
  std::string channel_binding;  // only with a PSK
  Address remote, here;         // TLS
};

struct HttpRequest {
  std::string method;
  std::string path;  // decoded, without the query
  Pairs query;       // decoded
  std::string body;
  std::optional<std::string> authorization, content_type, user;  // `user`: header Drover-User
  Origin origin;
};

// Writes to a client that reads as long as it likes. False: it is gone, or the server stops.
using StreamWrite = std::function<bool(std::string_view bytes)>;

struct HttpAnswer {
  int status = 200;
  std::string body;  // JSON
  // Not empty: the body is a text/event-stream, written by this on the connection's thread until it
  // returns.
  std::function<void(const StreamWrite& write)> stream;
};

// Serves requests; any thread, several at a time.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Looks at the head before the body is read. An answer refuses the request, and the connection is
  // closed.
  virtual std::optional<HttpAnswer> refuse(const HttpRequest& head) = 0;
  virtual HttpAnswer answer(const HttpRequest& request) = 0;
  // For what the server refuses by itself: bad heads, bodies too large.
  virtual HttpAnswer bad_request(int status, std::string_view sentence) = 0;
};

inline constexpr std::size_t kBodyBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kHeadBytesMax = 16 * 1024;

// "a b/c" as "a%20b%2Fc".
std::string encode_part(std::string_view text);
// "?a=1&b=2", or nothing.
std::string encode_query(const Pairs& query);

}  // namespace drover::net
