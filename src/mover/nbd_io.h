// SPDX-License-Identifier: Apache-2.0
// What our clients of an NBD server share: numbers of the protocol (NBD's proto.md), and bytes in
// and out of its socket. One thread at a time.
#pragma once

#include <cstdint>
#include <span>

#include "base/deadline.h"
#include "base/error.h"

namespace drover::mover::nbd {

inline constexpr std::uint64_t kServerMagic = 0x4e42444d41474943;  // "NBDMAGIC"
inline constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;
inline constexpr std::uint32_t kRequestMagic = 0x25609513;
inline constexpr std::uint32_t kSimpleReplyMagic = 0x67446698;
inline constexpr std::uint32_t kChunkMagic = 0x668e33ef;
inline constexpr std::uint16_t kFixedNewstyle = 1;
inline constexpr std::uint32_t kClientFlags = 3;  // fixed newstyle, no zeroes
inline constexpr std::uint32_t kOptionGo = 7;
inline constexpr std::uint32_t kOptionStructured = 8;
inline constexpr std::uint32_t kOptionSetContext = 10;
inline constexpr std::uint32_t kReplyAck = 1;
inline constexpr std::uint32_t kReplyInfo = 3;
inline constexpr std::uint32_t kReplyContext = 4;
inline constexpr std::uint16_t kInfoExport = 0;
inline constexpr std::uint16_t kCommandRead = 0;
inline constexpr std::uint16_t kCommandStatus = 7;
inline constexpr std::uint16_t kChunkDone = 1;
inline constexpr std::uint16_t kChunkStatus = 5;
inline constexpr std::size_t kRequestBytes = 28;
inline constexpr std::size_t kOptionReplyBytesMax = 8192;

// kProtocol: the server does what the protocol does not allow.
std::unexpected<Error> broken(const char* what);

Status send_all(int socket, std::span<const std::uint8_t> bytes, Deadline deadline);
// kUnavailable: the server closed the connection.
Status receive_all(int socket, std::span<std::uint8_t> bytes, Deadline deadline);
// The server's first words.
Status take_greeting(int socket, Deadline deadline);

}  // namespace drover::mover::nbd
