// SPDX-License-Identifier: Apache-2.0
// The durable record of a move on either side: what the journal keeps beyond the Move that people
// see. Every member is written before what it speaks of is done, so that an undo after a crash
// finds everything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/checkpoint_xml.h"
#include "hypervisor/file_identity.h"
#include "model/move.h"

namespace drover::move {

// A file named by what it is, not only by its path: nothing else is ever deleted or renamed.
struct KnownFile {
  std::string target;  // disk target, or "nvram"
  std::string path;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t born_ns = 0;  // this and `boot`: see FileIdentity
  std::string boot = {};
  // Of a volume of that pool of block devices, which is no file: libvirt's key of it; empty: about
  // to be made.
  std::string pool = {};
  std::string key = {};
};
KnownFile known_file(std::string target, std::string path, const FileIdentity& identity);
FileIdentity identity_of(const KnownFile& file);

// An image, as nobody had written it since.
struct ImageStamp {
  std::string path;
  std::uint64_t size_bytes = 0;
  std::int64_t written_ns = 0;  // its last write, since 1970; of a block device (volumes.h) how
                                // many sectors were written to it
  bool operator==(const ImageStamp&) const = default;
};

// Our side is the source.
struct SourceJob {
  Move move;
  std::string persistent_xml;              // the source's definition, for undo and for the journal
  std::string destination_xml;             // what QEMU is started with there
  std::string destination_persistent_xml;  // what is kept there
  bool autostart = false;  // as it was; cleared on the source while records are open
  bool autostart_cleared = false;
  bool carriers_started = false;  // gate, mover and sockets may exist
  bool migrate_called = false;    // libvirt may be at work
  bool reserved = false;          // the destination may hold something for us
  std::string left_epoch;         // of an attempt before this one, whose undo it has not heard of
  bool abandon = false;           // the destination was said to be lost, and is to be told so
  bool refusal_proven =
      false;  // the destination, or our own gate, proved that the guest never ran there
  std::vector<KnownFile> files;  // the copied disks and NVRAM on the source; never a shared disk
  KnownFile fence_image;         // fence_image.h; inode 0: copied disks are the fence

  std::vector<KnownFile> layers = {};  // of the plan's files (FilePlacement), as it saw them here
  std::vector<CheckpointText> checkpoints = {};              // as libvirt here knows them
  std::vector<CheckpointText> destination_checkpoints = {};  // the same, as they will be there
  bool checkpoints_forgotten = false;                        // libvirt here may know them no more
  // Of a storage move, as it was: with what kept memory goes on; empty: it was not told otherwise.
  std::string saved_xml = {};

  std::vector<std::string> unplugged =
      {};                               // cards (hypervisor/teaming.h) taken out, or about to be
  std::vector<KnownFile> ejected = {};  // discs taken out for it, or about to be: drive and path
  // Likewise of its next boot, where that had another one in such a drive, or none: no path.
  std::vector<KnownFile> ejected_next = {};

  // Of a quick or offline move only.
  bool undefined = false;       // the VM may have been taken from libvirt here
  bool save_called = false;     // its memory may be in carriage.state_file(), and its QEMU ended
  bool restore_called = false;  // and may run again from there
  std::vector<ImageStamp> saved_images = {};  // once it was saved; none: not known

  // Of a storage move only.
  std::vector<KnownFile> created;     // the new images; inode 0: about to be made
  std::vector<std::string> begun;     // disks whose copying by QEMU was asked for
  std::vector<std::string> switched;  // disks that QEMU was told to use the copy of
};

// Our side is the destination.
struct DestinationJob {
  std::string move_id;
  std::string epoch;
  std::string peer;  // the source, as we call it
  Plan plan;
  std::string destination_xml;
  std::string persistent_xml;
  std::vector<CheckpointText> checkpoints = {};
  std::string link_key;  // hex; wiped once the mover has it
  std::string link_identity;
  bool prepared = false;
  bool recorded = true;  // there may be an ownership record and a gate
  bool settled = false;
  bool never_ran = false;  // accepted, and proven to have ended unrun: the source was told so
  bool unwatched = false;  // droverd itself let the guest run: what it wrote first is not known
  bool undoing = false;    // it never runs here by this move; what was made for it is being removed
  bool undone = false;
  bool abandoned = false;          // accepted, and taken back when this host was said to be lost
  std::vector<KnownFile> created;  // images made for this move; inode 0: about to be made

  // Of a quick or offline move only, each after `accepted` was recorded.
  bool defined = false;         // libvirt here has the VM
  bool restore_called = false;  // it may run from its saved state
  bool restored = false;        // it has run
};

std::string to_json(const SourceJob&);
std::string to_json(const DestinationJob&);
Result<SourceJob> source_job_from_json(std::string_view text);
Result<DestinationJob> destination_job_from_json(std::string_view text);

}  // namespace drover::move
