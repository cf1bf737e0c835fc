// SPDX-License-Identifier: Apache-2.0
#include "move/cold/cold_files.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unique_fd.h"
#include "hypervisor/saved_memory.h"
#include "move/peer_messages.h"
#include "move/plan/shared_disks.h"
#include "preflight/codes.h"
#include "preflight/layers.h"

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
// An image may be longer than its disk: tables, and the memory of checkpoints within it.
constexpr ByteCount kBesideContent = gib(1);

ByteCount image_bytes_max(ByteCount virtual_size, ByteCount allocated) {
  return ByteCount{2 * virtual_size.bytes + 2 * allocated.bytes} + kBesideContent;
}

bool holds_checkpoints(const Vm& vm, const std::string& target) {
  return std::ranges::any_of(vm.checkpoints, [&](const Checkpoint& checkpoint) {
    return std::ranges::find(checkpoint.internal_disks, target) != checkpoint.internal_disks.end();
  });
}

Status read_begin(int file, const std::string& path, std::string& bytes) {
  const ssize_t n = ::pread(file, bytes.data(), bytes.size(), 0);
  if (n < 0) return fail_errno("Cannot read " + path);
  if (n != static_cast<ssize_t>(bytes.size()))
    return fail(ErrorCode::kUnavailable, "The saved state has only begun.");
  return {};
}

}  // namespace

// Each once: several disks may stand on one.
std::vector<ColdFile> missing_layers(const Plan& plan) {
  std::vector<ColdFile> files;
  for (const FilePlacement& file : plan.files) {
    const auto is_it = [&](const ColdFile& known) {
      return known.destination_path == file.destination_path;
    };
    if (file.shared || file.present || std::ranges::any_of(files, is_it)) continue;
    files.push_back({std::string(kItemLayer) + file.destination_path, ColdFile::Kind::kLayer,
                     file.item, file.source_path, file.destination_path,
                     image_bytes_max(file.virtual_size, file.allocated)});
  }
  return files;
}

std::vector<ColdFile> cold_files(const Plan& plan, std::string_view definition,
                                 const std::string& tpm_folder) {
  using Kind = ColdFile::Kind;
  std::vector<ColdFile> files = missing_layers(plan);
  if (plan.kind == MoveKind::kQuick) {
    files.push_back({std::string(kItemStateHead), Kind::kStateHead, "", "", "", {kStateHeadMax}});
    files.push_back(
        {std::string(kItemState), Kind::kState, "", "", "", state_bytes_max(plan.vm.memory)});
  }
  for (const DiskPlacement& placement : copied_disks(plan)) {
    if (!travels_as_image(plan, placement)) continue;
    files.push_back({std::string(kItemImage) + placement.target, Kind::kImage, placement.target,
                     placement.source_path, placement.destination_path,
                     image_bytes_max(placement.virtual_size, placement.allocated)});
  }
  if (!plan.nvram_destination.empty()) {
    files.push_back({std::string(kItemNvram), Kind::kNvram, "", plan.vm.nvram_path,
                     plan.nvram_destination, kNvramBytesMax});
  }
  // That of a saved guest is in its saved state.
  const auto tpm = plan.kind == MoveKind::kOffline ? tpm_state_name(definition) : std::string();
  if (!tpm.empty()) {
    files.push_back({std::string(kItemTpm), Kind::kTpm, "", tpm_state_of(tpm_folder, plan.vm.uuid),
                     tpm_state_place(tpm_folder, plan.vm.uuid, tpm), kTpmBytesMax});
  }
  if (carries_saved_memory(plan)) {
    files.push_back({std::string(kItemSavedHead), Kind::kSavedHead, "", "", "", {kStateHeadMax}});
    files.push_back(
        {std::string(kItemSaved), Kind::kSaved, "", "", "", state_bytes_max(plan.vm.memory)});
  }
  return files;
}

std::string former_tpm_state(std::string_view definition, std::string_view uuid,
                             const std::string& tpm_folder) {
  return keeps_tpm_state(definition) ? tpm_state_of(tpm_folder, uuid) : std::string();
}

bool travels_as_image(const Plan& plan, const DiskPlacement& placement) {
  if (!is_cold(plan) || placement.shared || placement.format != "qcow2") return false;
  return preflight::stays_a_chain(plan, placement.target) ||
         holds_checkpoints(plan.vm, placement.target);
}

std::vector<DiskPlacement> streamed_disks(const Plan& plan) {
  auto disks = copied_disks(plan);
  std::erase_if(disks, [&](const DiskPlacement& disk) { return travels_as_image(plan, disk); });
  return disks;
}

bool is_cold(const Plan& plan) {
  return plan.kind == MoveKind::kQuick || plan.kind == MoveKind::kOffline;
}

bool carries_saved_memory(const Plan& plan) {
  return plan.kind == MoveKind::kOffline && plan.vm.saved;
}

ByteCount saved_memory(const Plan& plan, Hypervisor& hypervisor) {
  std::error_code gone;
  const std::string path = saved_memory_file(hypervisor, plan.vm.name);
  if (!carries_saved_memory(plan) || path.empty()) return {};
  const auto length = std::filesystem::file_size(path, gone);
  return gone ? ByteCount{} : ByteCount{length};
}

// A page has 8 bytes of its own beside it.
ByteCount state_bytes_max(ByteCount memory) {
  return ByteCount{memory.bytes + memory.bytes / 64} + kBesideMemory;
}

std::optional<Finding> state_short(const std::filesystem::path& folder, const std::string& host,
                                   const std::string& vm, ByteCount memory) {
  struct statvfs found{};
  if (::statvfs(folder.c_str(), &found) != 0) return {};
  const ByteCount free{std::uint64_t{found.f_bavail} * found.f_frsize};
  const ByteCount wanted = state_bytes_max(memory);
  if (free >= wanted) return {};
  return Finding{
      std::string(preflight::code_name(preflight::Code::kSpaceShort)),
      FindingLevel::kBlocker,
      folder.string(),
      fmt::format("The memory of {} is written into {} on {}, which has {} left; it may need {}.",
                  vm, folder.string(), host, to_text(free), to_text(wanted)),
      "A quick move saves the memory into a file and restores it from one: both hosts need room "
      "for "
      "it.",
      {fmt::format("Make room in {} on {}.", folder.string(), host),
       "Move it live, without --quick: then memory goes through no file."}};
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
  RETURN_IF_ERROR(read_begin(file.get(), path, head));
  ASSIGN_OR_RETURN(const std::uint64_t bytes, state_head_bytes(head));
  head.resize(bytes);
  RETURN_IF_ERROR(read_begin(file.get(), path, head));
  return head;
}

void announce_guest(Hypervisor& hypervisor, const std::string& uuid) {
  const auto said = hypervisor.ask_qemu(
      uuid,
      R"({"execute":"announce-self","arguments":{"initial":50,"max":550,"rounds":10,"step":50}})");
  if (!said) log::warning("{} could not be announced: {}", uuid, said.error().text());
}

Result<bool> is_whole_state(const std::string& path) {
  const auto head = read_state_head(path);
  if (head) return head->starts_with(kWhole);
  const ErrorCode why = head.error().code;
  if (why == ErrorCode::kNotFound || why == ErrorCode::kUnavailable) return false;
  return std::unexpected(head.error());
}

}  // namespace drover::move
