// SPDX-License-Identifier: Apache-2.0
// One link of a session: handshake, HELLO, then a thread that reads frames and one that writes what
// its owner hands out. Owns its connection and both threads; ends by itself when the connection
// does, or by shut_down().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "mover/frame.h"
#include "mover/frame_reader.h"
#include "mover/hello.h"
#include "mover/outgoing_half.h"
#include "mover/tls_link.h"

namespace drover::mover {

class Link;

// The session, as its links see it. Called on their threads; must outlive them.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  // HELLO is exchanged; an error refuses the link. Called once, before anything below.
  virtual Status link_up(Link& link, const Hello& peer) = 0;
  // The other side knows none of our versions but these (a payload of REFUSED); the link ends.
  virtual void link_refused(Link& link, std::span<const std::uint8_t> known) = 0;
  // So long a link may bring nothing. Asked again and again, for it may change.
  virtual std::chrono::milliseconds silence_max(const Link& link) = 0;
  // An error ends the link.
  virtual Status take(Link& link, Frame frame) = 0;
  // Waits for frames to send and appends them; false: the link is to end.
  virtual bool next_frames(Link& link, std::vector<Frame>& frames) = 0;
  // Last call, from whichever state. `was_up`: link_up had succeeded.
  virtual void link_down(Link& link, bool was_up, const Error& error) = 0;
};

class Link {
 public:
  Link(LinkOwner& owner, std::unique_ptr<TlsLink> tls, LinkSerial serial, const Hello& ours,
       std::shared_ptr<ChunkPool> pool);
  // Shuts down and joins. Not from the link's own threads.
  ~Link();

  LinkSerial serial() const { return serial_; }
  std::uint32_t number() const { return ours_.link; }
  // What this side asks for or allows.
  std::uint16_t content() const { return ours_.content; }
  // When it last brought anything. Any thread.
  std::chrono::steady_clock::time_point heard_at() const { return heard_at_; }
  std::optional<SocketUse> use() const { return tls_->use(); }
  // Bytes on the wire so far, both directions. Any thread.
  std::uint64_t carried() const { return tls_->carried(); }
  void shut_down();

 private:
  void run();
  Result<Hello> greet();
  Status send_hello(const Hello& hello);
  Status send_frame(const FrameHeader& header, std::span<const std::uint8_t> payload);
  Result<std::size_t> read_some(const std::function<std::chrono::milliseconds()>& silence_max);
  Result<Frame> read_frame(const std::function<std::chrono::milliseconds()>& silence_max);
  Status check_hello(const Hello& hello) const;
  Error read_frames();
  void write_frames();
  Status write_batch(const std::vector<Frame>& frames);

  LinkOwner& owner_;
  const std::unique_ptr<TlsLink> tls_;
  const LinkSerial serial_;
  const Hello ours_;
  std::atomic<std::chrono::steady_clock::time_point> heard_at_;
  FrameReader reader_;
  std::vector<std::uint8_t>
      small_;            // the writer's own: headers and small payloads share a TLS record
  std::jthread thread_;  // last: it uses all above
};

}  // namespace drover::mover
