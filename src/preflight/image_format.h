// SPDX-License-Identifier: Apache-2.0
// Images that become others on the way: their names, and what stands against it. Pure; any thread.
#pragma once

#include <string>

#include "model/plan.h"
#include "preflight/finding.h"

namespace drover::preflight {

// "web.img" and "web.raw" become "web.qcow2", "web.qcow2" becomes "web.img"; other names stay.
std::string path_in_format(const std::string& path, const std::string& format);

// Of the disk's image before the move; DiskPlacement::format is what it becomes.
std::string format_now(const Plan& plan, const DiskPlacement& placement);

// Its image shall be of another format, or take other room. `format`: of the image now.
bool is_made_anew(const MoveRequest& request, const std::string& format);

// Of a disk whose image is made anew of what its guest sees: nothing that lies beside that in its
// image, or below it, goes along. `disk`: as its host measured it.
void check_made_anew(const Vm& vm, const MoveRequest& request, const Disk& disk,
                     Findings& findings);

}  // namespace drover::preflight
