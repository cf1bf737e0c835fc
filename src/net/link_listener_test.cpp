// SPDX-License-Identifier: Apache-2.0
#include "net/link_listener.h"

#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/link_socket.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

using namespace std::chrono_literals;

Deadline limit() { return Deadline::after(30s); }

// A listener on a free port and what it handed on.
class Door {
 public:
  explicit Door(LinkListener::Admission admit = {}, const std::string& host = "127.0.0.1") {
    UniqueFd tcp = std::move(*listen_tcp({host, 0}));
    address = *local_address(tcp.get());
    listener = std::make_unique<LinkListener>(
        std::move(tcp),
        [this](const LinkPreamble& preamble, UniqueFd fd) {
          const std::lock_guard lock(mutex_);
          links_.emplace_back(preamble, std::move(fd));
          changed_.notify_all();
        },
        std::move(admit));
  }
  std::optional<std::pair<LinkPreamble, UniqueFd>> next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, limit().at(), [&] { return !links_.empty(); })) return {};
    auto link = std::move(links_.front());
    links_.erase(links_.begin());
    return link;
  }

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<std::pair<LinkPreamble, UniqueFd>> links_;

 public:
  Address address;
  std::unique_ptr<LinkListener> listener;
};

bool is_closed_by_peer(int fd) {
  char byte = 0;
  return wait_for(fd, POLLIN, limit()) && ::recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

TEST(LinkPreamble, SurvivesItsEncodingAndRefusesOthers) {
  const LinkPreamble preamble{"k3f9x2qa", 7};
  auto bytes = *encode_preamble(preamble);
  EXPECT_EQ(*decode_preamble(bytes), preamble);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto wrong = bytes;
    wrong[i] = static_cast<std::uint8_t>(wrong[i] ^ 0x80);
    EXPECT_FALSE(decode_preamble(wrong)) << "byte " << i;
  }
  EXPECT_FALSE(encode_preamble({"", 1}));
  EXPECT_FALSE(encode_preamble({"../../etc", 1}));
  EXPECT_FALSE(encode_preamble({std::string(17, 'a'), 1}));
  EXPECT_FALSE(encode_preamble({"a", 0}));
  EXPECT_FALSE(encode_preamble({"a", 65}));
}

TEST(LinkListener, HandsLinksOnWithWhatFollowsThePreamble) {
  Door door;
  auto dialled = dial_link(door.address, "k3f9x2qa", 2, limit());
  ASSERT_TRUE(dialled) << dialled.error().text();
  ASSERT_EQ(::send(dialled->get(), "TLS", 3, 0), 3);
  auto link = door.next();
  ASSERT_TRUE(link);
  EXPECT_EQ(link->first, (LinkPreamble{"k3f9x2qa", 2}));
  ASSERT_TRUE(wait_for(link->second.get(), POLLIN, limit()));
  char text[8] = {};
  EXPECT_EQ(::recv(link->second.get(), text, sizeof text, 0), 3);
}

TEST(LinkListener, ClosesStrangersAndKeepsServing) {
  Door door;
  auto stranger = dial_tcp(door.address, limit());
  ASSERT_TRUE(stranger);
  ASSERT_EQ(::send(stranger->get(), "GET / HTTP/1.1\r\nHost: host2\r\n", 29, 0), 29);
  EXPECT_TRUE(is_closed_by_peer(stranger->get()));
  ASSERT_TRUE(dial_link(door.address, "k3f9x2qa", 1, limit()));
  EXPECT_TRUE(door.next());
}

TEST(LinkListener, SilentConnectionsAreClosedAndBounded) {
  Door door;
  std::vector<UniqueFd> silent;
  for (std::size_t i = 0; i < LinkListener::kHalfOpenMax + 1; ++i) {
    silent.push_back(std::move(*dial_tcp(door.address, limit())));
  }
  EXPECT_TRUE(is_closed_by_peer(silent.front().get())) << "the oldest makes room";
  EXPECT_TRUE(is_closed_by_peer(silent.back().get())) << "the deadline";
}

TEST(LinkListener, AdmitsByTheAddressThatTheLinkCameTo) {
  Door door([](const std::string& local) { return local == "127.0.0.2"; }, "");
  const std::uint16_t port = door.address.port;
  auto refused = dial_link({"127.0.0.1", port}, "k3f9x2qa", 1, limit());
  ASSERT_TRUE(refused) << "it is closed only once it is there";
  EXPECT_TRUE(is_closed_by_peer(refused->get()));
  auto admitted = dial_link({"127.0.0.2", port}, "k3f9x2qa", 2, limit());
  ASSERT_TRUE(admitted);
  const auto link = door.next();
  ASSERT_TRUE(link);
  EXPECT_EQ(link->first.link, 2);
}

TEST(LinkSocket, LeavesFromTheAddressItIsTold) {
  Door door;
  ASSERT_TRUE(dial_link(door.address, "k3f9x2qa", 1, limit(), "127.0.0.3"));
  const auto link = door.next();
  ASSERT_TRUE(link);
  EXPECT_EQ(remote_address(link->second.get())->host, "127.0.0.3");
  const auto wrong = dial_link(door.address, "k3f9x2qa", 1, limit(), "192.0.2.1");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("192.0.2.1"), std::string::npos);
  EXPECT_FALSE(dial_link(door.address, "k3f9x2qa", 1, limit(), "::1")) << "another family";
}

TEST(LinkSocket, SaysWhatToDoWhenNobodyListens) {
  UniqueFd tcp = std::move(*listen_tcp({"127.0.0.1", 0}));
  const Address address = *local_address(tcp.get());
  tcp.reset();
  auto dialled = dial_link(address, "k3f9x2qa", 1, limit());
  ASSERT_FALSE(dialled);
  EXPECT_EQ(dialled.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(dialled.error().message.find("Is droverd running"), std::string::npos);
}

}  // namespace
}  // namespace drover::net
