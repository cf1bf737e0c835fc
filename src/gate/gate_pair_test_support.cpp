// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_pair_test_support.h"

#include <csignal>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/random.h"

namespace drover::gate::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr const char* kMove = "k3f9x2qa";
constexpr const char* kInstance = "1";
const RecordKey kKey{kVmUuid, kMove};

Deadline soon() { return Deadline::after(kPatience); }

}  // namespace

std::string test_definition() {
  return std::string("<domain type='kvm'><name>") + kVmName + "</name><uuid>" + kVmUuid +
         "</uuid><devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>";
}

void send_packet_bytes(int fd, const RpcPacket& packet) {
  std::span<const std::uint8_t> rest = packet.bytes;
  while (!rest.empty()) {
    const ssize_t n = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    rest = rest.subspan(static_cast<std::size_t>(n));
  }
}

std::optional<RpcPacket> PacketReader::next(Deadline deadline) {
  while (true) {
    if (auto packet = decoder_.next(); packet && *packet) return std::move(**packet);
    if (!net::wait_for(fd_, POLLIN, deadline)) return std::nullopt;
    std::uint8_t buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return std::nullopt;
    decoder_.feed(std::span(buffer).first(static_cast<std::size_t>(n)));
  }
}

std::string CallingLibvirt::answer(std::chrono::milliseconds patience) {
  auto packet = reader_.next(Deadline::after(patience));
  if (!packet) return "";
  last = std::move(*packet);
  return packet_word(last);
}

AnsweringLibvirt::AnsweringLibvirt(const fs::path& socket)
    : listener_(*net::listen_unix(socket, net::SocketKind::kStream, 0600)),
      thread_([this] { serve(); }) {}

AnsweringLibvirt::~AnsweringLibvirt() {
  stop_ = true;
  release_.close();
}

bool AnsweringLibvirt::saw(const std::string& word) {
  const Deadline deadline = soon();
  while (auto next = seen_.pop(deadline)) {
    if (*next == word) return true;
  }
  return false;
}

void AnsweringLibvirt::serve() {
  while (!stop_) {
    auto connection = net::accept_one(listener_.get(), Deadline::after(20ms));
    if (!connection) continue;
    PacketReader reader(connection->get());
    bool open = true;
    while (open && !stop_) {
      if (!net::wait_for(connection->get(), POLLIN, Deadline::after(20ms))) continue;
      const auto packet = reader.next(soon());
      open = packet && answer(connection->get(), *packet);
    }
    seen_.push("closed", 1);
  }
}

bool AnsweringLibvirt::answer(int fd, const RpcPacket& packet) {
  if (is_keepalive(packet.header)) return true;
  Bytes payload;
  if (packet.header.procedure == kMigratePrepare) payload = encode(PrepareReply{});
  if (packet.header.procedure != kMigrateFinish) {
    seen_.push(packet_word(packet), 1);
    send_packet_bytes(fd, make_reply(packet.header, payload));
    return true;
  }
  const bool cancelled = decode_finish_call(packet.payload())->cancelled;
  seen_.push(cancelled ? "finish1" : "finish0", 1);
  if (finish == Finish::kHold) release_.pop(soon());
  if (finish == Finish::kClose) return false;
  RpcPacket reply = finish_reply(packet.header.serial);
  if (cancelled || finish == Finish::kError) {
    reply = error_reply(kMigrateFinish, packet.header.serial);
  }
  send_packet_bytes(fd, reply);
  return true;
}

Road::Road() {
  auto at_source = *net::socket_pair(net::SocketKind::kStream);
  auto at_destination = *net::socket_pair(net::SocketKind::kStream);
  source_end_ = std::move(at_source.first);
  near_source_ = std::move(at_source.second);
  destination_end_ = std::move(at_destination.first);
  near_destination_ = std::move(at_destination.second);
  forward_ = std::jthread(
      [this] { pump(near_source_.get(), near_destination_.get(), lose_to_destination); });
  backward_ =
      std::jthread([this] { pump(near_destination_.get(), near_source_.get(), lose_to_source); });
}

void Road::cut() {
  ::shutdown(near_source_.get(), SHUT_RDWR);
  ::shutdown(near_destination_.get(), SHUT_RDWR);
}

// Like a mover: the end of one side is the end of the other.
void Road::pump(int from, int to, const std::atomic<bool>& lose) {
  std::uint8_t buffer[4096];
  ssize_t n = 0;
  while ((n = ::recv(from, buffer, sizeof buffer, 0)) > 0) {
    if (!lose) ::send(to, buffer, static_cast<std::size_t>(n), MSG_NOSIGNAL);
  }
  cut();
}

