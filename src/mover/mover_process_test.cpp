// SPDX-License-Identifier: Apache-2.0
// The real program, as a pair, with TCP links between them; the test stands in for droverd, gate,
// libvirt and QEMU.
#include "mover/mover_process.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/random.h"
#include "net/link_listener.h"
#include "net/link_socket.h"
#include "net/unix_socket.h"

namespace drover::mover {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

Deadline limit() { return Deadline::after(60s); }

UniqueFd key_memory() {
  UniqueFd fd(::memfd_create("psk", MFD_CLOEXEC));
  const std::string key(32, 'k');
  EXPECT_EQ(::write(fd.get(), key.data(), key.size()), 32);
  return fd;
}

// Events in the order they came; any thread.
class Events {
 public:
  MoverProcess::EventHandler handler() {
    return [this](const MoverEvent& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      changed_.notify_all();
    };
  }
  bool wait(MoverEvent::Kind kind, std::ptrdiff_t count = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, limit().at(), [&] {
      return std::ranges::count_if(
                 events_, [&](const MoverEvent& event) { return event.kind == kind; }) >= count;
    });
  }

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<MoverEvent> events_;
};

// One mover with everything around it.
struct Side {
  Side(const std::filesystem::path& folder, Role role)
      : socket(folder / (std::string("mover-") + (role == Role::kSource ? "s" : "d"))) {
    const UniqueFd psk = key_memory();
    auto control = *net::listen_unix(socket, net::SocketKind::kPackets, 0600);
    auto rpc_pair = *net::socket_pair(net::SocketKind::kStream);
    auto gate_pair = *net::socket_pair(net::SocketKind::kPackets);
    rpc = std::move(rpc_pair.first);
    gate = std::move(gate_pair.first);
    MoverDescriptors descriptors{.control = control.get(),
                                 .psk = psk.get(),
                                 .rpc = rpc_pair.second.get(),
                                 .gate = gate_pair.second.get()};
    UniqueFd memory;
    UniqueFd disks;
    if (role == Role::kSource) {
      memory = std::move(*net::listen_unix(folder / "mem", net::SocketKind::kStream, 0600));
      disks = std::move(*net::listen_unix(folder / "nbd", net::SocketKind::kStream, 0600));
      descriptors.memory = memory.get();
      descriptors.disks = disks.get();
    }
    const MoverSettings settings{.move = "k3f9x2qa",
                                 .role = role,
                                 .identity = "drover-move k3f9x2qa aa bb",
                                 .sandbox = ::geteuid() == 0};
    auto started =
        MoverProcess::start(DROVER_MOVER_PROGRAM, settings, descriptors, events.handler(), limit());
    EXPECT_TRUE(started) << started.error().text();
    if (started) process = std::move(*started);
  }
  ~Side() {
    if (process) static_cast<void>(process->stop(limit()));
  }

  std::filesystem::path socket;
  UniqueFd rpc;
  UniqueFd gate;
  Events events;
  std::unique_ptr<MoverProcess> process;
};

class MoverPair : public ::testing::Test {
 protected:
  MoverPair() { EXPECT_TRUE(make_folder(folder_, 0700)); }
  ~MoverPair() override { std::filesystem::remove_all(folder_); }

  void SetUp() override {
    source_ = std::make_unique<Side>(folder_, Role::kSource);
    destination_ = std::make_unique<Side>(folder_, Role::kDestination);
    ASSERT_TRUE(source_->process && destination_->process);
    auto tcp = net::listen_tcp({"127.0.0.1", 0});
    ASSERT_TRUE(tcp);
    address_ = *net::local_address(tcp->get());
    listener_ = std::make_unique<net::LinkListener>(
        std::move(*tcp), [this](const net::LinkPreamble& preamble, UniqueFd fd) {
          EXPECT_EQ(preamble.move_id, "k3f9x2qa");
          EXPECT_TRUE(destination_->process->add_link(preamble.link, fd.get(), limit()));
        });
  }
  void TearDown() override { listener_.reset(); }

  void link(std::uint16_t number) {
    auto socket = net::dial_link(address_, "k3f9x2qa", number, limit());
    ASSERT_TRUE(socket) << socket.error().text();
    ASSERT_TRUE(source_->process->add_link(number, socket->get(), limit()));
    link_ = std::move(*socket);
  }

