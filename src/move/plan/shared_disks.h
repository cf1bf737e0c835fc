// SPDX-License-Identifier: Apache-2.0
// Disks that both hosts see: how the source proves which, and what counts as copied. Any thread.
#pragma once

#include <string_view>
#include <vector>

#include "hypervisor/image_mark.h"
#include "model/plan.h"
#include "move/world.h"
#include "preflight/preflight.h"

namespace drover::move {

// Marks on a VM's images, for as long as this object is there.
class DiskMarks {
 public:
  // Each disk that is a file, and, by their paths, the files below it and of checkpoints. What
  // cannot be marked is left out, and so never taken for shared.
  static DiskMarks on(const Vm& vm);
  // The images of the plan's shared placements. An error: one cannot be marked.
  static Result<DiskMarks> on_shared(const Plan& plan);

  std::vector<preflight::DiskMark> where() const;

 private:
  void add(const std::string& target, const std::string& path);

  struct Marked {
    std::string target;
    MarkedImage image;
  };
  std::vector<Marked> marked_;
};

// kProtocol: the destination calls a disk shared and has not found the mark that we made on it.
Status check_shared(const std::vector<preflight::DiskMark>& made,
                    const preflight::DestinationReport& report, std::string_view destination);

// The destination's mover reads them as held content: what of the guest's memory lies on its disks
// need not travel. Open for reading, most `most` of them; what cannot be opened is left out. None
// if the move does without references.
std::vector<UniqueFd> open_shared(World& world, const Plan& plan, std::size_t most);

// libvirt of the host that a guest has left, or did not come to, gives its images back to root
// where it does not know the file system as shared: a QEMU that runs could not open them again.
enum class Runs { kHere, kAtTheDestination };  // the guest, seen from the source
void keep_images_with_qemu(const Plan& plan, Runs runs);

std::vector<DiskPlacement> copied_disks(const Plan& plan);
// What takes room at the destination: these, and the files that it does not have, as if they were
// disks.
std::vector<DiskPlacement> room_for(const Plan& plan);
bool copies_disks(const Plan& plan);
bool shares_disks(const Plan& plan);
// A disk that is copied stands on files of the destination: only its own image is copied.
bool keeps_chains(const Plan& plan);

}  // namespace drover::move
