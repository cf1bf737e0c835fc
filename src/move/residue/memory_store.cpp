// SPDX-License-Identifier: Apache-2.0
#include "move/residue/memory_store.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/random.h"
#include "move/world.h"
#include "preflight/codes.h"

namespace drover::move {
namespace {

// What is written there must not leave the disk full.
constexpr std::uint64_t kRoomFactor = 2;

bool has_room(int file, ByteCount memory) {
  struct statvfs found{};
  if (::fstatvfs(file, &found) != 0) return false;
  return std::uint64_t{found.f_bavail} * found.f_frsize >= kRoomFactor * memory.bytes;
}

ByteCount allocated_bytes(int file) {
  struct stat found{};
  if (::fstat(file, &found) != 0) return {};
  return ByteCount{static_cast<std::uint64_t>(found.st_blocks) * 512};
}

Performance performance_of(const MoveRequest& request, const HostSettings& settings) {
  return request.performance.value_or(settings.performance);
}

Finding note(preflight::Code code, const Vm& vm, std::string what, std::string why,
             std::vector<std::string> fixes) {
  return {std::string(preflight::code_name(code)),
          FindingLevel::kNote,
          vm.name,
          std::move(what),
          std::move(why),
          std::move(fixes)};
}

}  // namespace

MemoryFile::~MemoryFile() { ::explicit_bzero(key.data(), key.size()); }

MemoryFile MemoryFile::for_reading() const {
  MemoryFile other;
  other.file =
      UniqueFd(::open(fmt::format("/proc/self/fd/{}", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  other.key = key;
  return other;
}

std::optional<MemoryFile> MemoryStore::begin(const Move& move, UniqueFd file,
                                             const HostSettings& limits) {
  const Vm& vm = move.plan.vm;
  if (vm.memory > limits.residue_max) return {};
  Entry entry;
  entry.vm_uuid = vm.uuid;
  entry.vm_name = vm.name;
  entry.peer = move.destination;
  entry.memory = vm.memory;
  entry.since = std::chrono::system_clock::now();
  entry.stored.file = std::move(file);
  fill_random(entry.stored.key);
  MemoryFile given;
  given.file = entry.stored.file.duplicate();
  given.key = entry.stored.key;
  const std::lock_guard lock(mutex_);
  make_room(limits.residue_max - vm.memory);
  entries_.insert_or_assign(move.id, std::move(entry));
  return given;
}

void MemoryStore::keep(const Move& move) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(move.id);
  if (found == entries_.end()) return;
  std::erase_if(entries_, [&](const auto& item) {
    return item.second.vm_uuid == move.plan.vm.uuid && item.first != move.id;
  });
  found->second.left = true;
  found->second.since = std::chrono::system_clock::now();
}

bool MemoryStore::drop(std::string_view move_id) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(move_id);
  if (found == entries_.end()) return false;
  entries_.erase(found);
  return true;
}

void MemoryStore::drop_of_vm(std::string_view vm_uuid) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& item) { return item.second.vm_uuid == vm_uuid; });
}

std::shared_ptr<const MemoryFile> MemoryStore::find(std::string_view vm_uuid,
                                                    std::string_view peer) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : entries_) {
    if (!entry.left || entry.vm_uuid != vm_uuid || entry.peer != peer) continue;
    auto found = entry.stored.for_reading();
    if (found.file) return std::make_shared<MemoryFile>(std::move(found));
  }
  return {};
}

std::vector<QuarantinedDisk> MemoryStore::list(const HostSettings& limits) const {
  const std::lock_guard lock(mutex_);
  std::vector<QuarantinedDisk> kept;
  for (const auto& [id, entry] : entries_) {
    if (!entry.left) continue;
    QuarantinedDisk& memory = kept.emplace_back();
    memory.move_id = id;
    memory.vm_uuid = entry.vm_uuid;
    memory.vm_name = entry.vm_name;
    memory.original_path = "memory";
    memory.allocated = allocated_bytes(entry.stored.file.get());
    memory.since = entry.since;
    memory.until = entry.since + limits.residue_age;
  }
  return kept;
}

void MemoryStore::expire(const HostSettings& limits) {
  const auto oldest = std::chrono::system_clock::now() - limits.residue_age;
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_,
                [&](const auto& item) { return item.second.left && item.second.since < oldest; });
  make_room(limits.residue_max);
}

// One whose move is under way counts, and goes last: its mover has the file for as long as it runs.
void MemoryStore::make_room(ByteCount most) {
  const auto all = [&] {
    ByteCount sum;
    for (const auto& [id, entry] : entries_) sum += entry.memory;
    return sum;
  };
  while (all() > most) {
    entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& item) {
      return std::pair(!item.second.left, item.second.since);
    }));
  }
}

std::shared_ptr<MemoryFile> begin_memory(World& world, const Move& move) {
  if (!move.plan.request.keep_memory) return nullptr;
  const auto skip = [&](std::string_view why) {
    log::info("Move {}: the memory of {} is not kept: {}", move.id, move.plan.vm.name, why);
    return nullptr;
  };
  const HostSettings settings = world.book.settings();
  if (performance_of(move.plan.request, settings) == Performance::kDirect)
    return skip("nobody looks at its pages");
  auto file = world.carriage.scratch_file();
  if (!file) return skip(file.error().text());
  if (!has_room(file->get(), move.plan.vm.memory)) return skip("there is no room for it");
  auto begun = world.memories->begin(move, std::move(*file), settings);
  if (!begun) return skip("it has more than residue-max");
  return std::make_shared<MemoryFile>(std::move(*begun));
}

std::optional<Finding> memory_not_kept(const MoveRequest& request, const Vm& vm,
                                       const HostSettings& settings) {
  if (!request.keep_memory) return {};
  using preflight::Code;
  if (performance_of(request, settings) == Performance::kDirect) {
    return note(Code::kMemoryNotKept, vm,
                fmt::format("The memory of {} will not be kept.", vm.name),
                "With performance=direct nobody looks at its pages.", {"--performance compress"});
  }
  if (vm.memory <= settings.residue_max) return {};
  return note(Code::kMemoryNotKept, vm, fmt::format("The memory of {} will not be kept.", vm.name),
              fmt::format("It has {}; this host keeps at most {} of all VMs together.",
                          to_text(vm.memory), to_text(settings.residue_max)),
              {"Allow more on the source: drover settings residue-max=SIZE"});
}

std::optional<Finding> memory_note(World& world, const Vm& vm, std::string_view peer) {
  const auto memory = world.memories->find(vm.uuid, peer);
  if (!memory) return {};
  return note(preflight::Code::kResidueUsed, vm,
              fmt::format("{} still has {}'s memory of when it left ({}).", world.host_name,
                          vm.name, to_text(allocated_bytes(memory->file.get()))),
              "Only what changed since will travel.", {});
}

}  // namespace drover::move
