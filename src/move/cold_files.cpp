// SPDX-License-Identifier: Apache-2.0
#include "move/cold_files.h"

#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unique_fd.h"
#include "move/peer_messages.h"

namespace drover::move {
namespace {

// libvirt's src/qemu/qemu_saveimage.h: 16 bytes of magic, version, length of the definition and
// cookie that follow, was-running, compression, the cookie's place, 14 unused; of 32 bits each, in
// the byte order of the host.
constexpr std::size_t kMagicBytes = 16;
constexpr std::size_t kLengthAt = kMagicBytes + 4;
constexpr std::string_view kPartial = "LibvirtQemudPart", kWhole = "LibvirtQemudSave";
static_assert(kStateHeadLeast == kMagicBytes + 4 * 5 + 4 * 14);

constexpr ByteCount kBesideMemory = mib(512);  // video memory, devices, the definition

}  // namespace

std::vector<std::string> cold_files(const Plan& plan) {
  std::vector<std::string> files;
  if (plan.kind == MoveKind::kQuick) {
    files.emplace_back(kItemStateHead);
    files.emplace_back(kItemState);
  }
  if (!plan.nvram_destination.empty()) files.emplace_back(kItemNvram);
  return files;
}

bool is_cold(const Plan& plan) {
  return plan.kind == MoveKind::kQuick || plan.kind == MoveKind::kOffline;
}

// A page has 8 bytes of its own beside it.
ByteCount state_bytes_max(const Plan& plan) {
  return ByteCount{plan.vm.memory.bytes + plan.vm.memory.bytes / 64} + kBesideMemory;
}

Result<std::uint64_t> state_head_bytes(std::string_view begin) {
  if (begin.size() < kStateHeadLeast)
    return fail(ErrorCode::kUnavailable, "The saved state has only begun.");
  const std::string_view magic = begin.substr(0, kMagicBytes);
  if (magic != kPartial && magic != kWhole)
    return fail(ErrorCode::kHypervisor, "libvirt's saved state has an unknown form.");
  std::uint32_t length = 0;
  std::memcpy(&length, begin.data() + kLengthAt, sizeof length);
  const std::uint64_t head = kStateHeadLeast + std::uint64_t{length};
  if (length == 0 || head > kStateHeadMax)
    return fail(ErrorCode::kHypervisor, "libvirt's saved state has an unknown form.");
  return head;
}

Result<std::string> read_state_head(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  std::string head(kStateHeadLeast, '\0');
  if (::pread(file.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))
    return fail(ErrorCode::kUnavailable, "The saved state has only begun.");
  ASSIGN_OR_RETURN(const std::uint64_t bytes, state_head_bytes(head));
  head.resize(bytes);
  if (::pread(file.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))
    return fail(ErrorCode::kUnavailable, "The saved state has only begun.");
  return head;
}

void announce_guest(Hypervisor& hypervisor, const std::string& uuid) {
  const auto said = hypervisor.ask_qemu(
      uuid,
      R"({"execute":"announce-self","arguments":{"initial":50,"max":550,"rounds":10,"step":50}})");
  if (!said) log::warning("{} could not be announced: {}", uuid, said.error().text());
}

bool is_whole_state(const std::string& path) {
  const auto head = read_state_head(path);
  return head && head->starts_with(kWhole);
}

}  // namespace drover::move
