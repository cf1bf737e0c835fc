// SPDX-License-Identifier: Apache-2.0
// A disk image that no VM uses, read as the guest saw it, whatever its format: which parts have
// data, by qemu-img, and the data, by a qemu-nbd of its own. Both are told the format and never
// probe it: a guest can write any header into a raw image. Any thread; an object, one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "hypervisor/program.h"

namespace drover {

// Bytes of the disk, from its start.
struct DataRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  // Where the very bytes lie in the image's own file. None: they are compressed, encrypted, or in
  // another file.
  std::optional<std::uint64_t> in_file = {};
};

// Of an image that is built on others.
enum class MapOf {
  kDisk,  // all that the guest sees
  // What a mirror of the image alone copies: where the image itself says something, in the whole
  // parts of kMirrorBytes that a mirror copies at once.
  kOwnImage,
};
inline constexpr std::uint64_t kMirrorBytes = 64u << 10;  // QEMU's granularity towards NBD

struct ImageMap {
  ByteCount virtual_size;
  std::vector<DataRange> data;  // in order; all else reads as zeros
};
// kSystem: qemu-img cannot read it. kTimeout.
Result<ImageMap> map_image(const std::string& path, const std::string& format,
                           MapOf what = MapOf::kDisk);

class ServedImage {
 public:
  // Serves it, read-only, with the empty export name, to the one who connects first. `socket` must
  // not exist; it is removed with the object.
  static Result<ServedImage> start(const std::string& path, const std::string& format,
                                   std::filesystem::path socket);
  ServedImage(ServedImage&& other) noexcept
      : program_(std::move(other.program_)), socket_(std::exchange(other.socket_, {})) {}
  ServedImage& operator=(ServedImage&&) = delete;
  ~ServedImage();

  const std::filesystem::path& socket() const { return socket_; }
  // It could not open the image, or its client has gone.
  bool ended() { return program_.ended(); }

 private:
  ServedImage(RunningProgram program, std::filesystem::path socket)
      : program_(std::move(program)), socket_(std::move(socket)) {}

  RunningProgram program_;
  std::filesystem::path socket_;  // empty: moved from
};

}  // namespace drover
