// SPDX-License-Identifier: Apache-2.0
// Guests saved into files of libvirt's form, and restored from them.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"

namespace drover::fake {
namespace {

constexpr std::string_view kMagic = "LibvirtQemudSave";
constexpr std::size_t kHeadBytes = 92, kLengthAt = 20, kRunningAt = 24;
constexpr std::size_t kRoomToGrow = 1024;  // of the definition

struct Saved {
  std::string content;
  std::uint32_t length = 0;  // of the definition, and of what is left free behind it
  bool running = false;
  std::string definition() const { return content.substr(kHeadBytes, length).c_str(); }
  std::string memory() const { return content.substr(kHeadBytes + length); }
};

Result<Saved> read_saved(std::string_view path) {
  std::ifstream file(std::filesystem::path(path), std::ios::binary);
  Saved saved;
  saved.content = {std::istreambuf_iterator<char>(file), {}};
  std::uint32_t running = 0;
  if (saved.content.size() < kHeadBytes || !saved.content.starts_with(kMagic))
    return fail(ErrorCode::kHypervisor, "{} holds no saved VM.", path);
  std::memcpy(&saved.length, saved.content.data() + kLengthAt, sizeof saved.length);
  std::memcpy(&running, saved.content.data() + kRunningAt, sizeof running);
  saved.running = running != 0;
  if (saved.content.size() < kHeadBytes + saved.length)
    return fail(ErrorCode::kHypervisor, "{} holds no saved VM.", path);
  return saved;
}

void write_saved(std::string_view path, const std::string& live_xml, std::string_view uuid,
                 Hypervisor::Then then) {
  std::string head(kHeadBytes, '\0');
  const auto length = static_cast<std::uint32_t>(live_xml.size() + kRoomToGrow);
  const std::uint32_t running = then == Hypervisor::Then::kRuns ? 1 : 0;
  std::memcpy(head.data(), kMagic.data(), kMagic.size());
  std::memcpy(head.data() + kLengthAt, &length, sizeof length);
  std::memcpy(head.data() + kRunningAt, &running, sizeof running);
  std::ofstream(std::filesystem::path(path), std::ios::binary)
      << head << live_xml << std::string(kRoomToGrow, '\0') << "memory of " << uuid;
}

}  // namespace

Vm FakeHypervisor::as_seen(const Machine& machine) const {
  Vm vm = machine.vm;
  const auto file = std::filesystem::path(saved_memory_file(vm.name));
  vm.saved = machine.live_xml.empty() && !file.empty() && std::filesystem::exists(file);
  return vm;
}

std::string FakeHypervisor::saved_memory_file(std::string_view name) const {
  return saved_folder.empty() ? std::string() : fmt::format("{}/{}.save", saved_folder, name);
}

Result<std::string> FakeHypervisor::saved_definition(std::string_view path) {
  ASSIGN_OR_RETURN(const Saved saved, read_saved(path));
  return saved.definition();
}

Status FakeHypervisor::define_saved(std::string_view path, std::string_view xml) {
  ASSIGN_OR_RETURN(Saved saved, read_saved(path));
  ASSIGN_OR_RETURN(const DomainFacts now, parse_domain(saved.definition()));
  ASSIGN_OR_RETURN(const DomainFacts then, parse_domain(xml));
  if (now.vm.uuid != then.vm.uuid || now.vm.memory != then.vm.memory || xml.size() > saved.length)
    return fail(ErrorCode::kHypervisor, "The definition is not for the guest in {}.", path);
  std::string room(saved.length, '\0');
  room.replace(0, xml.size(), xml);
  saved.content.replace(kHeadBytes, saved.length, room);
  std::ofstream(std::filesystem::path(path), std::ios::binary) << saved.content;
  return {};
}

Status FakeHypervisor::write_memory(std::string_view uuid, std::string_view path) {
  if (at_write_memory) RETURN_IF_ERROR(at_write_memory(std::string(path)));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  ASSIGN_OR_RETURN(const Machine* const found, machine(uuid));
  if (found->kind != RunState::Kind::kPaused)
    return fail(ErrorCode::kConflict, "The VM {} does not stand still.", uuid);
  write_saved(path, found->live_xml, uuid, Then::kRuns);
  return {};
}

Status FakeHypervisor::save(std::string_view uuid, std::string_view path, Then then) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(answering());
    ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
    if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
    if (at_save) RETURN_IF_ERROR(at_save());
    write_saved(path, found->live_xml, uuid, then);
    found->live_xml.clear();
    found->held.clear();
    found->kind = RunState::Kind::kOff;
    found->vm.state = VmState::kOff;
    shown = found->vm;
  }
  publish(VmEvent::Kind::kStopped, shown);
  return {};
}

Status FakeHypervisor::restore(std::string_view path, std::string_view xml) {
  ASSIGN_OR_RETURN(const Saved saved, read_saved(path));
  const std::string live = xml.empty() ? saved.definition() : std::string(xml);
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(live));
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(answering());
    ASSIGN_OR_RETURN(Machine* const found, machine(facts.vm.uuid));
    if (!found->live_xml.empty())
      return fail(ErrorCode::kConflict, "The VM {} runs already.", facts.vm.uuid);
    if (saved.memory() != "memory of " + facts.vm.uuid)
      return fail(ErrorCode::kHypervisor, "The memory in {} is not that of the VM.", path);
    if (at_restore) RETURN_IF_ERROR(at_restore());
    found->live_xml = live;
    found->kind = saved.running ? RunState::Kind::kRunning : RunState::Kind::kPaused;
    found->vm.state = saved.running ? VmState::kRunning : VmState::kPaused;
    shown = found->vm;
  }
  publish(VmEvent::Kind::kStarted, shown);
  publish(VmEvent::Kind::kResumed, shown);
  return {};
}

}  // namespace drover::fake
