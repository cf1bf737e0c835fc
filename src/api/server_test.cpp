// SPDX-License-Identifier: Apache-2.0
// Who may do what: every kind of caller against the running server.
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "api/test_host.h"
#include "json/model_json.h"
#include "net/unix_socket.h"

namespace drover::api {
namespace {

using namespace std::chrono_literals;

MoveRequest request_for(std::string vm) {
  MoveRequest request;
  request.vm = std::move(vm);
  request.destination = "host2";
  return request;
}

std::string own_name() { return ::getpwuid(::getuid())->pw_name; }

// A TLS connection that shows this key, or none.
net::HttpClient https(const TestHost& host, const net::HostIdentity* identity) {
  const net::TlsClientContext context(identity);
  auto stream = context.connect(*net::dial_tcp({"127.0.0.1", host.port}, Deadline::after(5s)),
                                host.identity->public_key(), Deadline::after(5s));
  EXPECT_TRUE(stream) << stream.error().text();
  return net::HttpClient(std::move(*stream));
}

net::HttpReply ask(net::HttpClient http, std::string method, std::string target,
                   std::string body = "", net::Pairs headers = {}) {
  auto reply = http.call({method, target, body, headers, Deadline::after(5s)});
  EXPECT_TRUE(reply) << reply.error().text();
  return reply.value_or(net::HttpReply{});
}

TEST(LocalUser, MayEverythingButSpeakAsAPeer) {
  TestHost host("host1");
  auto api = host.local();
  EXPECT_EQ(api.version()->host, "host1");
  EXPECT_EQ(api.host()->name, "host1");
  EXPECT_EQ(api.vms(false)->vms.at(0).host, "host1");
  EXPECT_EQ(api.make_plan(request_for("web"))->request.requested_by, own_name());
  EXPECT_EQ(api.start_move(PlanApproval{"p1", true, {}, "", ""})->plan.request.requested_by,
            own_name());
  EXPECT_TRUE(api.cancel_move("m1")->cancel_asked);
  const Convergence pause{ConvergencePolicy::kPause, 12s};
  EXPECT_EQ(api.converge_move("m1", pause)->convergence, pause);
  EXPECT_TRUE(api.queue()->empty());
  EXPECT_TRUE(api.hold_move("m1")->queue->held);
  EXPECT_EQ(api.queue()->size(), 1u);
  EXPECT_FALSE(api.release_move("m1")->queue->held);
  EXPECT_EQ(api.set_priority("m1", -7)->queue->priority, -7);
  EXPECT_EQ(api.set_priority("m9", 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(api.raw("POST", "/v1/moves/m1/convergence", R"({"convergence":"hope"})").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(api.moves()->size(), 1u);
  EXPECT_EQ(api.move("m1")->id, "m1");
  EXPECT_EQ(api.quarantine()->size(), 1u);
  EXPECT_TRUE(api.restore_quarantine("m1"));
  EXPECT_EQ(api.drop_quarantine("m1").error().code, ErrorCode::kInDoubt);
  EXPECT_EQ(api.raw("GET", "/v1/residue", "").value(),
            api.raw("GET", "/v1/quarantine", "").value());
  EXPECT_EQ(api.raw("POST", "/v1/residue/m1/drop", "").error().code, ErrorCode::kInDoubt);
  EXPECT_EQ(api.doctor()->size(), 1u);
  EXPECT_TRUE(api.fix("hook"));
  EXPECT_EQ(api.fix("other").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(api.plan("p2").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(api.start_move(request_for("blocked")).error().code, ErrorCode::kBlocked);
  EXPECT_EQ(api.raw("POST", "/v1/peer/hello", "{}").error().code, ErrorCode::kPermission);
  EXPECT_EQ(api.raw("POST", "/v1/peer/pair", "{}").error().code, ErrorCode::kPermission);
}

TEST(LocalUser, ChangesSettingsWithValidation) {
  TestHost host("host1");
  auto api = host.local();
  ASSERT_TRUE(api.change_settings({{"incoming", SettingChange::Op::kSet, "on"},
                                   {"allowed-folders", SettingChange::Op::kAdd, "/srv"}}));
  EXPECT_TRUE(api.settings()->incoming);
  EXPECT_EQ(api.change_settings({{"nonsense", SettingChange::Op::kSet, "1"}}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(LocalUser, MistakesAreNamed) {
  TestHost host("host1");
  auto api = host.local();
  const auto message = [&](std::string method, std::string path, std::string body) {
    const auto reply = api.raw(method, path, body);
    if (reply) return "no error: " + *reply;
    EXPECT_TRUE(reply.error().code == ErrorCode::kInvalidArgument ||
                reply.error().code == ErrorCode::kNotFound)
        << reply.error().text();
    return reply.error().message;
  };
  EXPECT_EQ(message("POST", "/v1/moves", R"({"vm":"a","destination":"b","colour":1})"),
            "colour is not a known member.");
  EXPECT_EQ(message("POST", "/v1/moves", R"({"vm":"a","destination":"b","requested_by":"root"})"),
            "requested_by is not a known member.");
  EXPECT_EQ(message("POST", "/v1/moves", R"({"plan":"p","vm":"a"})"), "vm is not a known member.");
  EXPECT_EQ(message("POST", "/v1/moves", "{"), "The text is not JSON.");
  EXPECT_EQ(message("POST", "/v1/tokens", R"({"name":"a","x":1})"), "x is not a known member.");
  EXPECT_EQ(message("GET", "/v1/nothing", ""), "There is no /v1/nothing.");
  EXPECT_EQ(message("GET", "/v1/moves/", ""), "There is no /v1/moves/.");
  EXPECT_EQ(message("DELETE", "/v1/moves", ""), "/v1/moves does not take DELETE.");
  EXPECT_EQ(message("GET", "/v1/vms?colour=1", ""), "/v1/vms takes no `colour`.");
  EXPECT_EQ(message("POST", "/v1/hosts/invite", R"({"valid_ms":1})"),
            "An invite is valid for 10 seconds to 24 hours.");
  EXPECT_EQ(message("GET", "/v1/version?host=host9", ""),
            "No host is called host9 here. None is paired yet: `drover host invite` begins that.");
}

TEST(LocalUser, BodiesHaveABound) {
  TestHost host("host1");
  const auto reply =
      host.local().raw("POST", "/v1/moves", std::string(net::kBodyBytesMax + 1, ' '));
  EXPECT_FALSE(reply);
  EXPECT_TRUE(host.local().version()) << "the server is well";
}

TEST(LocalUser, IsWhoeverTheSocketLetsIn) {
  TestHost host("host1");
  struct stat info{};
  ASSERT_EQ(::stat(host.options.socket.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u) << "without its group, the owner alone";
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  std::filesystem::permissions(host.folder, std::filesystem::perms(0755));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    const auto refused =
        net::connect_unix(host.options.socket, net::SocketKind::kStream, Deadline::after(1s));
    ::_exit(refused ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  client::Target nowhere;
  nowhere.socket = host.folder / "missing.sock";
  EXPECT_EQ(client::ApiClient(nowhere).version().error().code, ErrorCode::kUnavailable);
}

TEST(RemoteUser, NeedsATokenThatIsValidNow) {
  TestHost host("host1");
  EXPECT_EQ(ask(https(host, nullptr), "GET", "/v1/version").status, 401);
  EXPECT_EQ(ask(https(host, nullptr), "GET", "/v1/no-such-path").status, 401)
      << "strangers learn nothing";
  EXPECT_EQ(
      ask(https(host, nullptr), "GET", "/v1/version", "", {{"Authorization", "Bearer "}}).status,
      401);
  const auto token = host.local().add_token("ci");
  ASSERT_TRUE(token) << token.error().text();
  EXPECT_EQ(host.remote(token->token).version()->host, "host1");
  EXPECT_EQ(host.remote(token->token).make_plan(request_for("web"))->request.requested_by,
            "token:ci");
  EXPECT_EQ(host.remote(token->token).raw("POST", "/v1/peer/hello", "{}").error().code,
            ErrorCode::kPermission);
  std::string wrong = token->token;
  wrong.back() = wrong.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(host.remote(wrong).version().error().code, ErrorCode::kUnauthenticated);
  ASSERT_TRUE(host.local().remove_token(token->id));
  EXPECT_EQ(host.remote(token->token).version().error().code, ErrorCode::kUnauthenticated);
  EXPECT_TRUE(host.local().tokens()->empty());
}

TEST(RemoteUser, IsNotTakenToAnotherServer) {
  TestHost one("host1"), two("host2");
  const auto token = one.local().add_token("ci");
  const auto error = two.remote(token->token).version().error();
  EXPECT_EQ(error.code, ErrorCode::kUnauthenticated);
  EXPECT_NE(error.message.find("holds another key"), std::string::npos)
      << "the token itself was not sent";
}

TEST(RemoteUser, MayNotNameAnotherUser) {
  TestHost host("host1");
  const auto token = host.local().add_token("ci");
  EXPECT_EQ(ask(https(host, nullptr), "GET", "/v1/version", "",
                {{"Authorization", "Bearer " + token->token}, {"Drover-User", "root"}})
                .status,
            403);
}

TEST(Peer, UnknownKeysGetNothing) {
  TestHost host("host1");
  const auto stranger = *net::HostIdentity::make();
  EXPECT_EQ(ask(https(host, &stranger), "POST", "/v1/peer/hello", "{}").status, 401);
  EXPECT_EQ(ask(https(host, &stranger), "GET", "/v1/version").status, 401);
  const auto token = host.local().add_token("ci");
  EXPECT_EQ(ask(https(host, &stranger), "GET", "/v1/version", "",
                {{"Authorization", "Bearer " + token->token}})
                .status,
            401)
      << "a key that is shown is the caller, whatever else is said";
}

TEST(Peer, ActsForUsersOnlyWithTheRight) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two));
  auto carried = two.local("host1");
  EXPECT_EQ(carried.version().error().code, ErrorCode::kPermission);
  ASSERT_TRUE(one.local().set_rights("host2", {true, true, true, false}));
  EXPECT_EQ(carried.version()->host, "host1");
  EXPECT_EQ(carried.make_plan(request_for("web"))->request.requested_by, own_name() + "@host2");
  EXPECT_EQ(two.local("host2").version()->host, "host2") << "to oneself is no carrying";
  EXPECT_EQ(carried.raw("GET", "/v1/moves/none", "").error().code, ErrorCode::kNotFound);
  // host1 cannot do the same at host2.
  EXPECT_EQ(one.local("host2").version().error().code, ErrorCode::kPermission);
}

TEST(Peer, NamesTheUserItActsFor) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two, {true, true, true, false}));
  const auto* key = &*two.identity;
  EXPECT_EQ(ask(https(one, key), "GET", "/v1/version").status, 400);
  EXPECT_EQ(ask(https(one, key), "GET", "/v1/version", "", {{"Drover-User", "a@b"}}).status, 400);
  EXPECT_EQ(ask(https(one, key), "GET", "/v1/version", "", {{"Drover-User", "alice"}}).status, 200);
  EXPECT_EQ(
      ask(https(one, key), "GET", "/v1/version?host=host2", "", {{"Drover-User", "alice"}}).status,
      400)
      << "no chains";
  EXPECT_EQ(ask(https(one, key), "POST", "/v1/peer/pair", "{}").status, 403);
  EXPECT_EQ(ask(https(one, key), "POST", "/v1/peer/hello", "{}", {{"Drover-User", "alice"}}).status,
            400);
}

TEST(AllHosts, ListsVmsAndWhoCouldNotBeAsked) {
  TestHost one("host1"), two("host2"), three("host3");
  ASSERT_TRUE(pair_hosts(one, two, {true, true, true, false}));
  ASSERT_TRUE(pair_hosts(three, two));
  auto four = std::make_unique<TestHost>("host4");
  ASSERT_TRUE(pair_hosts(*four, two));
  four.reset();
  const auto listing = two.local().vms(true);
  ASSERT_TRUE(listing) << listing.error().text();
  ASSERT_EQ(listing->vms.size(), 3u) << "no right is needed to see what runs where";
  EXPECT_EQ(listing->vms[0].host, "host1");
  EXPECT_EQ(listing->vms[1].host, "host2");
  EXPECT_EQ(listing->vms[2].host, "host3");
  ASSERT_EQ(listing->unreachable.size(), 1u);
  EXPECT_EQ(listing->unreachable[0].host, "host4");
  EXPECT_EQ(listing->unreachable[0].error.code, ErrorCode::kUnavailable);
}

TEST(Server, SurvivesGarbageOnItsPort) {
  TestHost host("host1");
  for (int i = 0; i < 20; ++i) {
    const auto socket = *net::dial_tcp({"127.0.0.1", host.port}, Deadline::after(2s));
    std::vector<std::uint8_t> garbage(1000);
    fill_random(garbage);
    static_cast<void>(!::write(socket.get(), garbage.data(), garbage.size()));
  }
  const auto token = host.local().add_token("ci");
  EXPECT_TRUE(host.remote(token->token).version());
}

TEST(Server, RefusesASecondOneOnItsPort) {
  TestHost host("host1");
  ServerOptions options = host.options;
  options.api_port = host.port;
  options.socket = host.folder / "second.sock";
  EventHub hub;
  Servers second(options, *host.identity, *host.book, host.backend, host.handler, *host.connections,
                 hub);
  EXPECT_FALSE(second.start());
}

}  // namespace
}  // namespace drover::api
