// SPDX-License-Identifier: Apache-2.0
// Commands, replies and events between droverd (ControlClient) and a mover or gate (ControlServer):
// one JSON object a packet, docs/processes.md. Each class owns one thread and joins it in its
// destructor, so neither may be destroyed from its own handler. All functions may be called by any
// thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::net {

// Serves the newest connection only: descriptor 3 first, then whoever connects to the listener.
class ControlServer {
 public:
  // One command ("do" is checked to be a text); the result's members go into the reply. On the
  // server's thread, which serves nothing else meanwhile: answer at once.
  using Handler = std::function<Result<nlohmann::json>(const nlohmann::json& command,
                                                       std::vector<UniqueFd> descriptors)>;

  // `first` may be invalid.
  ControlServer(UniqueFd first, UniqueFd listener, Handler handler);
  ~ControlServer();

  // Sends the reply under way, then serves no more; send_event stays allowed. Not from the handler.
  void stop();

  // Never waits. Lost if nobody is connected (a daemon that comes back asks for the status); a
  // daemon that does not read its events is disconnected.
  void send_event(const nlohmann::json& event);

 private:
  void serve();
  void take_connection();
  void serve_packet(const std::shared_ptr<UniqueFd>& connection);
  void drop(const std::shared_ptr<UniqueFd>& connection);

  const UniqueFd listener_;
  const Handler handler_;
  const UniqueFd wake_;  // eventfd: stop
  std::mutex mutex_;     // guards connection_, not the I/O on it: packets are atomic
  std::shared_ptr<UniqueFd> connection_;
  std::jthread thread_;  // last: it uses all above
};

class ControlClient {
 public:
  using EventHandler = std::function<void(const nlohmann::json& event)>;
  using ClosedHandler = std::function<void()>;

  // Both handlers run on the reader's thread; `on_closed` once, when the program is gone or serves
  // another.
  ControlClient(UniqueFd channel, EventHandler on_event, ClosedHandler on_closed);
  ~ControlClient();

  // Attaches to a running program by its control socket.
  static Result<std::unique_ptr<ControlClient>> connect(const std::filesystem::path& socket,
                                                        EventHandler on_event,
                                                        ClosedHandler on_closed, Deadline deadline);

  // Sends a command (an object with "do"), waits for its reply. The program's error is returned as
  // such; kUnavailable: the program is gone; kTimeout: no reply in time, the command may still be
  // carried out.
  Result<nlohmann::json> call(nlohmann::json command, std::span<const int> descriptors,
                              Deadline deadline);

 private:
  void read();
  void take_packet(std::string_view text);

  const UniqueFd channel_;
  const EventHandler on_event_;
  const ClosedHandler on_closed_;
  const UniqueFd wake_;  // eventfd: stop
  std::mutex mutex_;     // guards all below
  std::condition_variable changed_;
  std::uint64_t last_seq_ = 0;
  std::map<std::uint64_t, std::string> replies_;  // awaited by call(); empty text: not here yet
  bool closed_ = false;
  std::jthread thread_;
};

}  // namespace drover::net
