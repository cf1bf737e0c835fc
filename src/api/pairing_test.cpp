// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "api/invite_book.h"
#include "api/pairing_proof.h"
#include "api/test_host.h"

namespace drover::api {
namespace {

using namespace std::chrono_literals;

TEST(Pairing, BothSidesKnowEachOtherByKeyAfterwards) {
  TestHost one("host1"), two("host2");
  const auto invite = one.local().invite({});
  ASSERT_TRUE(invite) << invite.error().text();
  EXPECT_EQ(invite->line, fmt::format("drover host add 127.0.0.1:{} {}", one.port, invite->code));
  HostAddition addition;
  addition.address = invite->address;
  addition.code = invite->code;
  addition.enable_moves = true;
  const auto entry = two.local().add_host(addition);
  ASSERT_TRUE(entry) << entry.error().text();
  EXPECT_EQ(entry->peer.name, "host1");
  EXPECT_TRUE(entry->reachable) << entry->trouble;
  EXPECT_EQ(entry->peer.public_key, one.identity->public_key());
  const auto other = one.book->find_peer("host2");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->public_key, two.identity->public_key());
  EXPECT_EQ(other->api_port, two.port);
  EXPECT_FALSE(other->rights.command) << "pairing grants sending and receiving only";
  EXPECT_FALSE(other->rights.introduce);
  EXPECT_TRUE(two.book->settings().incoming && two.book->settings().outgoing);
  EXPECT_FALSE(one.book->settings().incoming) << "not asked for there";
  EXPECT_TRUE(one.local().hosts()->at(0).reachable);
}

TEST(Pairing, PeersCanTalkBothWays) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two));
  EXPECT_EQ(*two.transport().call("host1", "reserve", "{}", Deadline::after(5s)),
            "host2 reserve {}");
  EXPECT_EQ(*one.transport().call("host2", "reserve", "{}", Deadline::after(5s)),
            "host1 reserve {}");
  const auto refused = one.transport().call("host2", "fail", "{}", Deadline::after(5s));
  EXPECT_EQ(refused.error().code, ErrorCode::kPolicy);
  EXPECT_EQ(refused.error().message, "The policy of this host refuses it.");
  EXPECT_EQ(one.transport().call("host9", "x", "{}", Deadline::after(5s)).error().code,
            ErrorCode::kNotFound);
}

TEST(Pairing, ACodeIsGoodOnce) {
  TestHost one("host1"), two("host2"), three("host3");
  const auto invite = *one.local().invite({});
  ASSERT_TRUE(two.local().add_host({invite.address, invite.code, "", {}, false}));
  const auto again = three.local().add_host({invite.address, invite.code, "", {}, false});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kUnauthenticated);
  EXPECT_NE(again.error().message.find("used already"), std::string::npos);
  EXPECT_TRUE(three.book->peers().empty());
  EXPECT_EQ(one.book->peers().size(), 1u);
}

TEST(Pairing, AWrongCodeIsRefusedOnBothSides) {
  TestHost one("host1"), two("host2");
  const auto invite = *one.local().invite({});
  const auto stranger =
      two.local().add_host({invite.address, net::make_invite_code(), "", {}, false});
  EXPECT_EQ(stranger.error().code, ErrorCode::kUnauthenticated);
  std::string mistyped = invite.code;
  mistyped[0] = mistyped[0] == '7' ? '8' : '7';
  mistyped[1] = mistyped[1] == '7' ? '8' : '7';
  EXPECT_FALSE(two.local().add_host({invite.address, mistyped, "", {}, false}));
  EXPECT_TRUE(one.book->peers().empty());
  EXPECT_TRUE(two.local().add_host({invite.address, invite.code, "", {}, false}))
      << "the code itself is still good";
}

