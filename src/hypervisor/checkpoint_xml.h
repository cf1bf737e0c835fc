// SPDX-License-Identifier: Apache-2.0
// Checkpoints as libvirt writes them down: the text of a snapshot, its <domainsnapshot>. It holds
// whole definitions that libvirt starts when somebody goes back to it, so at a destination it is
// judged like a definition. Pure; any thread. The text may come from a peer.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/vm.h"

namespace drover {

// One checkpoint, for a host that is to know it.
struct CheckpointText {
  std::string name;
  std::string xml;
  bool current = false;  // libvirt keeps it beside the text
};

// kInvalidArgument: no readable <domainsnapshot>.
Result<Checkpoint> parse_checkpoint(const CheckpointText& text);

// Every path that the text names: disks of its definitions, disks that it began, its memory. Each
// once, sorted.
Result<std::vector<std::string>> checkpoint_paths(std::string_view xml);

// The definitions within, each as a <domain>. kPolicy: the text has something beside what this
// release knows, and libvirt might read it.
Result<std::vector<std::string>> checkpoint_definitions(std::string_view xml);

// With each path that is a key of `paths` replaced by its value; all else stays as it is.
Result<std::string> adapt_checkpoint(std::string_view xml,
                                     const std::map<std::string, std::string>& paths);

}  // namespace drover
