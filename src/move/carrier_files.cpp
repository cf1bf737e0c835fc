// SPDX-License-Identifier: Apache-2.0
#include "move/carrier_files.h"

#include <system_error>

#include <unistd.h>

#include "base/percent.h"

namespace drover::move {

CarrierPaths carrier_paths(const CarrierOptions& options, const CarrierName& name) {
  const auto road = [&](std::string_view what) {
    return options.socket_folder /
           fmt::format("{}.{}.tunnelmigrate.dest.{}", name.move_id, what, name.vm_name);
  };
  const auto folder = options.run_folder / name.move_id;
  CarrierPaths paths{road("rpc"),           road("mem"), road("nbd"), folder / "gate.sock",
                     folder / "mover.sock", {},          {},          {}};
  paths.connection_uri =
      "qemu+unix:///system?socket=" + percent_encoded(paths.rpc.string(), Slash::kParts);
  paths.memory_uri = "unix://" + percent_encoded(paths.memory.string(), Slash::kParts);
  paths.disks_uri = "unix://" + percent_encoded(paths.disks.string(), Slash::kParts);
  return paths;
}

std::string writes_path(const CarrierOptions& options, const CarrierName& name) {
  return options.writes_folder / name.move_id;
}

void remove_carrier_files(const CarrierOptions& options, const CarrierName& name) {
  const CarrierPaths paths = carrier_paths(options, name);
  for (const auto& path : {paths.rpc, paths.memory, paths.disks}) ::unlink(path.c_str());
  std::error_code ignored;  // what is left is found by drover doctor
  std::filesystem::remove_all(paths.gate_control.parent_path(), ignored);
}

}  // namespace drover::move
