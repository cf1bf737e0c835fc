// SPDX-License-Identifier: Apache-2.0
// Unix sockets, and descriptors passed over them. Blocking with deadlines; any thread, one user per
// descriptor and direction. Paths are at most 107 bytes (sun_path, unix(7)); longer ones are
// kInvalidArgument.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/types.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::net {

enum class SocketKind { kStream, kPackets };  // SOCK_STREAM, SOCK_SEQPACKET

inline constexpr std::size_t kUnixPathMax = 107;
inline constexpr std::size_t kPacketBytesMax = 256 * 1024;  // one control message
inline constexpr std::size_t kPacketDescriptorsMax = 64;

// Removes a stale socket of that name first, binds, sets the mode, listens.
Result<UniqueFd> listen_unix(const std::filesystem::path& path, SocketKind kind, mode_t mode);
Result<UniqueFd> connect_unix(const std::filesystem::path& path, SocketKind kind,
                              Deadline deadline);
// Accepts one connection; kTimeout when the deadline passes.
Result<UniqueFd> accept_one(int listener, Deadline deadline);
Result<std::pair<UniqueFd, UniqueFd>> socket_pair(SocketKind kind);

// One message of a kPackets socket with the descriptors that came along.
struct Packet {
  std::string text;
  std::vector<UniqueFd> descriptors;
};
// The caller keeps its descriptors. REQUIRES: text.size() <= kPacketBytesMax, not empty.
Status send_packet(int fd, std::string_view text, std::span<const int> descriptors,
                   Deadline deadline);
// Nothing: the other side closed.
Result<std::optional<Packet>> receive_packet(int fd, Deadline deadline);

// Waits for `events` of poll(2); kTimeout when the deadline passes.
Status wait_for(int fd, short events, Deadline deadline);

}  // namespace drover::net
