// SPDX-License-Identifier: Apache-2.0
// Images that no VM uses, served for writing by NBD, whatever their format, each as an export: for
// disks that arrive without a QEMU of their own. It is qemu-storage-daemon, as the user that QEMU
// runs as: it parses what another host sends. It ends with this object, and with our process, by a
// thread that does nothing else. Any thread; an object, one at a time.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "hypervisor/disk_image.h"

namespace drover {

struct ServedDisk {
  std::string name;  // of the export
  std::string path;
  FileIdentity identity;
  std::string format;                         // never probed
  std::optional<Allocation> allocation = {};  // nothing: what is written as zero becomes a hole
  // Of a block device, whichever it is: so many of its bytes are the disk. `format` is raw.
  std::optional<ByteCount> volume = {};
};

class ImageServer {
 public:
  // Returns once it serves. `socket` must not exist. The images become those of QEMU's user, as
  // libvirt does it when it starts a VM. kConflict: one of them is another file by now; kSystem:
  // the program's last words.
  static Result<std::unique_ptr<ImageServer>> start(const std::vector<ServedDisk>& disks,
                                                    std::filesystem::path socket);
  ~ImageServer();  // as stop()
  ImageServer(const ImageServer&) = delete;
  ImageServer& operator=(const ImageServer&) = delete;

  bool alive();
  // Ends it; what was written is in the files then, though not on stable storage. kSystem: it had
  // ended by itself, with its last words. Safe to run twice.
  Status stop();

 private:
  explicit ImageServer(std::filesystem::path socket) : socket_(std::move(socket)) {}
  Status await_socket();
  void keep(const std::stop_token& stop, const std::vector<std::string>& arguments);

  const std::filesystem::path socket_;
  std::mutex mutex_;  // guards the three below
  std::condition_variable changed_;
  bool begun_ = false;
  std::optional<Status> ended_;  // how
  std::jthread keeper_;
};

}  // namespace drover
