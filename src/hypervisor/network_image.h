// SPDX-License-Identifier: Apache-2.0
// A disk that QEMU opens over the network by a driver of its own, as QEMU opens it: read-only,
// served as an NBD export without a name on a unix socket. It is qemu-nbd, as the user that QEMU
// runs as, for it parses what a server of somebody's choice says. It ends with this object, and
// with the thread that made it. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "hypervisor/program.h"

namespace drover {

struct NetworkImageSource {
  std::string protocol;  // "iscsi", "gluster", "rbd"
  std::string host;      // an IP address
  std::uint16_t port = 0;
  std::string name;  // "target/lun", "volume/path", "pool/image": what network_disk_uri() takes
  // Of the VM whose disk it is: QEMU's name as an initiator has it. Empty: of none.
  std::string vm_uuid;
  std::string user = {};    // empty: of nobody
  std::string secret = {};  // that user's: bytes
};

// As qemu-nbd's --image-opts has it; the secret is its object kImageSecret. Empty: of no such
// protocol.
inline constexpr std::string_view kImageSecret = "key";
std::string image_options(const NetworkImageSource& source);

class NetworkImage {
 public:
  // To the one who connects first, from some moment on.
  static Result<NetworkImage> start(const NetworkImageSource& source);
  NetworkImage(NetworkImage&& other) noexcept;
  NetworkImage& operator=(NetworkImage&& other) = delete;
  ~NetworkImage();

  // REQUIRES: it was not removed.
  std::filesystem::path socket() const { return folder_ / "disk.sock"; }
  // Once somebody is connected. Safe to run twice.
  void remove_socket();
  // When droverd starts: folders of one that was killed meanwhile. Their programs ended with it.
  static void remove_left();
  bool ended() { return program_.ended(); }
  // Why it could not open the disk. REQUIRES: ended().
  Error complaint() const;

 private:
  NetworkImage(RunningProgram program, std::filesystem::path folder)
      : program_(std::move(program)), folder_(std::move(folder)) {}

  RunningProgram program_;
  std::filesystem::path folder_;  // of QEMU's user alone; empty: removed, or moved from
};

}  // namespace drover
