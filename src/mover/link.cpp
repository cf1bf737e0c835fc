// SPDX-License-Identifier: Apache-2.0
#include "mover/link.h"

#include <algorithm>
#include <array>

#include "mover/limits.h"

namespace drover::mover {
namespace {

constexpr std::size_t kSmallPayloadBytes = 4096;  // copied together with headers
constexpr std::size_t kSmallRecordBytes = 16384;  // a TLS record

}  // namespace

Link::Link(LinkOwner& owner, std::unique_ptr<TlsLink> tls, LinkSerial serial, const Hello& ours,
           std::shared_ptr<ChunkPool> pool)
    : owner_(owner),
      tls_(std::move(tls)),
      serial_(serial),
      ours_(ours),
      heard_at_(std::chrono::steady_clock::now()),
      reader_(std::move(pool)) {
  thread_ = std::jthread([this] { run(); });
}

Link::~Link() {
  shut_down();
  thread_.join();
}

void Link::shut_down() { tls_->shut_down(); }

void Link::run() {
  bool was_up = false;
  Error why;
  if (auto peer = greet(); !peer) {
    why = std::move(peer).error();
  } else if (Status accepted = owner_.link_up(*this, *peer); !accepted) {
    why = std::move(accepted).error();
  } else {
    was_up = true;
    std::jthread writer([this] { write_frames(); });
    why = read_frames();
    shut_down();
    owner_.link_down(*this, true, why);
    writer.join();
  }
  shut_down();
  if (!was_up) owner_.link_down(*this, false, why);
}

Result<Hello> Link::greet() {
  const Deadline deadline = Deadline::after(kHandshakePatience);
  RETURN_IF_ERROR(tls_->handshake(deadline));
  const bool first = ours_.role == Role::kSource;
  if (first) RETURN_IF_ERROR(send_hello(ours_));
  heard_at_ = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const Frame frame, read_frame([left = deadline.left()] { return left; }));
  if (frame.header.type == FrameType::kRefused) {
    owner_.link_refused(*this, frame.payload.view());
    return std::unexpected(refused_error(frame.payload.view()));
  }
  if (frame.header.type != FrameType::kHello) {
    return fail(ErrorCode::kProtocol,
                "The other mover began a link with a frame {} instead of HELLO.",
                frame_type_name(frame.header.type));
  }
  ASSIGN_OR_RETURN(const Hello hello, decode_hello(frame.payload.view()));
  if (!version_is_known(hello.version)) {
    const auto known = encode_refused();
    const auto bytes = static_cast<std::uint32_t>(known.size());
    RETURN_IF_ERROR(send_frame({.type = FrameType::kRefused, .length = bytes}, known));
    return fail(ErrorCode::kProtocol,
                "The other mover speaks version {} of the mover protocol, unknown here.",
                hello.version);
  }
  RETURN_IF_ERROR(check_hello(hello));
  if (first) return hello;
  Hello answer = ours_;
  answer.version = hello.version;
  answer.content = agreed_content(hello.content, ours_.content);
  answer.holds = ours_.holds && hello.takes_held && answer.content != kNoContent;
  answer.reads_files = ours_.reads_files && answer.content != kNoContent;
  RETURN_IF_ERROR(send_hello(answer));
  return hello;
}

Status Link::send_hello(const Hello& hello) {
  std::array<std::uint8_t, kHelloBytes> payload{};
  encode_hello(hello, payload);
  return send_frame({.type = FrameType::kHello, .length = kHelloBytes}, payload);
}

Status Link::check_hello(const Hello& hello) const {
  if (hello.role == ours_.role)
    return fail(ErrorCode::kProtocol, "Both movers say that they are the same side.");
  if (hello.link != ours_.link) {
    return fail(ErrorCode::kProtocol, "The other mover calls link {} link {}.", ours_.link,
                hello.link);
  }
  if (hello.version != ours_.version && ours_.role == Role::kSource) {
    return fail(ErrorCode::kProtocol, "The other mover answered in version {}.", hello.version);
  }
  return {};
}

Status Link::send_frame(const FrameHeader& header, std::span<const std::uint8_t> payload) {
  std::array<std::uint8_t, kFrameHeaderBytes> bytes;
  encode_header(header, bytes);
  RETURN_IF_ERROR(tls_->write(bytes));
  RETURN_IF_ERROR(tls_->write(payload));
  return tls_->flush();
}

Result<std::size_t> Link::read_some(const std::function<std::chrono::milliseconds()>& silence_max) {
  while (true) {
    auto n = tls_->read(reader_.space(), std::min(kSilenceStep, silence_max()));
    const auto now = std::chrono::steady_clock::now();
    const bool silent = !n && n.error().code == ErrorCode::kTimeout;
    if (silent && now - heard_at() < silence_max()) continue;
    if (n) heard_at_ = now;
    return n;
  }
}

Result<Frame> Link::read_frame(const std::function<std::chrono::milliseconds()>& silence_max) {
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, read_some(silence_max));
    ASSIGN_OR_RETURN(auto frame, reader_.filled(n));
    if (frame) return std::move(*frame);
  }
}

Error Link::read_frames() {
  while (true) {
    auto frame = read_frame([this] { return owner_.silence_max(*this); });
    if (!frame && frame.error().code == ErrorCode::kTimeout) {
      return wrap(std::move(frame).error(),
                  fmt::format("Nothing came over link {} for {} s.", ours_.link,
                              owner_.silence_max(*this).count() / 1000));
    }
    if (!frame) return std::move(frame).error();
    if (Status taken = owner_.take(*this, std::move(*frame)); !taken)
      return std::move(taken).error();
  }
}

void Link::write_frames() {
  std::vector<Frame> frames;
  while (owner_.next_frames(*this, frames)) {
    // The reader sees the end too and reports it; its words are the better ones.
    if (!write_batch(frames)) break;
    frames.clear();
  }
  shut_down();
}

Status Link::write_batch(const std::vector<Frame>& frames) {
  small_.clear();
  for (const Frame& frame : frames) {
    if (small_.size() + kFrameHeaderBytes + kSmallPayloadBytes > kSmallRecordBytes) {
      RETURN_IF_ERROR(tls_->write(small_));
      small_.clear();
    }
    std::array<std::uint8_t, kFrameHeaderBytes> header;
    encode_header(frame.header, header);
    small_.insert(small_.end(), header.begin(), header.end());
    const auto payload = frame.payload.view();
    if (payload.size() <= kSmallPayloadBytes) {
      small_.insert(small_.end(), payload.begin(), payload.end());
      continue;
    }
    RETURN_IF_ERROR(tls_->write(small_));
    small_.clear();
    RETURN_IF_ERROR(tls_->write(payload));
  }
  RETURN_IF_ERROR(tls_->write(small_));
  return tls_->flush();
}

}  // namespace drover::mover
