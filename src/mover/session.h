// SPDX-License-Identifier: Apache-2.0
// A session: streams that outlive the links which carry them (docs/mover_protocol.md). Any thread
// may call. Owns the links, the streams and their threads (docs/threads.md). Lock order: the one
// mutex, never held over I/O nor while an event is told.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mover/apply_rate.h"
#include "mover/break_clock.h"
#include "mover/frame_schedule.h"
#include "mover/held_files.h"
#include "mover/link.h"
#include "mover/names_wait.h"
#include "mover/pack_choice.h"
#include "mover/pack_pool.h"
#include "mover/rate_limit.h"
#include "mover/session_status.h"
#include "mover/stream_pump.h"
#include "mover/writer_load.h"

namespace drover::mover {

struct SessionOptions {
  Role role = Role::kInvalid;
  std::string identity;  // of the move, for the PSK
  std::uint32_t window_bytes = 16u << 20;
  std::chrono::milliseconds patience{120'000};
  std::chrono::milliseconds pause_budget{5'000};
  // Streams are described and compressed; off: bytes are carried as they are. Both sides must have
  // it on.
  bool content = true;
  bool references = true;  // source, with content; off: only zero pages are spared
  // Source: memory waits for names too, for the guest runs while it goes. Off: it is that of a
  // guest which stands still, or files.
  bool memory_waits = true;
  std::optional<std::size_t> fixed_way = {};     // of kPackWays; else chosen by measuring
  std::uint64_t bandwidth_bytes_per_second = 0;  // source: of what it sends; 0: no limit
  std::uint64_t link_bytes_per_second = 0;       // source: of all links, measured before; 0: not
  content::DestinationLimits destination_limits = {};
  std::shared_ptr<HeldFiles> held = {};   // destination: what it has already; null: nothing
  std::shared_ptr<KeptMemory> keep = {};  // source: where the guest's pages are kept
};

// Both sides name content under a key that only they have (docs/mover_protocol.md, "Content").
content::ContentKey content_key(const PskKey& key);

enum class SessionEnd { kStopped, kSettled, kGaveUp };

// What a session tells, on its own threads. Must not destroy the session.
struct SessionEvents {
  std::function<void(std::uint32_t link)> link_up;
  std::function<void(std::uint32_t link, const Error&)>
      link_lost;  // also of a handshake that failed
  std::function<void(StreamKind)> stream_opened;
  std::function<void(SessionEnd, const Error&)>
      ended;  // once; every local socket is shut down by then
};

// Destination: gets a connected socket for a stream; may block for some seconds.
using StreamOpener = std::function<Result<UniqueFd>(StreamKind, StreamId)>;

class Session : private LinkOwner, private StreamOwner {
 public:
  // `disks`: destination; without it no reference to a disk is ever good. `writes`: destination;
  // where what is written to disks is put down, if it shall be.
  Session(SessionOptions options, std::unique_ptr<PskKey> key, SessionEvents events,
          StreamOpener opener, std::shared_ptr<content::DiskReader> disks = {},
          std::shared_ptr<content::WriteRecord> writes = {});
  // Ends it (kStopped) unless it has ended, and joins all threads.
  ~Session() override;
  Session(const Session&) = delete;

  // Once, before any link: stream 1.
  void start_rpc(UniqueFd local);
  // A connected socket; TLS follows. kInvalidArgument, or kConflict when too many are under way.
  Status add_link(std::uint32_t number, UniqueFd socket);
  // Source: an accepted local connection becomes the next stream.
  Status open_stream(StreamKind kind, UniqueFd local);

  void set_patience(std::chrono::milliseconds span);
  void set_pause_budget(std::chrono::milliseconds span);
  // 0: no limit.
  void set_bandwidth(std::uint64_t bytes_per_second);
  // Source: takes nothing more from local streams of this kind for so long, or until another call;
  // 0: goes on. Their owners see a stall. From standstill() on nothing is held.
  void hold(StreamKind kind, std::chrono::milliseconds span);
  // Source: goes on for so long, and holds this kind by itself from then on, until another call.
  void pass(StreamKind kind, std::chrono::milliseconds span);
  void standstill();
  void finish_forwarded();
  // The session ends once all streams are drained, or a while later.
  void settled();
  void stop();
  SessionStatus status();

 private:
  struct LinkEntry {
    std::unique_ptr<Link> link;
    bool up = false;
    bool down = false;
    bool replaced = false;             // by a newer link of its number: no loss worth telling
    std::vector<std::uint64_t> pongs;  // tokens to send back
    std::uint64_t ping_token = 0;
    std::chrono::steady_clock::time_point pinged_at;
    std::chrono::steady_clock::time_point next_ping_at;
    // What its writer took last, and when.
    std::uint64_t handed_bytes = 0;
    std::chrono::steady_clock::time_point handed_at;
    SocketUse use;  // as it was known then
    WriterLoad load;
  };

  // LinkOwner (session_links.cpp)
  Status link_up(Link& link, const Hello& peer) override;
  std::chrono::milliseconds silence_max(const Link& link) override;
  Status take(Link& link, Frame frame) override;
  bool next_frames(Link& link, std::vector<Frame>& frames) override;
  void link_refused(Link& link, std::span<const std::uint8_t> known) override;
  void link_down(Link& link, bool was_up, const Error& error) override;
  Status take_locked(LinkEntry& entry, Frame frame);
  Status take_for_stream(Frame frame);
  Status take_open(const FrameHeader& header);
  Status take_opened(Stream& stream, const Frame& frame);
  void opened(Stream& stream);
  Status take_data(Stream& stream, Frame frame);
  Status take_ack(Stream& stream, const FrameHeader& header);
  Status take_miss(Stream& stream, const FrameHeader& header);
  void take_stop(Stream& stream);
  void take_pong(LinkEntry& entry, std::uint64_t token);
  void add_link_frames(LinkEntry& entry, std::vector<Frame>& frames);
  void hand_over(LinkEntry& entry, const std::vector<Frame>& frames);
  void count_sent(LinkEntry& entry);
  void requeue(LinkSerial lost);
  bool any_link_up() const;
  bool has_lively_company(const Link& link) const;

  // StreamOwner (session_streams.cpp)
  std::size_t reserve(Stream& stream) override;
  void await_names(Stream& stream) override;
  void took(Stream& stream, Chunk chunk) override;
  void took_range(Stream& stream, Range range) override;
  void reading_ended(Stream& stream) override;
  std::optional<Frame> next_to_write(Stream& stream) override;
  void wrote(Stream& stream, std::size_t bytes) override;
  void missed(Stream& stream, const FrameHeader& header) override;
  void broken(Stream& stream, const Error& error) override;
  void local_reader_gone(Stream& stream) override;
  void writing_ended(Stream& stream) override;
  void append_range(Stream& stream, Range range);
  void packed(StreamId id, std::uint64_t offset, Chunk payload);
  void equip(Stream& stream);
  std::uint64_t allowance(const Stream& stream) const;
  std::optional<std::chrono::steady_clock::time_point> held_until(StreamKind kind) const;
  Stream& add_stream(StreamId id, StreamKind kind);
  void start_threads(Stream& stream);
  void start_held_threads(Stream& stream);
  void ask_for_held();
  void no_more_names();
  void refuse_stream(Stream& stream, const Error& error);
  std::size_t open_streams() const;
  void open_in_order();
  void open_one(Stream& stream);
  Result<UniqueFd> open_local(const Stream& stream);

  // session.cpp
  void watch();
  void choose_references();
  void reap();
  bool drained() const;
  void end(SessionEnd how, const Error& why);

  const SessionOptions options_;
  const SessionEvents events_;
  const StreamOpener opener_;
  const std::uint64_t number_;  // random, of this process
  const std::shared_ptr<ChunkPool> pool_ = std::make_shared<ChunkPool>();
  // Before tls_, which takes the key.
  const std::shared_ptr<content::SourceContent> source_content_;
  const std::shared_ptr<content::DestinationContent> destination_content_;
  const std::shared_ptr<content::WriteRecord> writes_;
  const PskTls tls_;
  WireBytes wire_;
  const bool reads_back_;  // destination: it can
  const bool reads_files_;
  const bool holds_;  // destination: something of an earlier move
  PackChoice choice_;

  std::mutex mutex_;  // guards all below
  // Links' writers wait here. What any of them may take wakes one, which wakes the next as long as
  // there is more (next_frames): a dozen that find nothing would take the processor from QEMU.
  std::condition_variable frames_;
  std::condition_variable room_;     // streams' readers wait here
  std::condition_variable changed_;  // the watch and the opener wait here
  Streams streams_;
  std::map<LinkSerial, LinkEntry> links_;
  std::map<std::uint32_t, std::uint64_t> carried_;  // by number, of links that are gone
  LinkSerial last_serial_ = 0;
  FrameSchedule schedule_;
  ApplyRate rate_;
  BreakClock break_;
  std::optional<std::uint64_t> peer_session_;
  std::uint32_t peer_window_ = 0;
  std::uint16_t version_ = kProtocolVersion;  // source: of the next HELLO
  std::optional<std::uint16_t> content_;      // as the first link agreed
  bool peer_reads_back_ = false;
  bool peer_reads_files_ = false;
  bool held_asked_ = false;  // source: asked; destination, of its opener alone: was asked
  NamesWait disks_wait_, memory_wait_;  // source: for the names of what is held
  RateLimit limit_;
  struct Hold {
    std::chrono::steady_clock::time_point from, until;
  };
  std::map<StreamKind, Hold> hold_times_;  // see hold() and pass()
  std::uint64_t waited_ns_ = 0;            // of wire_, as the choice knows it
  ContentCounts counts_;
  StreamId next_stream_ = kFirstOpenedStream;  // source: to open; destination: to open in order
  std::uint64_t buffered_bytes_ = 0;           // received and not applied, all streams
  std::optional<std::chrono::steady_clock::time_point> settled_at_;
  std::chrono::steady_clock::time_point last_progress_;
  bool ended_ = false;

  std::unique_ptr<PackPool> packers_;  // source with content
  std::jthread opener_thread_;
  std::jthread watch_thread_;
};

}  // namespace drover::mover
