// SPDX-License-Identifier: Apache-2.0
// From a request to its endpoint: who asks, may they, here or on another host. Any thread.
#pragma once

#include <chrono>
#include <mutex>

#include "api/exchange.h"
#include "api/routes.h"
#include "net/http/http_message.h"

namespace drover::api {

class Router final : public net::HttpHandler {
 public:
  explicit Router(Services& services) : services_(services) {}

  std::optional<net::HttpAnswer> refuse(const net::HttpRequest& head) override;
  net::HttpAnswer answer(const net::HttpRequest& request) override;
  net::HttpAnswer bad_request(int status, std::string_view sentence) override;

 private:
  struct Admitted {
    Match match;
    Caller caller;
    std::string carried_to;  // empty: here
  };
  Result<Admitted> admit(const net::HttpRequest& head);
  Answer run(const net::HttpRequest& request);
  void log_refusal(const net::HttpRequest& head, const Error& error);

  Services& services_;
  std::mutex mutex_;  // guards all below
  std::chrono::steady_clock::time_point logged_at_;
  std::size_t unlogged_ = 0;
};

}  // namespace drover::api