  // The destination's gate: answers one request to open; gives QEMU's end.
  UniqueFd answer_open(const std::string& kind) {
    auto packet = net::receive_packet(destination_->gate.get(), limit());
    EXPECT_TRUE(packet && *packet);
    const json request = json::parse((*packet)->text);
    EXPECT_EQ(request["kind"], kind);
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    const int fds[] = {pair.first.get()};
    const json reply{{"reply", "open"}, {"stream", request["stream"]}, {"ok", true}};
    EXPECT_TRUE(net::send_packet(destination_->gate.get(), reply.dump(), fds, limit()));
    return std::move(pair.second);
  }

  void tell_gates(const char* event) {
    const std::string text = json{{"event", event}}.dump();
    EXPECT_TRUE(net::send_packet(source_->gate.get(), text, {}, limit()));
    EXPECT_TRUE(net::send_packet(destination_->gate.get(), text, {}, limit()));
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  std::unique_ptr<Side> source_;
  std::unique_ptr<Side> destination_;
  UniqueFd link_;  // the source's newest, to cut it
  net::Address address_;
  std::unique_ptr<net::LinkListener> listener_;
};

std::string read_text(int fd, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    if (!net::wait_for(fd, POLLIN, limit())) break;
    const ssize_t n = ::recv(fd, text.data() + done, bytes - done, 0);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

TEST_F(MoverPair, OpensNoMemoryWhileItIsHeldAndThenInOrder) {
  link(1);
  ASSERT_TRUE(source_->events.wait(MoverEvent::Kind::kLinkUp));
  EXPECT_FALSE(destination_->process->hold_memory(true, limit())) << "it has nothing to hold";
  ASSERT_TRUE(source_->process->hold_memory(true, limit()));
  const auto first = net::connect_unix(folder_ / "mem", net::SocketKind::kStream, limit());
  ASSERT_TRUE(first);
  ASSERT_EQ(::send(first->get(), "first", 5, 0), 5);
  const auto second = net::connect_unix(folder_ / "mem", net::SocketKind::kStream, limit());
  ASSERT_TRUE(second);
  ASSERT_EQ(::send(second->get(), "second", 6, 0), 6);
  EXPECT_FALSE(net::wait_for(source_->gate.get(), POLLIN, Deadline::after(300ms)))
      << "the gate must not write down that the switch has begun";
  ASSERT_TRUE(source_->process->hold_memory(false, limit()));
  const UniqueFd qemu = answer_open("memory");
  EXPECT_EQ(read_text(qemu.get(), 5), "first");
  const UniqueFd channel = answer_open("memory");
  EXPECT_EQ(read_text(channel.get(), 6), "second");
}

TEST_F(MoverPair, OpensNoMemoryOnceItsTimeIsOver) {
  link(1);
  ASSERT_TRUE(source_->events.wait(MoverEvent::Kind::kLinkUp));
  EXPECT_FALSE(destination_->process->pass_memory(1s, limit())) << "it has nothing to hold";
  ASSERT_TRUE(source_->process->pass_memory(0ms, limit()));
  const auto late = net::connect_unix(folder_ / "mem", net::SocketKind::kStream, limit());
  ASSERT_TRUE(late);
  ASSERT_EQ(::send(late->get(), "late", 4, 0), 4);
  EXPECT_FALSE(net::wait_for(source_->gate.get(), POLLIN, Deadline::after(300ms)))
      << "the window is closed, although nobody said so since";
  ASSERT_TRUE(source_->process->pass_memory(1h, limit()));
  const UniqueFd qemu = answer_open("memory");
  EXPECT_EQ(read_text(qemu.get(), 4), "late");
}

TEST_F(MoverPair, CarriesStreamsSurvivesACutAndADaemonRestartAndSettles) {
  link(1);
  ASSERT_TRUE(source_->events.wait(MoverEvent::Kind::kLinkUp));
  auto memory = net::connect_unix(folder_ / "mem", net::SocketKind::kStream, limit());
  ASSERT_TRUE(memory);
  const UniqueFd qemu = answer_open("memory");
  auto told = net::receive_packet(source_->gate.get(), limit());
  ASSERT_TRUE(told && *told);
  EXPECT_EQ(json::parse((*told)->text)["event"], "memory_opened");

  ASSERT_EQ(::send(memory->get(), "QEVM", 4, 0), 4);
  EXPECT_EQ(read_text(qemu.get(), 4), "QEVM");

  // The link breaks; bytes written meanwhile arrive over the next.
  ::shutdown(link_.get(), SHUT_RDWR);
  ASSERT_TRUE(source_->events.wait(MoverEvent::Kind::kLinkLost));
  ASSERT_TRUE(destination_->events.wait(MoverEvent::Kind::kLinkLost));
  ASSERT_EQ(::send(memory->get(), "more", 4, 0), 4);
  // The source's daemon is another one by now.
  Events after;
  auto attached = MoverProcess::attach(source_->socket, after.handler(), limit());
  ASSERT_TRUE(attached) << attached.error().text();
  ASSERT_TRUE(source_->events.wait(MoverEvent::Kind::kGone));
  source_->process = std::move(*attached);
  link(1);
  EXPECT_EQ(read_text(qemu.get(), 4), "more");

  auto status = source_->process->status(limit());
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(status->links, std::vector<std::uint32_t>{1});
  EXPECT_GT(status->bytes_sent, 8u);
  EXPECT_EQ(status->streams[1].sent_bytes, 8u);
  EXPECT_EQ(status->streams[1].opened, 1u);
  EXPECT_GE(status->content.data_bytes, 8u) << "what was sent again counts again";
  EXPECT_TRUE(source_->process->set_bandwidth(50'000'000, limit()));

  memory->reset();
  EXPECT_EQ(read_text(qemu.get(), 1), "");
  ASSERT_EQ(::shutdown(qemu.get(), SHUT_RDWR), 0);
  source_->rpc.reset();
  destination_->rpc.reset();
  tell_gates("settled");
  EXPECT_TRUE(after.wait(MoverEvent::Kind::kGone));
  EXPECT_TRUE(destination_->events.wait(MoverEvent::Kind::kGone));
}

TEST_F(MoverPair, GivesUpAndClosesTheStreams) {
  link(1);
  auto disks = net::connect_unix(folder_ / "nbd", net::SocketKind::kStream, limit());
  ASSERT_TRUE(disks);
  const UniqueFd qemu = answer_open("disks");
  ASSERT_TRUE(source_->process->set_patience(100ms, limit()));
  ::shutdown(link_.get(), SHUT_RDWR);
  EXPECT_TRUE(source_->events.wait(MoverEvent::Kind::kGaveUp));
  EXPECT_TRUE(source_->events.wait(MoverEvent::Kind::kGone));
  EXPECT_EQ(read_text(disks->get(), 1), "");
  EXPECT_EQ(read_text(source_->rpc.get(), 1), "");
}

TEST_F(MoverPair, RefusesWrongCommands) {
  EXPECT_EQ(source_->process->add_link(0, 0, limit()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(source_->process->add_link(65, 0, limit()).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(MoverPair, RunsInASandbox) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change user and root folder";
  const std::string proc = fmt::format("/proc/{}/", source_->process->pid());
  const std::string status = *read_file(proc + "status");
  EXPECT_EQ(status.find("\nUid:\t0\t"), std::string::npos);
  EXPECT_NE(status.find("\nNoNewPrivs:\t1"), std::string::npos);
  EXPECT_NE(status.find("\nSeccomp:\t2"), std::string::npos);
  EXPECT_NE(status.find("\nCapPrm:\t0000000000000000"), std::string::npos);
  EXPECT_NE(status.find("\nGroups:\t \n"), std::string::npos) << status;
  const auto root = std::filesystem::read_symlink(proc + "root").string();
  EXPECT_TRUE(root.ends_with("(deleted)")) << root;
}

TEST(MoverStart, MissingDescriptorsAndWrongKeysAreReported) {
  const UniqueFd psk(::memfd_create("psk", MFD_CLOEXEC));
  auto packets = *net::socket_pair(net::SocketKind::kPackets);
  const MoverSettings settings{
      .move = "m", .role = Role::kDestination, .identity = "i", .sandbox = false};
  const MoverDescriptors descriptors{.control = packets.first.get(),
                                     .psk = psk.get(),
                                     .rpc = packets.first.get(),
                                     .gate = packets.first.get()};
  auto started = MoverProcess::start(DROVER_MOVER_PROGRAM, settings, descriptors, nullptr, limit());
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().text().find("32 bytes"), std::string::npos) << started.error().text();
}

}  // namespace
}  // namespace drover::mover
