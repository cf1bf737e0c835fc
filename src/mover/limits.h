// SPDX-License-Identifier: Apache-2.0
// The bounds of a session: docs/mover_protocol.md, "Limits", "TLS" and "Acknowledgement, windows,
// order".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace drover::mover {

inline constexpr std::uint32_t kLinksMax = 16;  // up at once: two threads and 600 KiB each
inline constexpr std::uint32_t kLinkNumberMax = 64;
inline constexpr std::size_t kHandshakesMax =
    8;  // by strangers too: a link proves itself only in TLS
inline constexpr std::size_t kStreamsMax = 64;  // open at once: two threads each
inline constexpr std::uint32_t kStreamsEverMax = 1024;
inline constexpr std::size_t kFramesMax = 1024;     // unacknowledged, a stream
inline constexpr std::size_t kGapFramesMax = 1024;  // waiting for a gap, a stream

inline constexpr std::uint32_t kWindowMin = 1u << 20;
inline constexpr std::uint32_t kWindowMax = 64u << 20;
inline constexpr std::uint32_t kStreamReserveBytes = 512u << 10;
inline constexpr std::uint32_t kAckBytes = 256u << 10;  // acknowledge at least so often
inline constexpr std::uint32_t kSmallBytes = 64u
                                             << 10;  // a stream with less waiting goes before bulk
inline constexpr std::uint64_t kKeyUpdateBytes = std::uint64_t{32} << 30;

inline constexpr std::chrono::milliseconds kHandshakePatience{5000};
inline constexpr std::chrono::milliseconds kPingInterval{2000};
inline constexpr std::chrono::milliseconds kSilenceMax{8000};
// Of a link while another one brings something: two PINGs of the other side are missing.
inline constexpr std::chrono::milliseconds kCompanySilenceMax{4500};
// How soon a wait notices that the silence it allows has changed.
inline constexpr std::chrono::milliseconds kSilenceStep{250};
// While the guest stands still: a link must not take the pause budget to be missed.
inline constexpr std::chrono::milliseconds kStandstillPingInterval{500};
inline constexpr std::chrono::milliseconds kStandstillSilenceMax{2000};
inline constexpr std::chrono::milliseconds kApplySpan{50};
inline constexpr std::chrono::milliseconds kRateBurst{50};  // unused share of a limit, at most
inline constexpr std::chrono::milliseconds kHoldForEver = std::chrono::hours(24 * 365);
inline constexpr std::chrono::milliseconds kKeepWait{2};           // for the rest of a record
inline constexpr std::chrono::milliseconds kChoiceInterval{1000};  // of how to compress
// A link that takes less than this, of 1 Gbit/s say, is worth the processor that sparing it takes.
inline constexpr std::uint32_t kSlowLinkBytesPerSecond = 150'000'000;
// Ranges up to this are packed by who read them, without compression: they are urgent, or rare.
inline constexpr std::uint32_t kSmallRangeBytes = 4u << 10;
inline constexpr std::uint32_t kPackWorkersMax = 4;
// While the destination names what it holds of an earlier move, the content of disks and memory
// waits; but only as long as names come faster than the links, or one of a gigabit, could carry
// what they name.
inline constexpr std::chrono::milliseconds kNamesPatience{10'000};
inline constexpr std::chrono::milliseconds kNamesInterval{500};
inline constexpr double kNamesMost = 12'500;  // blocks in that time: about 100 MB/s
// Smaller pieces than this are not worth a frame while the receiver is behind.
inline constexpr std::uint64_t kReadLeastBytes = 64u << 10;
inline constexpr std::chrono::milliseconds kReadBackPatience{2000};  // of one batch's references
// Beyond this, sending the bytes is cheaper than having the destination read them back.
inline constexpr double kReadBackBytesPerSecondMax = 300e6;
inline constexpr double kReadFileBytesPerSecondMax = 1'500e6;
// How often the images of this move are looked at for what was written to them.
inline constexpr std::chrono::milliseconds kImageInterval{100};

}  // namespace drover::mover
