// SPDX-License-Identifier: Apache-2.0
#include "api/router.h"

#include "base/log.h"
#include "json/access_json.h"

namespace drover::api {
namespace {

using namespace std::chrono_literals;

// Counts an event stream for as long as anybody holds it.
class StreamSlot {
 public:
  explicit StreamSlot(std::atomic<std::size_t>& count) : count_(count) { ++count_; }
  ~StreamSlot() { --count_; }
  StreamSlot(const StreamSlot&) = delete;
  StreamSlot& operator=(const StreamSlot&) = delete;

 private:
  std::atomic<std::size_t>& count_;
};

Status check_who(const Route& route, const Caller& caller) {
  const bool fits = (route.who == Who::kUser && caller.kind == Caller::Kind::kUser) ||
                    (route.who == Who::kPeer && caller.kind == Caller::Kind::kPeer) ||
                    (route.who == Who::kNewcomer && caller.kind == Caller::Kind::kNewcomer);
  if (fits) return {};
  if (caller.kind == Caller::Kind::kNewcomer) {
    return fail(ErrorCode::kPermission, "An invite is good for pairing and nothing else.");
  }
  return fail(ErrorCode::kPermission, "{} is for other callers.", route.pattern);
}

// Every member of the query must be one the route takes.
Status check_query(const Route& route, const Caller& caller, const net::Pairs& query,
                   std::string& carried_to) {
  for (const auto& [name, value] : query) {
    if (name == "host" && route.who == Who::kUser) {
      if (caller.carried) {
        return fail(ErrorCode::kInvalidArgument,
                    "A request is carried to one host, not from there to the next.");
      }
      carried_to = value;
    } else if (name.empty() || name != route.query) {
      return fail(ErrorCode::kInvalidArgument, "{} takes no `{}`.", route.pattern,
                  name.substr(0, 40));
    }
  }
  return {};
}

}  // namespace

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kProtocol:
      return 400;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kPermission:
    case ErrorCode::kPolicy:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kConflict:
    case ErrorCode::kRefused:
    case ErrorCode::kInDoubt:
      return 409;
    case ErrorCode::kBlocked:
      return 422;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kTimeout:
      return 504;
    default:
      return 500;
  }
}

net::HttpAnswer error_answer(const Error& error) {
  return {http_status(error.code), json::error_body(error), nullptr};
}

net::HttpAnswer json_answer(std::string text) { return {200, std::move(text), nullptr}; }

net::HttpAnswer empty_answer() { return json_answer("{}"); }

Result<Router::Admitted> Router::admit(const net::HttpRequest& head) {
  // Strangers learn nothing, not even which paths there are.
  ASSIGN_OR_RETURN(Caller caller, identify(head, services_.book));
  auto match = find_route(head.method, head.path);
  if (!match) {
    if (!match.error().path_known)
      return fail(ErrorCode::kNotFound, "There is no {}.", head.path.substr(0, 200));
    return fail(ErrorCode::kInvalidArgument, "{} does not take {}.", head.path.substr(0, 200),
                head.method);
  }
  RETURN_IF_ERROR(check_who(*match->route, caller));
  Admitted admitted{std::move(*match), std::move(caller), {}};
  RETURN_IF_ERROR(
      check_query(*admitted.match.route, admitted.caller, head.query, admitted.carried_to));
  if (admitted.carried_to == services_.options.host_name) admitted.carried_to.clear();
  return admitted;
}

std::optional<net::HttpAnswer> Router::refuse(const net::HttpRequest& head) {
  const auto admitted = admit(head);
  if (admitted) return std::nullopt;
  log_refusal(head, admitted.error());
  return error_answer(admitted.error());
}

net::HttpAnswer Router::answer(const net::HttpRequest& request) {
  Answer answer = run(request);
  if (answer) return std::move(*answer);
  Error error = std::move(answer).error();
  // What the JSON reader calls a breach of protocol is, from a user, simply a wrong request.
  const bool from_user = request.path.find("/v1/peer/") != 0;
  if (from_user && error.code == ErrorCode::kProtocol) error.code = ErrorCode::kInvalidArgument;
  return error_answer(error);
}

net::HttpAnswer Router::bad_request(int status, std::string_view sentence) {
  const ErrorCode code = status == 500 ? ErrorCode::kInternal : ErrorCode::kInvalidArgument;
  net::HttpAnswer answer = error_answer({code, Retry::kNever, std::string(sentence), {}});
  answer.status = status;
  return answer;
}

Answer Router::run(const net::HttpRequest& request) {
  // Once more, since a body may take long to come: who was removed meanwhile gets nothing.
  ASSIGN_OR_RETURN(const Admitted admitted, admit(request));
  const Route& route = *admitted.match.route;
  std::shared_ptr<StreamSlot> slot;
  if (route.is_stream) {
    slot = std::make_shared<StreamSlot>(services_.streams);
    if (services_.streams > services_.options.event_streams) {
      return std::unexpected(Error{ErrorCode::kUnavailable,
                                   Retry::kLater,
                                   fmt::format("{} event streams are open already. Close some.",
                                               services_.options.event_streams),
                                   {}});
    }
  }
  const Exchange exchange{request, admitted.caller, admitted.match.arguments, services_};
  Answer answer = fail(ErrorCode::kInternal, "No answer was made.");
  if (admitted.carried_to.empty())
    answer = route.run(exchange);
  else if (route.is_stream)
    answer = services_.carrier.carry_stream(request, admitted.carried_to, admitted.caller.name);
  else
    answer = services_.carrier.carry(request, admitted.carried_to, admitted.caller.name);
  if (answer && answer->stream) {
    answer->stream = [slot, inner = std::move(answer->stream)](const net::StreamWrite& write) {
      inner(write);
    };
  }
  return answer;
}

// One line a second at most: a scanner must not fill the disk.
void Router::log_refusal(const net::HttpRequest& head, const Error& error) {
  if (head.origin.local) return;
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  if (now - logged_at_ < 1s && logged_at_.time_since_epoch().count() != 0) {
    ++unlogged_;
    return;
  }
  logged_at_ = now;
  const std::string more =
      unlogged_ == 0 ? std::string() : fmt::format(" ({} more since)", unlogged_);
  unlogged_ = 0;
  log::warning("Refused {} from {}{}: {}{}", head.method, net::address_text(head.origin.remote, 0),
               head.origin.peer_key.empty() ? std::string() : " with key " + head.origin.peer_key,
               error.message, more);
}

}  // namespace drover::api
