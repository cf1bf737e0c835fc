// SPDX-License-Identifier: Apache-2.0
// Disk images as files: looked at, created for a move, put aside, removed. What is changed is named
// by its FileIdentity, never by path alone, and folders are synced before success is said. Each
// change may be asked for again after it was done. Any thread; two threads must not work on one
// image.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/file_identity.h"
#include "model/plan.h"

namespace drover {

struct ImageFacts {
  std::string format;
  ByteCount virtual_size;
  ByteCount allocated;
  ByteCount cluster_size;                  // qcow2 only
  std::vector<std::string> backing_chain;  // absolute paths, nearest first; or what QEMU opens
  std::vector<DiskLayer> layers;           // the same, measured
  std::uint32_t internal_snapshots = 0;
  bool encrypted = false;
  bool data_file = false;
};

// What the image holds once it stands on no other: at most this much.
ByteCount flattened(ByteCount allocated, ByteCount virtual_size, std::span<const DiskLayer> layers);

// Asks qemu-img, which may be done while QEMU uses the image. `format` is the definition's word: a
// raw image is never probed, for its guest could have written another format's header into it.
Result<ImageFacts> image_facts(const std::string& path, const std::string& format,
                               std::chrono::milliseconds limit = std::chrono::seconds(10));

Result<FileIdentity> file_identity(const std::string& path);
// kConflict: something is there. For before it is written down that a file is about to be made:
// after a crash nothing else may be taken for that file.
Status check_nothing_at(const std::string& path);

// Creates the empty image at placement.destination_path: its format, virtual size and cluster size,
// sparse, or, `full`, with the room of all of it (kNoSpace; kSystem: the file system keeps none
// free), 0600 and owned by us (libvirtd hands it to QEMU's user when it starts it). Raw and
// qcow2 only. kConflict: something is there already. kPermission: not beneath an allowed folder.
// Nothing is left on failure. With `below`, a qcow2 image that stands on that file, which is not
// looked at.
Result<FileIdentity> create_image(const DiskPlacement& placement,
                                  std::span<const std::string> allowed_folders,
                                  const FilePlacement* below = nullptr);

// Gives room to whatever has become a hole of an image that was created `full`. QEMU may write it
// meanwhile. kConflict: another file; kNoSpace.
Status fill_holes(const std::string& path, const FileIdentity& identity);

// Opens it for reading if it still is the one meant. kPermission: not beneath an allowed folder, or
// a link stands in the way; kConflict: another file, or none that holds bytes; kNotFound.
Result<UniqueFd> open_image(const std::string& path, const FileIdentity& identity,
                            std::span<const std::string> allowed_folders);

// Deletes the file if it still is the one meant. Nothing there is success; another file there is
// kConflict.
Status remove_image(const std::string& path, const FileIdentity& identity);

// NAME.drover-MOVE beside it.
std::string quarantine_path(std::string_view path, std::string_view move_id);
// Renames to quarantine_path and takes every right but the owner's to read it. Returns the new
// path.
Result<std::string> quarantine_image(const std::string& path, const FileIdentity& identity,
                                     std::string_view move_id);
// The way back, to `path`; kConflict if something is there. Gives the former mode back.
Status restore_image(const std::string& path, const FileIdentity& identity,
                     std::string_view move_id);

}  // namespace drover
