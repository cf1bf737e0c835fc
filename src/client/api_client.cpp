// SPDX-License-Identifier: Apache-2.0
#include "client/api_client.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>

#include "client/event_parser.h"
#include "json/access_json.h"
#include "json/archive_json.h"
#include "json/evacuation_json.h"
#include "net/http/http_client.h"
#include "net/tls_context.h"
#include "net/token_text.h"
#include "net/unix_socket.h"

namespace drover::client {
namespace {

using Json = nlohmann::json;
using json::Unknown;
using namespace std::chrono_literals;

// The server is never silent for longer than a second.
constexpr std::chrono::milliseconds kSilence = 10s;

std::string part(std::string_view text) { return net::encode_part(text); }

// Answers may come from a newer daemon: members we do not know are none of our business.
template <typename T>
Result<T> read_as(const Result<std::string>& text) {
  RETURN_IF_ERROR(text);
  ASSIGN_OR_RETURN(const Json tree, json::parse(*text));
  T value{};
  RETURN_IF_ERROR(json::decode(tree, "", Unknown::kIgnore, value));
  return value;
}

template <typename T>
Result<std::vector<T>> read_list(const Result<std::string>& text, const char* name) {
  RETURN_IF_ERROR(text);
  ASSIGN_OR_RETURN(const Json tree, json::parse(*text));
  return json::decode_list<T>(tree, name, Unknown::kIgnore);
}

Status nothing(const Result<std::string>& text) {
  RETURN_IF_ERROR(text);
  return {};
}

}  // namespace

struct ApiClient::State {
  explicit State(Target where) : target(std::move(where)) {}

  Result<std::unique_ptr<net::HttpClient>> connect() const;
  Result<std::unique_ptr<net::HttpClient>> connect_local(Deadline deadline) const;
  Result<std::unique_ptr<net::HttpClient>> connect_remote(Deadline deadline) const;
  net::HttpCall request(std::string_view method, std::string path, std::string body) const;
  Result<std::string> ask(std::string_view method, std::string path, std::string body = {});
  Status follow(std::string path, const std::function<bool(const StreamEvent&)>& on_event);

