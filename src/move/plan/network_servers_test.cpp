// SPDX-License-Identifier: Apache-2.0
#include "move/plan/network_servers.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

NetworkLook a_look(std::chrono::milliseconds limit = 10s) {
  return {[](const SecretName&) -> Result<std::string> { return "secret"; },
          Deadline::after(limit)};
}

NetworkSource cluster(std::vector<NetworkServer> servers) {
  NetworkSource source{"rbd", servers.front().host, servers.front().port, "pool/web"};
  source.further.assign(servers.begin() + 1, servers.end());
  return source;
}

std::vector<std::string> texts(const Result<std::vector<NetworkEndpoint>>& found) {
  std::vector<std::string> list;
  if (!found) return {found.error().text()};
  for (const NetworkEndpoint& server : *found) list.push_back(net::address_text(server.at, 1));
  return list;
}

TEST(NetworkServers, OfSeveralAreThereByTheirAddressesInTheirOrder) {
  const auto found = network_endpoints(
      cluster({{"10.0.0.9", "6790"}, {"::ffff:10.0.0.8", ""}, {"fd00:0::9", "3300"}}), a_look());
  EXPECT_EQ(texts(found),
            (std::vector<std::string>{"10.0.0.9:6790", "10.0.0.8:0", "[fd00::9]:3300"}));
  EXPECT_FALSE(found->front().alone);
}

TEST(NetworkServers, OnlyOneIsThereAsItIsNamed) {
  const auto found = network_endpoints({"nbd", "storage1", "", "web"}, a_look());
  EXPECT_EQ(texts(found), std::vector<std::string>{"storage1:10809"});
  EXPECT_TRUE(found->front().alone);
}

TEST(NetworkServers, NoneOfThemMayMeanEachHostItself) {
  for (const std::string own : {"127.0.0.1", "localhost", "::1", "169.254.0.1", "0.0.0.0"}) {
    const auto found = network_endpoints(cluster({{"10.0.0.9", ""}, {own, ""}}), a_look());
    ASSERT_FALSE(found) << own;
    EXPECT_TRUE(found.error().text().contains("another server on each host")) << own;
  }
}

TEST(NetworkServers, AreNotMoreThanALookCanAsk) {
  std::vector<NetworkServer> servers;
  for (std::size_t i = 1; i <= kNetworkServersMost; ++i)
    servers.push_back({fmt::format("10.0.0.{}", i), ""});
  EXPECT_TRUE(network_endpoints(cluster(servers), a_look()));
  servers.push_back({"10.0.1.1", ""});
  EXPECT_FALSE(network_endpoints(cluster(servers), a_look()));
  servers.pop_back();
  EXPECT_FALSE(network_endpoints(cluster(servers), a_look(0ms))) << "its time is over";
  servers.back().port = "70000";
  EXPECT_FALSE(network_endpoints(cluster(servers), a_look()));
}

TEST(NetworkServers, OneThatDoesNotAnswerIsWaitedForOnce) {
  const auto listener = net::listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(listener);
  const NetworkEndpoint there{net::local_address(listener->get()).value(), false};
  NetworkLook look = a_look();
  const auto reached = dial_endpoint(there, look);
  ASSERT_FALSE(reached);
  EXPECT_TRUE(reached.error().text().contains("another server on each host"));
  EXPECT_TRUE(look.silent.empty()) << "it answered";

  const NetworkEndpoint gone{{"127.0.0.1", 1}, false};
  const auto first = dial_endpoint(gone, look), second = dial_endpoint(gone, look);
  ASSERT_FALSE(first);
  ASSERT_FALSE(second);
  EXPECT_FALSE(first.error().text().contains("a moment ago"));
  EXPECT_TRUE(second.error().text().contains("a moment ago"));
}

}  // namespace
}  // namespace drover::move
