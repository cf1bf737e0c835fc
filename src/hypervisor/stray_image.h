// SPDX-License-Identifier: Apache-2.0
// An image that came from elsewhere, before QEMU or qemu-img may see it: its header could name any
// file or server that they would then open. Only the header is read, by our own code. Any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "hypervisor/disk_image.h"

namespace drover {

// `file`: open for reading. `format`: "raw" or "qcow2". Of `backing_chain` only the first, as the
// header names it; printable; of `layers` the same, with the format that the header says, which may
// be none. kCorrupt: no such image, or one of a version that QEMU knows and we
// do not.
Result<ImageFacts> stray_image_facts(int file, std::string_view name, std::string_view format);

// The whole of a qcow2's own tables, by qemu-img, which ends with the calling thread; leaked
// clusters are no fault, and what it is based on is not opened. REQUIRES: its data are in no other
// file. kCorrupt: it is damaged. `go_on` is asked again and again; its error ends it.
Status check_image_tables(const std::string& path, const std::function<Status()>& go_on);

}  // namespace drover
