// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/stray_image.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/program.h"

namespace drover {
namespace {

// docs/interop/qcow2.txt of QEMU: big-endian, at these places.
constexpr std::uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
constexpr std::size_t kHeaderBytes = 80;      // up to the compatible features of version 3
constexpr std::size_t kVersionAt = 4, kBackingOffsetAt = 8, kBackingSizeAt = 16,
                      kClusterBitsAt = 20, kSizeAt = 24, kCryptAt = 32, kSnapshotsAt = 60,
                      kIncompatibleAt = 72;
constexpr std::size_t kBackingNameMost = 1023;
constexpr std::uint64_t kDirty = 1, kCorruptBit = 2, kDataFile = 4, kCompression = 8,
                        kExtendedL2 = 16;
constexpr auto kLook = std::chrono::milliseconds(20);

using Header = std::array<std::uint8_t, kHeaderBytes>;

template <typename T>
T number(const Header& header, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8) | header[at + i];
  return value;
}

Status read_at(int file, std::uint64_t offset, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const ssize_t n = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot read the image");
    if (n == 0) return fail(ErrorCode::kCorrupt, "It is too short.");
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

std::string backing_name(int file, const Header& header) {
  const std::size_t size =
      std::min<std::size_t>(number<std::uint32_t>(header, kBackingSizeAt), kBackingNameMost);
  std::array<std::uint8_t, kBackingNameMost> bytes{};
  if (!read_at(file, number<std::uint64_t>(header, kBackingOffsetAt), std::span(bytes).first(size)))
    return "another file";
  std::string name;
  for (const std::uint8_t byte : std::span(bytes).first(size))
    name += byte < 0x20 || byte >= 0x7f ? '?' : static_cast<char>(byte);
  return name.empty() ? "another file" : name;
}

Status read_qcow2(int file, std::string_view name, ImageFacts& facts) {
  Header header{};
  if (const Status read = read_at(file, 0, header); !read)
    return std::unexpected(wrap(read.error(), fmt::format("{} is no qcow2 image.", name)));
  const auto version = number<std::uint32_t>(header, kVersionAt);
  if (number<std::uint32_t>(header, 0) != kMagic || (version != 2 && version != 3))
    return fail(ErrorCode::kCorrupt, "{} is no qcow2 image of version 2 or 3.", name);
  const auto cluster_bits = number<std::uint32_t>(header, kClusterBitsAt);
  if (cluster_bits < 9 || cluster_bits > 21)
    return fail(ErrorCode::kCorrupt, "{} has an impossible cluster size.", name);
  facts.cluster_size = {std::uint64_t{1} << cluster_bits};
  facts.virtual_size = {number<std::uint64_t>(header, kSizeAt)};
  facts.internal_snapshots = number<std::uint32_t>(header, kSnapshotsAt);
  facts.encrypted = number<std::uint32_t>(header, kCryptAt) != 0;
  if (number<std::uint64_t>(header, kBackingOffsetAt) != 0)
    facts.backing_chain.push_back(backing_name(file, header));
  if (version == 2) return {};
  const auto features = number<std::uint64_t>(header, kIncompatibleAt);
  facts.data_file = (features & kDataFile) != 0;
  if ((features & kCorruptBit) != 0)
    return fail(ErrorCode::kCorrupt, "{} is marked as damaged.", name);
  if ((features & ~(kDirty | kDataFile | kCompression | kExtendedL2)) != 0)
    return fail(ErrorCode::kCorrupt, "{} has features that are not known.", name);
  return {};
}

// Of qemu-img's words on each cluster, the first that tells of damage.
std::string gravest_line(const std::string& said) {
  const std::size_t error = said.find("ERROR");
  const std::size_t begin = error == std::string::npos ? 0 : error;
  return said.substr(begin, said.find('\n', begin) - begin);
}

}  // namespace

Result<ImageFacts> stray_image_facts(int file, std::string_view name, std::string_view format) {
  struct stat found{};
  if (::fstat(file, &found) != 0) return fail_errno(fmt::format("Cannot look at {}", name));
  ImageFacts facts;
  facts.format = format;
  facts.allocated = {static_cast<std::uint64_t>(found.st_blocks) * 512};
  facts.virtual_size = {static_cast<std::uint64_t>(found.st_size)};
  if (format == "raw") return facts;
  if (format != "qcow2")
    return fail(ErrorCode::kCorrupt, "{} has the format {}; raw and qcow2 are known.", name,
                format);
  RETURN_IF_ERROR(read_qcow2(file, name, facts));
  return facts;
}

Status check_image_tables(const std::string& path, const std::function<Status()>& go_on) {
  // Exit code 3: clusters that nothing uses. They take room and harm nobody.
  ProgramCall call;
  call.arguments = {"setpriv",
                    "--pdeathsig",
                    "KILL",
                    "--",
                    "sh",
                    "-c",
                    "qemu-img check -q -f qcow2 \"$1\" >/dev/null; code=$?; "
                    "[ $code = 0 ] || [ $code = 3 ]",
                    "sh",
                    path};
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(call, RunningProgram::Complaints::kKeep));
  while (!running.ended()) {
    RETURN_IF_ERROR(go_on());
    std::this_thread::sleep_for(kLook);
  }
  if (const Status sound = running.result(); !sound) {
    Error damaged = wrap(sound.error(), fmt::format("{} is damaged.", path));
    damaged.code = ErrorCode::kCorrupt;
    for (std::string& cause : damaged.causes) cause = gravest_line(cause);
    return std::unexpected(std::move(damaged));
  }
  return {};
}

}  // namespace drover
