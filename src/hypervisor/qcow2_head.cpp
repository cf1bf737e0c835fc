// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qcow2_head.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <vector>

#include <unistd.h>

#include "base/big_endian.h"

namespace drover {
namespace {

// docs/interop/qcow2.txt of QEMU.
constexpr std::uint32_t kMagic = 0x514649fb;
constexpr std::size_t kBytesOfVersion2 = 72;  // of version 3: at least 104, and it says how many
constexpr std::size_t kBytesOfVersion3 = 104;
constexpr std::uint64_t kDataFileBit = 1u << 2;  // of the incompatible features
constexpr std::uint32_t kEnd = 0, kBackingFormat = 0xe2792aca, kDataFileName = 0x44415441;
constexpr std::uint32_t kNameBytesMax = 1023;
// The header, its extensions and the name lie in the first cluster, which has at most 2 MiB.
constexpr std::size_t kClusterMax = 2u << 20;

Result<std::vector<std::uint8_t>> read_begin(int file, std::size_t most) {
  std::vector<std::uint8_t> bytes(most);
  std::size_t done = 0;
  while (done < most) {
    const ssize_t n = ::pread(file, bytes.data() + done, most - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot read an image");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

std::unexpected<Error> contradicts(const char* what) {
  return fail(ErrorCode::kInvalidArgument, "The header of a qcow2 image is wrong: {}.", what);
}

Status read_extensions(const std::vector<std::uint8_t>& bytes, std::size_t at, std::size_t end,
                       Qcow2Head& head) {
  while (at + 8 <= end) {
    const auto type = load_be<std::uint32_t>(bytes.data() + at);
    const auto length = load_be<std::uint32_t>(bytes.data() + at + 4);
    at += 8;
    if (type == kEnd) return {};
    if (length > end - at) return contradicts("an extension ends behind its place");
    const std::string value(reinterpret_cast<const char*>(bytes.data() + at), length);
    if (type == kBackingFormat) head.backing_format = value;
    if (type == kDataFileName) head.data_file = value;
    at += (std::size_t{length} + 7) / 8 * 8;
  }
  return {};
}

}  // namespace

Result<Qcow2Head> read_qcow2_head(int file) {
  ASSIGN_OR_RETURN(auto bytes, read_begin(file, kBytesOfVersion3));
  if (bytes.size() < kBytesOfVersion2 || load_be<std::uint32_t>(bytes.data()) != kMagic)
    return fail(ErrorCode::kInvalidArgument, "This is no qcow2 image.");
  const auto version = load_be<std::uint32_t>(bytes.data() + 4);
  const auto offset = load_be<std::uint64_t>(bytes.data() + 8);
  const auto length = load_be<std::uint32_t>(bytes.data() + 16);
  const auto cluster_bits = load_be<std::uint32_t>(bytes.data() + 20);
  if (version != 2 && version != 3) return contradicts("its version is not known");
  if (cluster_bits < 9 || cluster_bits > 21) return contradicts("its clusters have no such size");
  const std::size_t cluster = std::size_t{1} << cluster_bits;
  Qcow2Head head;
  std::size_t begin = kBytesOfVersion2;
  if (version == 3) {
    if (bytes.size() < kBytesOfVersion3) return contradicts("it is cut off");
    head.has_data_file = (load_be<std::uint64_t>(bytes.data() + 72) & kDataFileBit) != 0;
    begin = load_be<std::uint32_t>(bytes.data() + 100);
    if (begin < kBytesOfVersion3 || begin > cluster) return contradicts("its length");
  }
  static_assert(kClusterMax == std::size_t{1} << 21);
  ASSIGN_OR_RETURN(bytes, read_begin(file, cluster));
  if (bytes.size() < begin) return contradicts("it is cut off");
  std::size_t end = bytes.size();
  if (offset != 0) {
    if (length == 0 || length > kNameBytesMax || offset < begin || offset > bytes.size() ||
        length > bytes.size() - offset) {
      return contradicts("the name of what it is built on lies elsewhere");
    }
    head.backing.assign(reinterpret_cast<const char*>(bytes.data()) + offset, length);
    end = offset;
  }
  RETURN_IF_ERROR(read_extensions(bytes, begin, end, head));
  return head;
}

}  // namespace drover
