// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/fake/fake.h"

#include <utility>

#include "hypervisor/domain_xml.h"

namespace drover::fake {

FakeHypervisor::FakeHypervisor(FakeOptions options) : options_(std::move(options)) {
  HostFacts& facts = options_.facts;
  facts.name = options_.host_name;
  facts.hypervisor_up = true;
  if (facts.host_uuid.empty())
    facts.host_uuid = options_.host_name + "-0000-4000-8000-000000000000";
  if (facts.libvirt_version == 0) facts.libvirt_version = 9'000'000;
  if (facts.qemu_version == 0) facts.qemu_version = 7'002'022;
  if (facts.memory_total.bytes == 0) facts.memory_total = gib(64);
  if (facts.memory_free.bytes == 0) facts.memory_free = gib(32);
  if (facts.cpus == 0) facts.cpus = 8;
  if (facts.machine_types.empty())
    facts.machine_types = {"pc-q35-7.2", "q35", "pc-i440fx-7.2", "pc"};
  if (facts.networks.bridges.empty()) facts.networks.bridges = {"br0"};
}

void FakeHypervisor::link(FakeHypervisor& peer) { peer_ = &peer; }

Status FakeHypervisor::answering() const {
  if (answering_) return {};
  return std::unexpected(Error{ErrorCode::kUnavailable,
                               Retry::kLater,
                               "libvirt does not answer on " + options_.host_name + ".",
                               {}});
}

Result<FakeHypervisor::Machine*> FakeHypervisor::machine(std::string_view name_or_uuid) {
  RETURN_IF_ERROR(answering());
  for (auto& [uuid, found] : machines_) {
    if (uuid == name_or_uuid || found.vm.name == name_or_uuid) return &found;
  }
  return fail(ErrorCode::kNotFound, "There is no VM {} here.", name_or_uuid);
}

void FakeHypervisor::publish(VmEvent::Kind kind, const Vm& vm) {
  std::function<void(const VmEvent&)> callback;
  {
    const std::lock_guard lock(mutex_);
    callback = subscriber_;
  }
  if (callback) callback({kind, vm.uuid, vm.name});
}

bool FakeHypervisor::connected() {
  const std::lock_guard lock(mutex_);
  return answering_;
}

Result<HostFacts> FakeHypervisor::host_facts() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  return options_.facts;
}

Result<std::vector<Vm>> FakeHypervisor::list_vms() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  std::vector<Vm> vms;
  for (const auto& [uuid, found] : machines_) vms.push_back(as_seen(found));
  return vms;
}

Result<Vm> FakeHypervisor::find_vm(std::string_view name_or_uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* found, machine(name_or_uuid));
  return as_seen(*found);
}

Result<RunState> FakeHypervisor::run_state(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  const auto found = machine(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound)
    return RunState{RunState::Kind::kAbsent, "not there"};
  if (!found) return std::unexpected(found.error());
  return RunState{(*found)->kind, "as the fake says"};
}

Result<std::string> FakeHypervisor::definition(std::string_view uuid, DefinitionKind kind) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* found, machine(uuid));
  if (kind == DefinitionKind::kPersistent) {
    if (found->persistent_xml.empty()) {
      return fail(ErrorCode::kNotFound, "The VM {} has no persistent definition.", uuid);
    }
    return found->persistent_xml;
  }
  return found->live_xml.empty() ? found->persistent_xml : found->live_xml;
}

void FakeHypervisor::subscribe(std::function<void(const VmEvent&)> callback) {
  const std::lock_guard lock(mutex_);
  subscriber_ = std::move(callback);
}

Status FakeHypervisor::define(std::string_view xml) {
  ASSIGN_OR_RETURN(DomainFacts facts, parse_domain(xml));
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(answering());
    if (at_define) RETURN_IF_ERROR(at_define());
    for (const auto& [uuid, other] : machines_) {
      if ((uuid == facts.vm.uuid) != (other.vm.name == facts.vm.name)) {
        return fail(ErrorCode::kConflict, "Name or UUID of {} is taken by {}.", facts.vm.name,
                    other.vm.name);
      }
    }
    Machine& defined = machines_[facts.vm.uuid];
    if (defined.live_xml.empty()) {
      const auto autostart = defined.vm.autostart;
      defined.vm = std::move(facts.vm);
      defined.vm.autostart = autostart;
      defined.vm.state = VmState::kOff;
    }
    defined.vm.persistent = true;
    defined.persistent_xml = xml;
    shown = defined.vm;
  }
  publish(VmEvent::Kind::kDefined, shown);
  return {};
}

Status FakeHypervisor::undefine(std::string_view uuid) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    const auto found = machine(uuid);
    if (!found && found.error().code == ErrorCode::kNotFound) return {};
    if (!found) return std::unexpected(found.error());
    shown = (*found)->vm;
    if (as_seen(**found).saved)
      return fail(ErrorCode::kConflict, "The memory of the VM {} is kept.", uuid);
    (*found)->persistent_xml.clear();
    (*found)->vm.persistent = false;
    (*found)->vm.autostart = false;
    if ((*found)->live_xml.empty()) machines_.erase(shown.uuid);
  }
  publish(VmEvent::Kind::kUndefined, shown);
  return {};
}

