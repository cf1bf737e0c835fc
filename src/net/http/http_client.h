// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 requests on a connected stream: the only client-side file that knows cpp-httplib. One
// request at a time, one thread; shut_down() from any.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "net/byte_stream.h"
#include "net/http/http_message.h"

namespace drover::net {

struct HttpCall {
  std::string method;
  std::string target;  // encoded, with the query
  std::string body;    // JSON; may be empty
  Pairs headers;
  Deadline deadline = Deadline::never();
};

struct HttpReply {
  int status = 0;
  std::string body;
};

class HttpClient {
 public:
  explicit HttpClient(std::unique_ptr<ByteStream> stream);
  ~HttpClient();

  // kUnavailable (retry later): the connection broke; kTimeout: the deadline passed. Either way it
  // may have been carried out, and this connection is of no further use.
  Result<HttpReply> call(const HttpCall& call);
  // A stream of bytes: `on_bytes` gets what arrives until it returns false (then kCancelled).
  // `silence` bounds each wait; the call's deadline that for the head. An answer other than 200 is
  // returned with its body.
  using OnBytes = std::function<bool(std::string_view bytes)>;
  Result<HttpReply> stream(const HttpCall& call, std::chrono::milliseconds silence,
                           const OnBytes& on_bytes);

  // The connection can take another call.
  bool usable() const;
  void shut_down();
  ByteStream& bytes();

 private:
  class Writer;
  std::unique_ptr<Writer> writer_;
};

}  // namespace drover::net
