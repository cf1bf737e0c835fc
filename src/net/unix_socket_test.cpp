// SPDX-License-Identifier: Apache-2.0
#include "net/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"

namespace drover::net {
namespace {

using namespace std::chrono_literals;

TEST(Packet, CarriesTextAndDescriptors) {
  auto pair = *socket_pair(SocketKind::kPackets);
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  const int sent[] = {writer.get()};
  ASSERT_TRUE(send_packet(pair.first.get(), "hello", sent, Deadline::after(1s)));
  writer.reset();
  auto packet = receive_packet(pair.second.get(), Deadline::after(1s));
  ASSERT_TRUE(packet && *packet);
  EXPECT_EQ((*packet)->text, "hello");
  ASSERT_EQ((*packet)->descriptors.size(), 1u);
  EXPECT_EQ(::write((*packet)->descriptors[0].get(), "x", 1), 1);
}

TEST(Packet, LargestMessageFits) {
  auto pair = *socket_pair(SocketKind::kPackets);
  const std::string text(kPacketBytesMax, 'a');
  ASSERT_TRUE(send_packet(pair.first.get(), text, {}, Deadline::after(1s)));
  EXPECT_EQ((**receive_packet(pair.second.get(), Deadline::after(1s))).text.size(), text.size());
}

TEST(Packet, CloseIsNothingAndSilenceIsATimeout) {
  auto pair = *socket_pair(SocketKind::kPackets);
  EXPECT_EQ(receive_packet(pair.second.get(), Deadline::after(5ms)).error().code,
            ErrorCode::kTimeout);
  pair.first.reset();
  EXPECT_FALSE(receive_packet(pair.second.get(), Deadline::after(1s))->has_value());
}

TEST(UnixSocket, ListensConnectsAndRefusesLongPaths) {
  const auto path = std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  auto listener = listen_unix(path, SocketKind::kStream, 0600);
  ASSERT_TRUE(listener);
  ASSERT_TRUE(connect_unix(path, SocketKind::kStream, Deadline::after(1s)));
  EXPECT_TRUE(accept_one(listener->get(), Deadline::after(1s)));
  EXPECT_TRUE(listen_unix(path, SocketKind::kStream, 0600)) << "a stale socket is replaced";
  std::filesystem::remove(path);
  EXPECT_EQ(listen_unix("/tmp/" + std::string(200, 'x'), SocketKind::kStream, 0600).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace drover::net