TEST(Pairing, SameNamesAreToldApart) {
  TestHost one("debian"), two("debian");
  const auto invite = *one.local().invite({});
  const auto clash = two.local().add_host({invite.address, invite.code, "", {}, false});
  EXPECT_EQ(clash.error().code, ErrorCode::kConflict);
  EXPECT_NE(clash.error().message.find("--name"), std::string::npos);
  const auto other_side = two.local().add_host({invite.address, invite.code, "first", {}, false});
  EXPECT_EQ(other_side.error().code, ErrorCode::kConflict);
  EXPECT_NE(other_side.error().message.find("drover host invite --name"), std::string::npos);
  EXPECT_TRUE(two.book->peers().empty()) << "nothing half-made stays";
  InviteRequest named;
  named.name = "second";
  const auto better = *one.local().invite(named);
  ASSERT_TRUE(two.local().add_host({better.address, better.code, "first", {}, false}));
  EXPECT_TRUE(one.book->find_peer("second"));
  EXPECT_TRUE(two.book->find_peer("first"));
}

TEST(Pairing, NewcomersReachNothingElse) {
  TestHost one("host1");
  const auto invite = *one.local().invite({});
  const auto secret = *net::read_invite_code(invite.code);
  const net::TlsClientContext context(nullptr);
  const auto status = [&](std::string method, std::string path, std::string body) {
    auto stream = context.connect(*net::dial_tcp({"127.0.0.1", one.port}, Deadline::after(5s)),
                                  secret, Deadline::after(5s));
    EXPECT_TRUE(stream);
    net::HttpClient http(std::move(*stream));
    return http.call({method, path, body, {}, Deadline::after(5s)})->status;
  };
  EXPECT_EQ(status("GET", "/v1/version", ""), 403);
  EXPECT_EQ(status("POST", "/v1/peer/hello", "{}"), 403);
  EXPECT_EQ(status("POST", "/v1/peer/pair", "{}"), 400);
  const std::string key(64, 'a');
  // A key that is not the newcomer's own: no signature, no pairing; and the code stays good.
  EXPECT_EQ(
      status("POST", "/v1/peer/pair",
             fmt::format(
                 R"({{"protocol":1,"step":"join","public_key":"{}","signature":"{}","name":"x",)"
                 R"("api_port":1,"mover_port":1}})",
                 key, std::string(128, '0'))),
      401);
  EXPECT_TRUE(one.book->peers().empty());
  TestHost two("host2");
  EXPECT_TRUE(two.local().add_host({invite.address, invite.code, "", {}, false}));
}

TEST(Pairing, RemovalEndsItOnBothSidesAndAtOnce) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two));
  ASSERT_TRUE(two.transport().call("host1", "a", "{}", Deadline::after(5s)))
      << "a connection is kept open now";
  const Peer former = *two.book->find_peer("host1");
  ASSERT_TRUE(one.local().remove_host("host2"));
  EXPECT_TRUE(eventually([&] { return two.book->peers().empty(); })) << "host2 was told";
  ASSERT_TRUE(two.book->put_peer(former));
  const auto refused = two.transport().call("host1", "a", "{}", Deadline::after(5s));
  EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
}

TEST(Pairing, AnotherKeyAtTheSameAddressIsSeen) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two));
  Peer wrong = *two.book->find_peer("host1");
  ASSERT_TRUE(two.book->remove_peer("host1"));
  wrong.public_key = net::HostIdentity::make()->public_key();
  ASSERT_TRUE(two.book->put_peer(wrong));
  const auto error = two.transport().call("host1", "a", "{}", Deadline::after(5s)).error();
  EXPECT_EQ(error.code, ErrorCode::kUnauthenticated);
  EXPECT_NE(error.message.find("answers with another identity than the one paired"),
            std::string::npos);
}

TEST(Pairing, AHostThatIsDownIsSaidToBe) {
  TestHost one("host1");
  auto two = std::make_unique<TestHost>("host2");
  ASSERT_TRUE(pair_hosts(one, *two));
  const auto port = two->port;
  two.reset();
  const auto error = one.transport().call("host2", "a", "{}", Deadline::after(5s)).error();
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(error.retry, Retry::kLater);
  EXPECT_NE(error.message.find(fmt::format(
                "does not answer (connection refused). Is droverd running and TCP {} open", port)),
            std::string::npos)
      << error.message;
}

