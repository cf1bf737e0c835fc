// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <fcntl.h>

namespace drover {

UniqueFd UniqueFd::duplicate() const { return UniqueFd(::fcntl(fd_, F_DUPFD_CLOEXEC, 3)); }

}  // namespace drover
