// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/stray_image.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <thread>

#include <nlohmann/json.hpp>
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
constexpr std::uint64_t kExtensionsAtOfVersion2 = 72, kHeaderLengthAt = 100;
constexpr std::uint32_t kBackingFormat = 0xe2792aca, kNoMoreExtensions = 0;
constexpr int kExtensionsMost = 64;
constexpr std::uint32_t kFormatNameMost = 15;
constexpr std::size_t kBackingNameMost = 1023;
constexpr std::uint64_t kDirty = 1, kCorruptBit = 2, kDataFile = 4, kCompression = 8,
                        kExtendedL2 = 16;
constexpr auto kLook = std::chrono::milliseconds(20);
// Of qemu-img check: clusters that nothing uses. They take room and harm nobody.
constexpr int kLeaksOnly = 3;

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

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return out;
}

std::string backing_name(int file, const Header& header) {
  const std::size_t size =
      std::min<std::size_t>(number<std::uint32_t>(header, kBackingSizeAt), kBackingNameMost);
  std::array<std::uint8_t, kBackingNameMost> bytes{};
  if (!read_at(file, number<std::uint64_t>(header, kBackingOffsetAt), std::span(bytes).first(size)))
    return "another file";
  const std::string name =
      printable({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).substr(0, size);
  return name.empty() ? "another file" : name;
}

Result<std::uint32_t> word_at(int file, std::uint64_t offset) {
  std::array<std::uint8_t, 4> bytes{};
  RETURN_IF_ERROR(read_at(file, offset, bytes));
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
}

// Empty: the header does not say.
Result<std::string> backing_format(int file, std::uint32_t version) {
  std::uint64_t at = kExtensionsAtOfVersion2;
  if (version != 2) {
    ASSIGN_OR_RETURN(at, word_at(file, kHeaderLengthAt));
  }
  for (int i = 0; i < kExtensionsMost; ++i) {
    ASSIGN_OR_RETURN(const std::uint32_t kind, word_at(file, at));
    ASSIGN_OR_RETURN(const std::uint32_t size, word_at(file, at + 4));
    if (kind == kNoMoreExtensions) break;
    if (kind == kBackingFormat) {
      std::string name(std::min(size, kFormatNameMost), '\0');
      RETURN_IF_ERROR(read_at(
          file, at + 8, std::span(reinterpret_cast<std::uint8_t*>(name.data()), name.size())));
      return name;
    }
    at += 8 + (std::uint64_t{size} + 7) / 8 * 8;
  }
  return std::string();
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
  if (number<std::uint64_t>(header, kBackingOffsetAt) != 0) {
    facts.backing_chain.push_back(backing_name(file, header));
    const auto format = backing_format(file, version);
    facts.layers.push_back(
        {facts.backing_chain.front(), format ? printable(*format) : "", {}, {}, {}});
  }
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
  // Whatever the header says that it is based on is not opened. No shell between: what is killed
  // is qemu-img itself.
  const nlohmann::json image{{"driver", "qcow2"},
                             {"backing", nullptr},
                             {"file", {{"driver", "file"}, {"filename", path}}}};
  ProgramCall call;
  call.arguments = {
      "setpriv",  "--pdeathsig",
      "KILL",     "--",
      "qemu-img", "check",
      "-q",       "json:" + image.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(call, RunningProgram::Complaints::kKeep));
  while (!running.ended()) {
    RETURN_IF_ERROR(go_on());
    std::this_thread::sleep_for(kLook);
  }
  if (running.exit_code() == kLeaksOnly) return {};
  if (const Status sound = running.result(); !sound) {
    Error damaged = wrap(sound.error(), fmt::format("{} is damaged.", path));
    damaged.code = ErrorCode::kCorrupt;
    for (std::string& cause : damaged.causes) cause = gravest_line(cause);
    return std::unexpected(std::move(damaged));
  }
  return {};
}

}  // namespace drover
