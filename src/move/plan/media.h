// SPDX-License-Identifier: Apache-2.0
// Discs in a VM's drives: what a plan says of them, by the request's word (model/plan.h, Media).
// Any thread.
#pragma once

#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "preflight/preflight.h"

namespace drover::move {

// The drives of the VM in which there is a file.
std::vector<Disk> media_in(const Vm& vm);

// If they are to be ejected: the definitions of `view` are as they will be then, and a note says of
// each disc what becomes of it.
Status take_media_out(preflight::SourceView& view, std::vector<Finding>& findings);

// Of a disc that is to be copied, which the destination lacks; which cannot be read at the source;
// or in whose place there is another file.
Finding disc_comes(const FilePlacement& disc, const std::string& destination);
Finding disc_is_unreadable(const FilePlacement& disc, const std::string& source);
Finding disc_is_another(const FilePlacement& disc, const std::string& destination);

// If the same are required: one that is not proven to be the same is a blocker.
void require_media(const MoveRequest& request, std::vector<Finding>& findings);

}  // namespace drover::move
