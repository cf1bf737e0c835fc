// SPDX-License-Identifier: Apache-2.0
#include "net/control_channel.h"

#include <future>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "net/child_process.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

const auto kLimit = [] { return Deadline::after(20s); };

class ControlChannel : public ::testing::Test {
 protected:
  ControlChannel() { listener_ = std::move(*listen_unix(path_, SocketKind::kPackets, 0600)); }
  ~ControlChannel() override { std::filesystem::remove(path_); }

  ControlServer::Handler echo() {
    return [](const json& command, std::vector<UniqueFd> descriptors) -> Result<json> {
      if (command["do"] == "refuse") return fail(ErrorCode::kConflict, "Not now.");
      return json{{"value", command.value("value", 0)}, {"descriptors", descriptors.size()}};
    };
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  UniqueFd listener_;
};

TEST_F(ControlChannel, CommandsGetTheirRepliesAndErrorsKeepTheirCode) {
  auto pair = *socket_pair(SocketKind::kPackets);
  ControlServer server(std::move(pair.first), std::move(listener_), echo());
  ControlClient client(std::move(pair.second), {}, {});
  const int passed[] = {0, 1};
  auto reply = client.call({{"do", "add"}, {"value", 7}}, passed, kLimit());
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ((*reply)["value"], 7);
  EXPECT_EQ((*reply)["descriptors"], 2);
  EXPECT_EQ((*reply)["reply"], "add");
  auto refused = client.call({{"do", "refuse"}}, {}, kLimit());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_FALSE(client.call({{"value", 1}}, {}, kLimit())) << "a command without a verb is refused";
}

TEST_F(ControlChannel, TheNewestConnectionWins) {
  auto pair = *socket_pair(SocketKind::kPackets);
  ControlServer server(std::move(pair.first), std::move(listener_), echo());
  std::promise<void> first_closed;
  std::promise<json> event;
  ControlClient first(std::move(pair.second), {}, [&] { first_closed.set_value(); });
  auto second =
      ControlClient::connect(path_, [&](const json& got) { event.set_value(got); }, {}, kLimit());
  ASSERT_TRUE(second);
  ASSERT_TRUE((*second)->call({{"do", "add"}}, {}, kLimit()));
  EXPECT_EQ(first_closed.get_future().wait_for(20s), std::future_status::ready);
  EXPECT_EQ(first.call({{"do", "add"}}, {}, kLimit()).error().code, ErrorCode::kUnavailable);
  server.send_event({{"event", "link_up"}, {"link", 3}});
  auto got = event.get_future();
  ASSERT_EQ(got.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(got.get()["link"], 3);
}

TEST_F(ControlChannel, AServerThatEndsMakesCallsFailAtOnce) {
  auto pair = *socket_pair(SocketKind::kPackets);
  auto server =
      std::make_unique<ControlServer>(std::move(pair.first), std::move(listener_), echo());
  ControlClient client(std::move(pair.second), {}, {});
  server.reset();
  EXPECT_EQ(client.call({{"do", "add"}}, {}, kLimit()).error().code, ErrorCode::kUnavailable);
}

TEST(ControlMessage, WrongMembersAreErrorsNotExceptions) {
  EXPECT_FALSE(parse_message("[1]"));
  EXPECT_FALSE(parse_message("{\"a\":"));
  const json message = *parse_message(R"({"n":-1,"t":5,"f":"yes","l":[1]})");
  EXPECT_FALSE(count_member(message, "n"));
  EXPECT_FALSE(text_member(message, "t"));
  EXPECT_FALSE(flag_member(message, "f"));
  EXPECT_FALSE(texts_member(message, "l"));
  EXPECT_FALSE(text_member_or(message, "t", ""));
  EXPECT_EQ(count_member_or(message, "absent", 4).value(), 4u);
}

// A shell stands in for a mover: it can say nothing on a packet socket but what printf writes in
// one go.
TEST(ChildProcess, StartsAProgramWithDescriptorThreeAndReadsItsAnswer) {
  const ChildProgram program{
      "/bin/sh",
      {"-c", "head -c1 <&3 >/dev/null; printf '{\"event\":\"ready\",\"pid\":%d}' $$ >&3"}};
  auto started = start_program(program, {{"move", "m"}}, {}, kLimit());
  ASSERT_TRUE(started) << started.error().text();
  EXPECT_GT(started->pid, 1);
}

TEST(ChildProcess, ReportsFailedExecFailedStartAndEarlyDeath) {
  EXPECT_EQ(spawn_detached({"/no/such/program", {}}).error().code, ErrorCode::kNotFound);
  const ChildProgram refuses{"/bin/sh",
                             {"-c", "printf '{\"event\":\"failed\",\"error\":\"no key\"}' >&3"}};
  auto refused = start_program(refuses, json::object(), {}, kLimit());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("no key"), std::string::npos);
  const ChildProgram dies{"/bin/sh", {"-c", "exit 3"}};
  EXPECT_FALSE(start_program(dies, json::object(), {}, kLimit()));
}

TEST(ChildProcess, StartMessageBringsDescriptorsByName) {
  auto pair = *socket_pair(SocketKind::kPackets);
  const int fds[] = {0};
  ASSERT_TRUE(send_packet(pair.first.get(), R"({"fds":["psk"]})", fds, kLimit()));
  auto start = receive_start(pair.second.get(), kLimit());
  ASSERT_TRUE(start);
  EXPECT_TRUE(start->take("psk"));
  EXPECT_FALSE(start->take("psk")) << "a descriptor is handed over once";
  EXPECT_FALSE(start->take("gate"));
  ASSERT_TRUE(send_packet(pair.first.get(), R"({"fds":["psk","gate"]})", fds, kLimit()));
  EXPECT_FALSE(receive_start(pair.second.get(), kLimit()));
}

}  // namespace
}  // namespace drover::net