TEST(Pairing, ARestartedHostIsReachedAgainWithoutAnError) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two));
  ASSERT_TRUE(one.transport().call("host2", "a", "{}", Deadline::after(5s)));
  two.restart_on_same_port();
  EXPECT_TRUE(one.transport().call("host2", "a", "{}", Deadline::after(5s)));
}

TEST(Introduction, WaitsForApprovalUnlessTheIntroducerMay) {
  TestHost one("host1"), two("host2"), three("host3");
  ASSERT_TRUE(pair_hosts(one, two));
  // host2 lets host1 introduce; host3 does not.
  ASSERT_TRUE(two.local().set_rights("host1", {true, true, false, true}));
  ASSERT_TRUE(pair_hosts(one, three));
  ASSERT_TRUE(
      eventually([&] { return two.book->find_peer("host3") && three.book->find_peer("host2"); }));
  EXPECT_EQ(two.book->find_peer("host3")->state, PeerState::kPaired);
  EXPECT_EQ(three.book->find_peer("host2")->state, PeerState::kWaiting);
  EXPECT_EQ(two.local().host("host3")->introduced_by, "host1");
  const auto early = two.transport().call("host3", "a", "{}", Deadline::after(5s));
  EXPECT_EQ(early.error().code, ErrorCode::kPermission) << "who waits may nothing";
  EXPECT_FALSE(three.transport().call("host2", "a", "{}", Deadline::after(5s)));
  ASSERT_TRUE(three.local().approve_host("host2"));
  EXPECT_TRUE(two.transport().call("host3", "a", "{}", Deadline::after(5s)));
  EXPECT_TRUE(three.transport().call("host2", "a", "{}", Deadline::after(5s)));
  // host1 parts from host3: host2 follows, for host1 brought it and may still introduce.
  ASSERT_TRUE(one.local().remove_host("host3"));
  EXPECT_TRUE(eventually([&] { return !two.book->find_peer("host3"); }));
}

TEST(InviteBook, ExpiresByTheClockNobodySets) {
  std::chrono::nanoseconds now = 1h;
  InviteBook book([&] { return now; });
  InviteRequest request;
  request.valid = 10min;
  const auto secret = *net::read_invite_code(*book.add(request));
  now += 9min;
  EXPECT_TRUE(book.find_key(secret.identity));
  ASSERT_TRUE(book.claim(secret.identity));
  EXPECT_FALSE(book.claim(secret.identity)) << "one newcomer at a time";
  book.release(secret.identity);
  now += 1min;
  EXPECT_FALSE(book.find_key(secret.identity));
  EXPECT_FALSE(book.claim(secret.identity));
}

TEST(InviteBook, BoundsNumberAndLifetime) {
  InviteBook book;
  InviteRequest request;
  request.valid = 1s;
  EXPECT_FALSE(book.add(request));
  request.valid = 48h;
  EXPECT_FALSE(book.add(request));
  request.valid = 1min;
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(book.add(request));
  EXPECT_EQ(book.add(request).error().code, ErrorCode::kConflict);
}

TEST(PairingProof, IsBoundToRoleSessionAndKeys) {
  const auto host = *net::HostIdentity::make(), other = *net::HostIdentity::make();
  const std::string text = pairing_proof("host", "session", host.public_key(), other.public_key());
  const std::string signature = sign_hex(host, text);
  EXPECT_TRUE(verify_hex(host.public_key(), text, signature));
  for (const auto& wrong :
       {pairing_proof("newcomer", "session", host.public_key(), other.public_key()),
        pairing_proof("host", "another", host.public_key(), other.public_key()),
        pairing_proof("host", "session", other.public_key(), host.public_key())}) {
    EXPECT_FALSE(verify_hex(host.public_key(), wrong, signature));
  }
}

}  // namespace
}  // namespace drover::api
