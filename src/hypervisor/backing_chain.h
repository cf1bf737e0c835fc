// SPDX-License-Identifier: Apache-2.0
// What an image says that it is built on, read from its own header: cheap enough to be asked of
// every disk of every VM, so that no file is put aside or removed that some disk stands on. Any
// thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/file_identity.h"

namespace drover {

inline constexpr std::size_t kBackingChainMax = 64;

// Nearest first, and every further file that an image of them consists of (data files of qcow2,
// parts of VMDK): what the disk needs. Formats: qcow2, QED, VMDK; names may be QEMU's "json:". What
// is no local path ("nbd://...") ends the list and is not in it, as does a file that cannot be
// read; of a raw image nothing is read, for a guest can write any header. A layer counts as what it
// begins like.
std::vector<std::string> backing_chain_of(const std::string& path, const std::string& format);

// The name as a qcow2 image has it: a path, maybe a relative one; nothing: it is built on nothing.
std::optional<std::string> backing_name_of(const std::string& path);

// What a copy of that image at `at` calls the file `below`, both whole paths: by a relative name if
// the image itself, which says `name`, does so.
std::string backing_name_at(const std::string& name, const std::string& at,
                            const std::string& below);

// Writes another name into a qcow2 image that nobody uses, and onto stable storage; nothing else of
// it changes, and the image of that name is not looked at. `image`: open for writing; `path` is for
// messages.
Status write_backing_name(int image, const std::string& path, const std::string& name,
                          const std::string& format_below);
// Likewise where the image has to be opened. kConflict: it is not the file meant.
Status set_backing_name(const std::string& path, const FileIdentity& identity,
                        const std::string& name, const std::string& format_below);

}  // namespace drover
