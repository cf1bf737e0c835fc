// SPDX-License-Identifier: Apache-2.0
// The disks of a VM that runs here, read through its QEMU as its guest would read them, and which
// blocks its guest has written since its first instruction here (gate/write_watch.h): the
// destination's side of the proof "as read back" (docs/proof.md). One thread. What QEMU answers is
// not trusted to have any shape.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "content/content_name.h"
#include "content/written_disk.h"
#include "hypervisor/hypervisor.h"
#include "model/plan.h"
#include "mover/nbd_dirty_map.h"
#include "mover/nbd_reader.h"

namespace drover::move {

// Whether the destination's disks are to be read back.
bool is_read_back(const Plan& plan);

class LiveDisks {
 public:
  // Has QEMU serve its disks, read-only, at `socket`, which only QEMU and root can reach. What an
  // earlier droverd left there ends first. kConflict: QEMU serves disks to somebody else, such as a
  // backup. kUnavailable, kTimeout: ask again.
  static Result<std::unique_ptr<LiveDisks>> open(Hypervisor& hypervisor, std::string uuid,
                                                 std::string move, std::filesystem::path socket);
  // QEMU serves nothing more; the watch goes on.
  ~LiveDisks();
  LiveDisks(const LiveDisks&) = delete;
  LiveDisks& operator=(const LiveDisks&) = delete;

  // kNotFound: what the guest writes to this disk is not watched. `alias`: libvirt's, of the disk.
  Status find(const std::string& alias);
  // Names of blocks as they are now. REQUIRES: find(alias) succeeded.
  Result<std::vector<content::Name>> names(const std::string& alias, std::uint64_t first_block,
                                           std::size_t count);
  // What the guest may have written of these blocks before this call: every write that began
  // before it counts. REQUIRES: as above.
  Result<std::vector<mover::DirtyRange>> written(const std::string& alias,
                                                 std::uint64_t first_block, std::size_t count);

 private:
  LiveDisks(Hypervisor& hypervisor, std::string uuid, std::string move,
            std::filesystem::path socket);
  Status serve();
  std::string next_name();
  Result<UniqueFd> connect() const;
  Result<mover::NbdReader*> reader(const std::string& alias);
  Status show(const std::string& id, const std::string& node, const std::string& bitmap);
  Result<std::vector<mover::DirtyRange>> read_bitmap(const std::string& node,
                                                     const std::string& bitmap,
                                                     std::uint64_t offset, std::uint64_t length);

  Hypervisor& hypervisor_;
  const std::string uuid_, move_;
  const std::filesystem::path socket_;
  std::map<std::string, std::string> nodes_;  // by alias: what the guest writes to
  std::map<std::string, std::unique_ptr<mover::NbdReader>> readers_;  // by alias
  const std::string session_ = random_name(6);
  std::uint64_t exports_ = 0;  // made so far
};

// Ends the watch on all disks and whatever of LiveDisks is left. Nothing there is success, as is
// a VM that does not run.
Status end_watch(Hypervisor& hypervisor, const std::string& uuid, const std::string& move);

}  // namespace drover::move
