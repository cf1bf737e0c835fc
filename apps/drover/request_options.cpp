// SPDX-License-Identifier: Apache-2.0
#include "request_options.h"

namespace drover::cli {

void RequestOptions::add_to(CLI::App& command) {
  command
      .add_option("--disks-to", disks_to, "Folder at the destination where the disks shall land")
      ->type_name("FOLDER");
  CLI::Option* now =
      command.add_flag("--delete-now", delete_now,
                       "Delete the old disks once the VM runs at the destination; no way back");
  command.add_flag("--keep-source", keep_source, "Keep the old disks until somebody drops them")
      ->excludes(now);
}

MoveRequest RequestOptions::request(const std::string& vm_uuid,
                                    const std::string& destination) const {
  MoveRequest request;
  request.vm = vm_uuid;
  request.destination = destination;
  request.disks_to = disks_to;
  if (delete_now) request.disposal = SourceDisposal::kDeleteNow;
  if (keep_source) request.disposal = SourceDisposal::kKeepSource;
  return request;
}

}  // namespace drover::cli
