// SPDX-License-Identifier: Apache-2.0
// For tests of a whole pair of gates: a libvirtd that calls, one that answers, and a road between
// the gates that can be cut or lose bytes.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/bounded_queue.h"
#include "gate/gate_process.h"
#include "gate/machine_test_support.h"
#include "net/unix_socket.h"

namespace drover::gate::testing {

inline constexpr std::chrono::seconds kPatience{10};

void send_packet_bytes(int fd, const RpcPacket& packet);

// Packets from a stream; nothing when it ended or the deadline passed.
class PacketReader {
 public:
  explicit PacketReader(int fd) : fd_(fd) {}
  std::optional<RpcPacket> next(Deadline deadline);

 private:
  int fd_;
  PacketDecoder decoder_;
};

// The source's libvirtd: calls, and awaits answers.
class CallingLibvirt {
 public:
  explicit CallingLibvirt(const std::filesystem::path& socket)
      : fd_(std::move(
            *net::connect_unix(socket, net::SocketKind::kStream, Deadline::after(kPatience)))),
        reader_(fd_.get()) {}
  void send(const RpcPacket& packet) { send_packet_bytes(fd_.get(), packet); }
  // "reply306", "error303", "pong", or "" when the connection ended or stayed silent.
  std::string answer(std::chrono::milliseconds patience = kPatience);
  std::string ask(const RpcPacket& packet) {
    send(packet);
    return answer();
  }
  RpcPacket last;
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  PacketReader reader_;
};

// The destination's libvirtd: answers every call, FINISH as told.
class AnsweringLibvirt {
 public:
  enum class Finish { kOk, kError, kHold, kClose };

  explicit AnsweringLibvirt(const std::filesystem::path& socket);
  ~AnsweringLibvirt();
  std::atomic<Finish> finish = Finish::kOk;
  // What came: "call66", "finish0", "closed".
  std::optional<std::string> seen(Deadline deadline) { return seen_.pop(deadline); }
  // True: the word came within the patience.
  bool saw(const std::string& word);
  void release_finish() { release_.push(1, 1); }

 private:
  void serve();
  bool answer(int fd, const RpcPacket& packet);

  UniqueFd listener_;
  BoundedQueue<std::string> seen_{100, 10000};
  BoundedQueue<int> release_{10, 10};
  std::atomic<bool> stop_ = false;
  std::jthread thread_;
};

// Bytes both ways between the gates' rpc ends.
class Road {
 public:
  Road();
  ~Road() { cut(); }
  UniqueFd take_source_end() { return std::move(source_end_); }
  UniqueFd take_destination_end() { return std::move(destination_end_); }
  std::atomic<bool> lose_to_destination = false;
  std::atomic<bool> lose_to_source = false;
  void cut();

 private:
  void pump(int from, int to, const std::atomic<bool>& lose);

  UniqueFd source_end_, destination_end_;
  UniqueFd near_source_, near_destination_;
  std::jthread forward_, backward_;
};

// Both gates as real processes, with all that belongs to them in one folder.
class GatePair {
 public:
  GatePair();
  ~GatePair();

  // All calls up to a successful PREPARE.
  void prepare(CallingLibvirt& libvirt);
  std::string source_record() const;
  // "accepted", "refused" or "none".
  std::string decision() const;
  // "ok 7", "error no luck" or "none".
  std::string outcome() const;
  // True: the event came within the patience. "in_doubt", "ended=runs"
  bool source_says(const std::string& word) { return says(source_events_, word); }
  bool destination_says(const std::string& word) { return says(destination_events_, word); }
  bool fenced() const;
  void kill_source_gate();
  void kill_destination_gate();

  const std::filesystem::path folder;
  Road road;
  std::unique_ptr<AnsweringLibvirt> destination_libvirt;
  UniqueFd source_mover, destination_mover;  // the movers' ends
  UniqueFd image;  // of the fenced disk: droverd's copy of the description
  std::unique_ptr<GateProcess> source, destination;

 private:
  using Events = BoundedQueue<std::string>;
  static bool says(Events& events, const std::string& word);
  static GateProcess::Handlers handlers(Events& events);
  GateStart start_of(GateRole role) const;
  void start_source(const UniqueFd& rpc, const UniqueFd& mover);
  void start_destination(const UniqueFd& rpc, const UniqueFd& mover);

  RecordFolder source_records_, destination_records_;
  Events source_events_{1000, 1 << 20}, destination_events_{1000, 1 << 20};
};

std::string test_definition();

}  // namespace drover::gate::testing
