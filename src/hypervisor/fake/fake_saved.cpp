// SPDX-License-Identifier: Apache-2.0
// Guests saved into files of libvirt's form, and restored from them.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"

namespace drover::fake {
namespace {

constexpr std::string_view kMagic = "LibvirtQemudSave";
constexpr std::size_t kHeadBytes = 92, kLengthAt = 20, kRunningAt = 24;

}  // namespace

Status FakeHypervisor::save(std::string_view uuid, std::string_view path, Then then) {
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(answering());
    ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
    if (found->live_xml.empty()) return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
    if (at_save) RETURN_IF_ERROR(at_save());
    std::string head(kHeadBytes, '\0');
    const auto length = static_cast<std::uint32_t>(found->live_xml.size());
    const std::uint32_t running = then == Then::kRuns ? 1 : 0;
    std::memcpy(head.data(), kMagic.data(), kMagic.size());
    std::memcpy(head.data() + kLengthAt, &length, sizeof length);
    std::memcpy(head.data() + kRunningAt, &running, sizeof running);
    std::ofstream(std::filesystem::path(path), std::ios::binary)
        << head << found->live_xml << "memory of " << uuid;
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
  std::ifstream file(std::filesystem::path(path), std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  std::uint32_t length = 0, running = 0;
  if (content.size() < kHeadBytes || !content.starts_with(kMagic))
    return fail(ErrorCode::kHypervisor, "{} holds no saved VM.", path);
  std::memcpy(&length, content.data() + kLengthAt, sizeof length);
  std::memcpy(&running, content.data() + kRunningAt, sizeof running);
  if (content.size() < kHeadBytes + length)
    return fail(ErrorCode::kHypervisor, "{} holds no saved VM.", path);
  const std::string live = xml.empty() ? content.substr(kHeadBytes, length) : std::string(xml);
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(live));
  Vm shown;
  {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(answering());
    ASSIGN_OR_RETURN(Machine* const found, machine(facts.vm.uuid));
    if (!found->live_xml.empty())
      return fail(ErrorCode::kConflict, "The VM {} runs already.", facts.vm.uuid);
    if (content.substr(kHeadBytes + length) != "memory of " + facts.vm.uuid)
      return fail(ErrorCode::kHypervisor, "The memory in {} is not that of the VM.", path);
    if (at_restore) RETURN_IF_ERROR(at_restore());
    found->live_xml = live;
    found->kind = running != 0 ? RunState::Kind::kRunning : RunState::Kind::kPaused;
    found->vm.state = running != 0 ? VmState::kRunning : VmState::kPaused;
    shown = found->vm;
  }
  publish(VmEvent::Kind::kStarted, shown);
  publish(VmEvent::Kind::kResumed, shown);
  return {};
}

}  // namespace drover::fake