Status FakeHypervisor::set_autostart(std::string_view uuid, bool on) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (!found->vm.persistent) return fail(ErrorCode::kConflict, "The VM {} is transient.", uuid);
  found->vm.autostart = on;
  return {};
}

Status FakeHypervisor::start(std::string_view uuid) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
    if (!found->live_xml.empty())
      return fail(ErrorCode::kConflict, "The VM {} runs already.", uuid);
    found->live_xml = found->persistent_xml;
    found->kind = RunState::Kind::kRunning;
    found->vm.state = VmState::kRunning;
    shown = found->vm;
  }
  publish(VmEvent::Kind::kStarted, shown);
  return {};
}

Status FakeHypervisor::suspend(std::string_view uuid) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
    if (found->kind != RunState::Kind::kRunning)
      return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
    found->kind = RunState::Kind::kPaused;
    found->vm.state = VmState::kPaused;
    shown = found->vm;
  }
  publish(VmEvent::Kind::kSuspended, shown);
  return {};
}

void FakeHypervisor::set_snapshots(std::string_view uuid, std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  if (const auto found = machine(uuid)) (*found)->vm.snapshots = count;
}

void FakeHypervisor::power_cut() {
  const std::lock_guard lock(mutex_);
  std::erase_if(machines_, [](const auto& entry) { return entry.second.persistent_xml.empty(); });
  for (auto& [uuid, found] : machines_) {
    found.live_xml.clear();
    found.held.clear();
    found.copies.clear();
    found.kind = RunState::Kind::kOff;
    found.vm.state = VmState::kOff;
  }
}

void FakeHypervisor::set_answering(bool on) {
  {
    const std::lock_guard lock(mutex_);
    answering_ = on;
  }
  publish(on ? VmEvent::Kind::kConnected : VmEvent::Kind::kDisconnected, {});
}

std::size_t FakeHypervisor::held_descriptors(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  const auto found = machine(uuid);
  return found ? (*found)->held.size() : 0;
}

Status FakeHypervisor::destroy(std::string_view uuid) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    const auto found = machine(uuid);
    if (!found && found.error().code == ErrorCode::kNotFound) return {};
    if (!found) return std::unexpected(found.error());
    if ((*found)->live_xml.empty()) return {};
    (*found)->live_xml.clear();
    (*found)->held.clear();
    (*found)->copies.clear();
    (*found)->kind = RunState::Kind::kOff;
    (*found)->vm.state = VmState::kOff;
    shown = (*found)->vm;
    if ((*found)->persistent_xml.empty()) machines_.erase(shown.uuid);
  }
  publish(VmEvent::Kind::kStopped, shown);
  return {};
}

Result<GuestLoad> FakeHypervisor::guest_load(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  ASSIGN_OR_RETURN(const Machine* const found, machine(uuid));
  return found->kind == RunState::Kind::kRunning && load ? load() : GuestLoad{};
}

Status FakeHypervisor::measure_dirtying(std::string_view uuid, std::chrono::seconds) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  const auto found = machine(uuid);
  if (!found) return std::unexpected(found.error());
  measured.push_back((*found)->vm.uuid);
  return {};
}

Result<GuestSigns> FakeHypervisor::guest_signs(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* const found, machine(uuid));
  GuestSigns shown;
  shown.runs = found->kind == RunState::Kind::kRunning;
  shown.state = shown.runs ? "running" : "not running";
  shown.has_agent = agent != nullptr;
  if (signs) signs(shown);
  return shown;
}

Result<std::string> FakeHypervisor::ask_agent(std::string_view uuid, const std::string& command,
                                              std::chrono::seconds) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* const found, machine(uuid));
  if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  if (!agent) return fail(ErrorCode::kHypervisor, "The guest has no agent.");
  return agent(command);
}

Result<std::vector<std::string>> FakeHypervisor::replug(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* const found, machine(uuid));
  if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  return std::vector<std::string>{};
}

Status FakeHypervisor::refresh_pool(std::string_view) {
  const std::lock_guard lock(mutex_);
  return answering();
}

Status FakeHypervisor::hold_descriptors(std::string_view uuid, std::span<const int> descriptors) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  for (const int descriptor : descriptors) {
    found->held.emplace_back(::dup(descriptor));
    if (!found->held.back())
      return fail(ErrorCode::kInvalidArgument, "{} is no descriptor.", descriptor);
  }
  return {};
}

Status FakeHypervisor::hold_image(std::string_view uuid, int image) {
  return hold_descriptors(uuid, {&image, 1});
}

Status FakeHypervisor::drop_descriptors(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  const auto found = machine(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound) return {};
  if (!found) return std::unexpected(found.error());
  (*found)->held.clear();
  return {};
}

Result<std::string> FakeHypervisor::ask_qemu(std::string_view uuid, const std::string& command) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Machine* const found, machine(uuid));
  if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  return qemu ? qemu(command) : std::string(R"({"return":{}})");
}

}  // namespace drover::fake