  const Target target;
  std::mutex mutex;                      // guards streaming
  net::HttpClient* streaming = nullptr;  // what stop() breaks off
  std::atomic<bool> stopped = false;
};

Result<std::unique_ptr<net::HttpClient>> ApiClient::State::connect() const {
  const Deadline deadline = Deadline::after(target.connect_within);
  return target.url.empty() ? connect_local(deadline) : connect_remote(deadline);
}

Result<std::unique_ptr<net::HttpClient>> ApiClient::State::connect_local(Deadline deadline) const {
  auto socket = net::connect_unix(target.socket, net::SocketKind::kStream, deadline);
  if (socket) return std::make_unique<net::HttpClient>(net::plain_stream(std::move(*socket)));
  Error error = std::move(socket).error();
  const bool denied = std::ranges::count(error.causes, fmt::format("errno {}", EACCES)) > 0;
  const std::string hint =
      denied
          ? "You may not use it: become root, or a member of the group drover (and log in again)."
          : "Is droverd running? `systemctl status droverd` tells.";
  error.code = denied ? ErrorCode::kPermission : ErrorCode::kUnavailable;
  return std::unexpected(wrap(
      std::move(error), fmt::format("droverd does not answer at {}. {}", target.socket, hint)));
}

Result<std::unique_ptr<net::HttpClient>> ApiClient::State::connect_remote(Deadline deadline) const {
  std::string_view url = target.url;
  if (url.starts_with("https://")) url.remove_prefix(8);
  if (url.ends_with('/')) url.remove_suffix(1);
  ASSIGN_OR_RETURN(const net::Address address, net::read_address(url, net::kApiPort));
  const auto key = net::server_key_of_token(target.token);
  if (!key) {
    return fail(ErrorCode::kInvalidArgument,
                "A remote host needs its whole token, as `drover token create` printed it there.");
  }
  ASSIGN_OR_RETURN(UniqueFd socket, net::dial_tcp(address, deadline));
  const net::TlsClientContext context(nullptr);
  auto stream = context.connect(std::move(socket), *key, deadline);
  if (stream) return std::make_unique<net::HttpClient>(std::move(*stream));
  Error error = std::move(stream).error();
  const std::string where = net::address_text(address, 0);
  if (error.code == ErrorCode::kUnauthenticated) {
    error.message = fmt::format(
        "{} holds another key than the one this token was made with. Was the host installed anew, "
        "or is the token "
        "another host's?",
        where);
    return std::unexpected(std::move(error));
  }
  error.code = ErrorCode::kUnavailable;
  return std::unexpected(
      wrap(std::move(error), fmt::format("{} does not complete a TLS handshake.", where)));
}

net::HttpCall ApiClient::State::request(std::string_view method, std::string path,
                                        std::string body) const {
  if (!target.carried_to.empty()) {
    path += (path.find('?') == std::string::npos ? "?host=" : "&host=") + part(target.carried_to);
  }
  net::HttpCall call{std::string(method),
                     std::move(path),
                     std::move(body),
                     {},
                     Deadline::after(target.answer_within)};
  if (!target.token.empty()) call.headers.emplace_back("Authorization", "Bearer " + target.token);
  return call;
}

Result<std::string> ApiClient::State::ask(std::string_view method, std::string path,
                                          std::string body) {
  ASSIGN_OR_RETURN(const auto http, connect());
  ASSIGN_OR_RETURN(net::HttpReply reply,
                   http->call(request(method, std::move(path), std::move(body))));
  if (reply.status == 200) return std::move(reply.body);
  return std::unexpected(json::error_of_body(reply.status, reply.body));
}

Status ApiClient::State::follow(std::string path,
                                const std::function<bool(const StreamEvent&)>& on_event) {
  ASSIGN_OR_RETURN(const auto http, connect());
  {
    const std::lock_guard lock(mutex);
    streaming = http.get();
  }
  EventParser parser(on_event);
  const auto reply =
      stopped ? Result<net::HttpReply>(fail(ErrorCode::kCancelled, "The stream was left."))
              : http->stream(request("GET", std::move(path), ""), kSilence,
                             [&](std::string_view bytes) { return parser.take(bytes); });
  {
    const std::lock_guard lock(mutex);
    streaming = nullptr;
  }
  if (stopped.exchange(false)) return fail(ErrorCode::kCancelled, "The stream was left.");
  if (parser.too_large())
    return fail(ErrorCode::kProtocol, "The daemon sent an event that is too large.");
  RETURN_IF_ERROR(reply);
  if (reply->status == 200) return {};
  return std::unexpected(json::error_of_body(reply->status, reply->body));
}

ApiClient::ApiClient(Target target) : state_(std::make_unique<State>(std::move(target))) {}
ApiClient::~ApiClient() = default;
ApiClient::ApiClient(ApiClient&&) noexcept = default;

Result<std::string> ApiClient::raw(std::string_view method, std::string_view path,
                                   std::string_view body) {
  return state_->ask(method, std::string(path), std::string(body));
}

void ApiClient::stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = true;
  if (state_->streaming != nullptr) state_->streaming->shut_down();
}

Result<ServerVersion> ApiClient::version() {
  return read_as<ServerVersion>(state_->ask("GET", "/v1/version"));
}
Result<HostFacts> ApiClient::host() { return read_as<HostFacts>(state_->ask("GET", "/v1/host")); }
Result<HostSettings> ApiClient::settings() {
  return read_as<HostSettings>(state_->ask("GET", "/v1/settings"));
}

Result<HostSettings> ApiClient::change_settings(const std::vector<SettingChange>& changes) {
  return read_as<HostSettings>(
      state_->ask("PATCH", "/v1/settings", json::dump(json::encode_list("set", changes))));
}

Result<std::vector<HostEntry>> ApiClient::hosts() {
  return read_list<HostEntry>(state_->ask("GET", "/v1/hosts"), "hosts");
}

Result<HostEntry> ApiClient::host(std::string_view name) {
  return read_as<HostEntry>(state_->ask("GET", "/v1/hosts/" + part(name)));
}

Result<Invite> ApiClient::invite(const InviteRequest& request) {
  return read_as<Invite>(
      state_->ask("POST", "/v1/hosts/invite", json::dump(json::encode(request))));
}