GatePair::GatePair()
    : folder(fs::temp_directory_path() / ("drover-gates-" + random_name(8))),
      source_records_(*RecordFolder::open(folder / "source", kInstance)),
      destination_records_(*RecordFolder::open(folder / "destination", kInstance)) {
  destination_libvirt = std::make_unique<AnsweringLibvirt>(folder / "libvirt");
  std::ofstream(folder / "vda") << std::string(4096, '\0');
  image.reset(::open((folder / "vda").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(source_records_.create_source(kKey, kMove));
  EXPECT_TRUE(destination_records_.create_destination(kKey, kMove));
  auto source_pair = *net::socket_pair(net::SocketKind::kPackets);
  auto destination_pair = *net::socket_pair(net::SocketKind::kPackets);
  source_mover = std::move(source_pair.first);
  destination_mover = std::move(destination_pair.first);
  start_source(road.take_source_end(), source_pair.second);
  start_destination(road.take_destination_end(), destination_pair.second);
}

GatePair::~GatePair() {
  kill_source_gate();
  kill_destination_gate();
  source.reset();
  destination.reset();
  fs::remove_all(folder);
}

GateProcess::Handlers GatePair::handlers(Events& events) {
  return {[&events](const GateEvent& event) {
            std::string word = words(Actions{Emit{event}}).substr(6);  // after "event:"
            events.push(word, 1, Deadline::after(0ms));
          },
          [&events] { events.push("gone", 1, Deadline::after(0ms)); }};
}

GateStart GatePair::start_of(GateRole role) const {
  GateStart start;
  start.move = kMove;
  start.role = role;
  start.vm_name = kVmName;
  start.vm_uuid = kVmUuid;
  start.epoch = kMove;
  start.instance = kInstance;
  start.libvirt_socket = folder / "libvirt";
  start.memory_socket = folder / "mem";
  start.disks_socket = folder / "nbd";
  start.policy.host = "host2";
  start.policy.vm_name = kVmName;
  start.policy.vm_uuid = kVmUuid;
  start.policy.memory_uri = "unix:///mem";
  EXPECT_TRUE(reserve_references(start.policy, test_definition()));
  return start;
}

void GatePair::start_source(const UniqueFd& rpc, const UniqueFd& mover) {
  const auto control = net::listen_unix(folder / "source.sock", net::SocketKind::kPackets, 0600);
  const auto listener = net::listen_unix(folder / "rpc", net::SocketKind::kStream, 0600);
  const UniqueFd records(::open((folder / "source").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  GateDescriptors descriptors{control->get(), records.get(),   rpc.get(),
                              mover.get(),    listener->get(), {{"vda", image.get()}}};
  auto started = GateProcess::start(DROVER_GATE_PROGRAM, start_of(GateRole::kSource), descriptors,
                                    handlers(source_events_), soon());
  DROVER_CHECK(started);
  source = std::move(*started);
}

void GatePair::start_destination(const UniqueFd& rpc, const UniqueFd& mover) {
  const auto control =
      net::listen_unix(folder / "destination.sock", net::SocketKind::kPackets, 0600);
  const UniqueFd records(
      ::open((folder / "destination").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  GateDescriptors descriptors{control->get(), records.get(), rpc.get(), mover.get(), -1, {}};
  auto started = GateProcess::start(DROVER_GATE_PROGRAM, start_of(GateRole::kDestination),
                                    descriptors, handlers(destination_events_), soon());
  DROVER_CHECK(started);
  destination = std::move(*started);
}

void GatePair::prepare(CallingLibvirt& libvirt) {
  EXPECT_EQ(libvirt.ask(call(kAuthList, 0)), "reply66");
  PrepareCall prepare;
  prepare.params = {{"destination_xml", test_definition()},
                    {"destination_name", std::string(kVmName)},
                    {"migrate_uri", std::string("unix:///mem")}};
  prepare.flags = 3;
  EXPECT_EQ(libvirt.ask(call(kMigratePrepare, 9, encode(prepare))), "reply303");
  EXPECT_TRUE(source_says("prepared"));
}

std::string GatePair::source_record() const {
  const auto record = source_records_.source(kKey);
  return record ? std::string(source_state_name(record->state)) : record.error().text();
}

std::string GatePair::decision() const {
  const auto decision = destination_records_.decision(kKey);
  if (!decision) return decision.error().text();
  return *decision ? std::string(decision_name(**decision)) : "none";
}

std::string GatePair::outcome() const {
  const auto outcome = destination_records_.outcome(kKey);
  if (!outcome) return outcome.error().text();
  if (!*outcome) return "none";
  return (*outcome)->ok ? "ok " + std::to_string((*outcome)->domain_id)
                        : "error " + (*outcome)->error;
}

bool GatePair::says(Events& events, const std::string& word) {
  const Deadline deadline = soon();
  while (auto next = events.pop(deadline)) {
    if (*next == word) return true;
  }
  return false;
}

bool GatePair::fenced() const {
  const UniqueFd other(::open((folder / "vda").c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_start = 201;
  lock.l_len = 1;
  ::fcntl(other.get(), F_OFD_GETLK, &lock);
  return lock.l_type != F_UNLCK;
}

void GatePair::kill_source_gate() {
  if (source) ::kill(source->pid(), SIGKILL);
}

void GatePair::kill_destination_gate() {
  if (destination) ::kill(destination->pid(), SIGKILL);
}

}  // namespace drover::gate::testing
