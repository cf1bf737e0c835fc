// SPDX-License-Identifier: Apache-2.0
// What the disks of a live move stand on, and discs, that the destination does not have. It goes
// ahead, on a road of its own that has no gate, as whole files that nobody writes: the
// destination's hypervisor opens it as soon as it is asked to take the VM in.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "move/cold/cold_files.h"
#include "move/cold/cold_layers.h"
#include "move/live/live_move.h"

namespace drover::move {

StepResult LiveMove::bring_layers() {
  const auto layers = missing_layers(job_.move.plan);
  brought_ = {};
  if (layers.empty()) return {};
  // The destination takes no image that names another file.
  if (auto named = check_layer_names(job_.move.plan, AtSide::kSource); !named)
    return undo_because(named.error());
  const std::string what = fmt::format("the files that go ahead of {}", vm_name());
  if (auto prepared = ask_to_prepare(verb::kLayers, what); !prepared) return prepared;
  job_.files.clear();
  job_.carriers_started = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto opened = open_plain_road(); !opened) return undo_because(opened.error());
  if (auto sent = send_layers(layers); !sent) {
    forget_room();
    return sent;
  }
  if (auto closed = close_plain_road(); !closed) return undo_because(closed.error());
  brought_ = std::exchange(wire_, {});
  // Nothing of a disk has gone out yet (retry.h).
  change([](Move& move) { move.progress.disks = {}; });
  return {};
}

StepResult LiveMove::send_layers(const std::vector<ColdFile>& layers) {
  std::map<std::string, std::string> digests;  // by path there
  for (const ColdFile& layer : layers) {
    auto file = open_layer(layer.source_path);
    if (!file) return undo_because(file.error());
    auto digest = send_file(layer, std::move(*file), {0, {}, true});
    if (!digest) return std::unexpected(digest.error());
    digests[layer.destination_path] = std::move(*digest);
  }
  for (const auto& [path, digest] : digests) {
    if (auto same = compare_file(path, digest); !same) return same;
  }
  return {};
}

// Only of what goes ahead: the copy's own progress is libvirt's word.
void LiveMove::count_copied(Progress& progress) const {
  ByteCount total;
  for (const FilePlacement& file : job_.move.plan.files) {
    if (!file.shared && !file.present) total += file.allocated;
  }
  progress.disks.total = std::max(total, wire_.memory_taken);
  progress.disks.done = wire_.memory_taken;
}

}  // namespace drover::move