Result<HostEntry> ApiClient::add_host(const HostAddition& addition) {
  return read_as<HostEntry>(state_->ask("POST", "/v1/hosts", json::dump(json::encode(addition))));
}

Result<HostEntry> ApiClient::set_rights(std::string_view name, const PeerRights& rights) {
  return read_as<HostEntry>(state_->ask("PATCH", "/v1/hosts/" + part(name),
                                        json::dump({{"rights", json::encode(rights)}})));
}

Result<HostEntry> ApiClient::approve_host(std::string_view name) {
  return read_as<HostEntry>(state_->ask("POST", "/v1/hosts/" + part(name) + "/approve"));
}

Status ApiClient::remove_host(std::string_view name) {
  return nothing(state_->ask("DELETE", "/v1/hosts/" + part(name)));
}

Result<VmListing> ApiClient::vms(bool of_all_hosts) {
  return read_as<VmListing>(state_->ask("GET", of_all_hosts ? "/v1/vms?all=1" : "/v1/vms"));
}

Result<std::vector<std::string>> ApiClient::replug_vm(std::string_view name_or_uuid) {
  ASSIGN_OR_RETURN(const std::string text,
                   state_->ask("POST", "/v1/vms/" + part(name_or_uuid) + "/replug"));
  ASSIGN_OR_RETURN(const nlohmann::json tree, json::parse(text));
  std::vector<std::string> done;
  RETURN_IF_ERROR(json::Fields(tree, "", json::Unknown::kIgnore).need("interfaces", done).finish());
  return done;
}

Result<Plan> ApiClient::make_plan(const MoveRequest& request) {
  return read_as<Plan>(state_->ask("POST", "/v1/plans", json::request_body(request)));
}

Result<Plan> ApiClient::plan(std::string_view id) {
  return read_as<Plan>(state_->ask("GET", "/v1/plans/" + part(id)));
}

Result<Move> ApiClient::start_move(const PlanApproval& approval) {
  nlohmann::json body{{"plan", approval.plan_id},
                      {"accept_notes", approval.accept_notes},
                      {"accepted_codes", approval.accepted_codes}};
  if (!approval.after.empty()) body["after"] = approval.after;
  return read_as<Move>(state_->ask("POST", "/v1/moves", json::dump(body)));
}

Result<Move> ApiClient::start_move(const MoveRequest& request) {
  return read_as<Move>(state_->ask("POST", "/v1/moves", json::request_body(request)));
}

Result<std::vector<Move>> ApiClient::moves() {
  return read_list<Move>(state_->ask("GET", "/v1/moves"), "moves");
}
Result<Move> ApiClient::move(std::string_view id) {
  return read_as<Move>(state_->ask("GET", "/v1/moves/" + part(id)));
}

Result<Move> ApiClient::cancel_move(std::string_view id) {
  return read_as<Move>(state_->ask("POST", "/v1/moves/" + part(id) + "/cancel"));
}

Result<Move> ApiClient::converge_move(std::string_view id, const Convergence& policy) {
  return read_as<Move>(state_->ask("POST", "/v1/moves/" + part(id) + "/convergence",
                                   json::dump({{"convergence", convergence_text(policy)}})));
}

Result<Move> ApiClient::resolve_move(std::string_view id, std::string_view runs_on,
                                     Peer destination) {
  return read_as<Move>(state_->ask(
      "POST", "/v1/moves/" + part(id) + "/resolve",
      json::dump({{"runs_on", runs_on}, {"peer_is_lost", destination == Peer::kIsLost}})));
}

Result<std::vector<Move>> ApiClient::queue() {
  return read_list<Move>(state_->ask("GET", "/v1/queue"), "moves");
}

Result<Move> ApiClient::hold_move(std::string_view id) {
  return read_as<Move>(state_->ask("POST", "/v1/queue/" + part(id) + "/hold", "{}"));
}

Result<Move> ApiClient::release_move(std::string_view id) {
  return read_as<Move>(state_->ask("POST", "/v1/queue/" + part(id) + "/release", "{}"));
}

Result<Move> ApiClient::set_priority(std::string_view id, int priority) {
  return read_as<Move>(state_->ask("POST", "/v1/queue/" + part(id) + "/priority",
                                   json::dump({{"priority", priority}})));
}

