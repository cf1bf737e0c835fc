// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/fence_image.h"

#include <chrono>

#include <fcntl.h>
#include <sys/mman.h>

#include "hypervisor/program.h"

namespace drover {
namespace {

// qcow2, not raw: QEMU takes the right to write to an image for its own tables even if no guest
// device asks for it.
constexpr const char* kGuestBytes = "65536";

}  // namespace

// In memory: no folder has to allow it, and no profile of AppArmor speaks of it.
Result<FenceImage> make_fence_image() {
  FenceImage image;
  image.for_qemu = UniqueFd(::memfd_create("drover-fence", MFD_CLOEXEC));
  if (!image.for_qemu) return fail_errno("Cannot make the fence's image");
  RETURN_IF_ERROR(run_program(
      {.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "/proc/self/fd/3", kGuestBytes},
       .descriptor = image.for_qemu.get(),
       .limit = std::chrono::seconds(30)}));
  const std::string path = fmt::format("/proc/self/fd/{}", image.for_qemu.get());
  image.for_lock = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!image.for_lock) return fail_errno("Cannot open the fence's image");
  ASSIGN_OR_RETURN(SeenFile seen, see_file_behind(image.for_lock.get(), "the fence's image"));
  image.identity = std::move(seen.identity);
  return image;
}

}  // namespace drover
