// SPDX-License-Identifier: Apache-2.0
// Network cards of this host that the guest can live without (hypervisor/teaming.h): unplugged
// before anything of it is copied, its network goes on by the virtio card beside; plugged in again
// if the move is undone. Written down before.
#include <algorithm>

#include "base/log.h"
#include "hypervisor/teaming.h"
#include "move/peer_move.h"
#include "move/retry.h"
#include "preflight/codes.h"

namespace drover::move {
namespace {

std::optional<TeamedDevice> card_in(const std::string& xml) {
  auto read = teamed_devices("<domain><devices>" + xml + "</devices></domain>");
  if (!read || read->empty()) return std::nullopt;
  return std::move(read->front());
}

}  // namespace

StepResult PeerMove::unplug_teamed() {
  // The definitions that travel are without them only if the plan saw them.
  const bool planned = std::ranges::any_of(job_.move.plan.findings, [](const Finding& finding) {
    return finding.code == preflight::code_name(preflight::Code::kNicTeamed);
  });
  if (!planned) return {};
  const auto cannot = [&](const Error& error, const std::string& card) {
    return undo_because(
        wrap(error, fmt::format("{} of {} cannot be unplugged on {}, before the copy. Fix: look in "
                                "the guest whether its driver can be removed, or unplug it by hand "
                                "(on {}, virsh detach-device), and start the move again.",
                                card, vm_name(), job_.move.source, job_.move.source)));
  };
  const auto text = world_.hypervisor.definition(uuid(), DefinitionKind::kLive);
  if (!text) return cannot(text.error(), "The network card");
  const auto devices = teamed_devices(*text);
  if (!devices) return cannot(devices.error(), "The network card");
  if (devices->empty()) return {};
  for (const TeamedDevice& device : *devices) {
    // Of an attempt before this one.
    std::erase_if(job_.unplugged, [&](const std::string& xml) {
      const auto card = card_in(xml);
      return card && card->label == device.label;
    });
    job_.unplugged.push_back(device.xml);
  }
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (!unplug_asked_) unplug_asked_.emplace();
  for (const TeamedDevice& device : *devices) {
    unplug_asked_->insert(device.label);
    const Status out = world_.hypervisor.unplug(uuid(), device);
    // A refusal was said before the guest was asked.
    if (out || !is_unanswered(out.error())) unplug_asked_->erase(device.label);
    if (!out) return cannot(out.error(), fmt::format("The network card {}", device.label));
    log::info("Move {}: the card {} of {} was unplugged.", job_.move.id, device.label,
              job_.move.plan.vm.name);
  }
  return {};
}

std::vector<std::string> PeerMove::unplugged_cards() const {
  std::vector<std::string> labels;
  for (const std::string& xml : job_.unplugged) {
    if (auto card = card_in(xml)) labels.push_back(std::move(card->label));
  }
  return labels;
}

// False: droverd stops in between. What is not back stays written down: the undo of a later attempt
// tries again.
bool PeerMove::plug_teamed() {
  for (const std::string& xml : std::vector(job_.unplugged)) {
    const auto card = card_in(xml);
    if (!card) {
      log::error("Move {}: a card that was unplugged cannot be read: {}", job_.move.id, xml);
      continue;
    }
    const auto plugged = plug_again(*card);
    if (!plugged) return false;
    if (!*plugged) continue;
    std::erase(job_.unplugged, xml);
    (void)save();
  }
  return true;
}

// libvirt says that a card is there for as long as the guest has not let it go, and it then goes.
std::optional<Status> PeerMove::plug_again(const TeamedDevice& device) {
  bool may_go = false;
  auto plugged = put_back(fmt::format("the card {}", device.label), [&]() -> Status {
    ASSIGN_OR_RETURN(may_go, may_still_go(device));
    if (may_go) return fail(ErrorCode::kTimeout, "The guest has not let it go.");
    return world_.hypervisor.plug(uuid(), device);
  });
  if (plugged && *plugged && unplug_asked_) unplug_asked_->erase(device.label);
  if (!plugged || *plugged) return plugged;
  const std::string what = may_go ? "was to be unplugged, and the guest may still let it go"
                                  : fmt::format("is not plugged in again, for libvirt refuses: {}",
                                                plugged->error().text());
  tell_not_back(fmt::format(
      "The network card {0} of {1} {2}{3} Its virtio card goes on without it. Fix: on {4}, look "
      "for "
      "the card in virsh dumpxml {1}; if it is gone, put its element of virsh dumpxml --inactive "
      "{1} into card.xml and run virsh attach-device {1} card.xml --live.",
      device.label, vm_name(), what, may_go ? "." : "", job_.move.source));
  return plugged;
}

Result<bool> PeerMove::may_still_go(const TeamedDevice& device) const {
  if (unplug_asked_ && !unplug_asked_->contains(device.label)) return false;
  // Its QEMU has ended, and so has what it was asked.
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(uuid()));
  if (state.kind == RunState::Kind::kOff || state.kind == RunState::Kind::kAbsent) return false;
  ASSIGN_OR_RETURN(const std::string text,
                   world_.hypervisor.definition(uuid(), DefinitionKind::kLive));
  ASSIGN_OR_RETURN(const auto there, teamed_devices(text));
  return std::ranges::find(there, device.label, &TeamedDevice::label) != there.end();
}

}  // namespace drover::move
