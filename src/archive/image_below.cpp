// SPDX-License-Identifier: Apache-2.0
#include "archive/image_below.h"

#include <chrono>

#include <unistd.h>

#include "hypervisor/program.h"

namespace drover::archive {

Status set_below(int image, const std::string& name, const std::string& below,
                 const std::string& format_below) {
  const auto said = run_program({.arguments = {"qemu-img", "rebase", "-q", "-u", "-f", "qcow2",
                                               "-F", format_below, "-b", below, "/proc/self/fd/3"},
                                 .descriptor = image,
                                 .limit = std::chrono::seconds(30)});
  if (!said) {
    return std::unexpected(
        wrap(said.error(), fmt::format("{} cannot be based on {}.", name, below)));
  }
  if (::fsync(image) != 0) return fail_errno("Cannot sync " + name);
  return {};
}

}  // namespace drover::archive
