// SPDX-License-Identifier: Apache-2.0
// Server-sent events: /v1/moves/{id}/events and /v1/events.
#include "api/routes.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using namespace std::chrono_literals;

// JSON has no line breaks in it, so one data line holds it.
std::string event_text(std::string_view name, std::string_view body) {
  return fmt::format("event: {}\ndata: {}\n\n", name, body);
}

// After a second of silence a comment, so that both sides notice when the other is gone.
bool pass_next(Subscriber& subscriber, const net::StreamWrite& write, bool& ended) {
  const auto event = subscriber.next(Deadline::after(1s));
  if (event) {
    ended = event->last;
    return write(event_text(event->name, event->body));
  }
  return !subscriber.closed() && write(": still here\n\n");
}

}  // namespace

Answer follow_move(const Exchange& exchange) {
  // Subscribed before the present state is read: nothing falls between the two.
  const auto subscriber =
      std::make_shared<Subscriber>(exchange.services.hub, exchange.arguments[0]);
  ASSIGN_OR_RETURN(const Move move, exchange.services.backend.move(exchange.arguments[0]));
  return net::HttpAnswer{200, "", [subscriber, move](const net::StreamWrite& write) {
                           bool ended = move.state != MoveState::kRunning;
                           if (!write(event_text("state", json::to_json(move)))) return;
                           while (!ended && pass_next(*subscriber, write, ended)) {
                           }
                         }};
}

Answer follow_events(const Exchange& exchange) {
  const auto subscriber = std::make_shared<Subscriber>(exchange.services.hub, "");
  return net::HttpAnswer{200, "", [subscriber](const net::StreamWrite& write) {
                           bool ended = false;
                           if (!write(": hello\n\n")) return;
                           while (pass_next(*subscriber, write, ended)) {
                           }
                         }};
}

}  // namespace drover::api