Result<BestChoice> ApiClient::best_host(const BestRequest& request) {
  return read_as<BestChoice>(state_->ask("POST", "/v1/best", json::request_body(request)));
}

Result<Evacuation> ApiClient::plan_evacuation(const EvacuationRequest& request) {
  return read_as<Evacuation>(
      state_->ask("POST", "/v1/evacuations/plan", json::request_body(request)));
}

Result<Evacuation> ApiClient::start_evacuation(const EvacuationRequest& request) {
  return read_as<Evacuation>(state_->ask("POST", "/v1/evacuations", json::request_body(request)));
}

Result<std::vector<Evacuation>> ApiClient::evacuations() {
  return read_list<Evacuation>(state_->ask("GET", "/v1/evacuations"), "evacuations");
}

Result<Evacuation> ApiClient::cancel_evacuation() {
  return read_as<Evacuation>(state_->ask("POST", "/v1/evacuations/cancel", "{}"));
}

Result<Archive> ApiClient::plan_archive(const ArchiveRequest& request) {
  return read_as<Archive>(state_->ask("POST", "/v1/archives/plan", json::request_body(request)));
}

Result<Archive> ApiClient::start_archive(const ArchiveRequest& request) {
  return read_as<Archive>(state_->ask("POST", "/v1/archives", json::request_body(request)));
}

Result<std::vector<Archive>> ApiClient::archives() {
  return read_list<Archive>(state_->ask("GET", "/v1/archives"), "archives");
}

Result<Archive> ApiClient::archive(std::string_view id) {
  return read_as<Archive>(state_->ask("GET", "/v1/archives/" + part(id)));
}

Result<Archive> ApiClient::cancel_archive(std::string_view id) {
  return read_as<Archive>(state_->ask("POST", "/v1/archives/" + part(id) + "/cancel", "{}"));
}

Result<Archive> ApiClient::give_up_archive(std::string_view id) {
  return read_as<Archive>(state_->ask("POST", "/v1/archives/" + part(id) + "/give-up", "{}"));
}

Status ApiClient::follow_move(std::string_view id, const OnMove& on_move) {
  std::optional<Error> fault;
  bool ended = false;
  const auto status =
      state_->follow("/v1/moves/" + part(id) + "/events", [&](const StreamEvent& event) {
        auto move = read_as<Move>(event.body);
        if (!move) {
          fault = std::move(move).error();
          return false;
        }
        ended = move->state != MoveState::kRunning;
        return on_move(event.name, *move);
      });
  if (fault) return std::unexpected(std::move(*fault));
  RETURN_IF_ERROR(status);
  if (ended) return {};
  return std::unexpected(Error{
      ErrorCode::kUnavailable, Retry::kNow, "droverd ended the stream before the move did.", {}});
}

Status ApiClient::follow_events(const OnEvent& on_event) {
  return state_->follow("/v1/events", on_event);
}

Result<std::vector<QuarantinedDisk>> ApiClient::quarantine() {
  return read_list<QuarantinedDisk>(state_->ask("GET", "/v1/quarantine"), "disks");
}

Status ApiClient::restore_quarantine(std::string_view move_id) {
  return nothing(state_->ask("POST", "/v1/quarantine/" + part(move_id) + "/restore"));
}

Status ApiClient::drop_quarantine(std::string_view move_id) {
  return nothing(state_->ask("POST", "/v1/quarantine/" + part(move_id) + "/drop"));
}

Result<std::vector<Token>> ApiClient::tokens() {
  return read_list<Token>(state_->ask("GET", "/v1/tokens"), "tokens");
}

Result<NewToken> ApiClient::add_token(std::string_view name) {
  return read_as<NewToken>(state_->ask("POST", "/v1/tokens", json::dump({{"name", name}})));
}

Status ApiClient::remove_token(std::string_view id) {
  return nothing(state_->ask("DELETE", "/v1/tokens/" + part(id)));
}

Result<std::vector<Finding>> ApiClient::doctor() {
  return read_list<Finding>(state_->ask("GET", "/v1/doctor"), "findings");
}

Status ApiClient::fix(std::string_view name) {
  return nothing(state_->ask("POST", "/v1/doctor/fix", json::dump({{"fix", name}})));
}

}  // namespace drover::client
