// SPDX-License-Identifier: Apache-2.0
// Memory that VMs had when they left this host, for their way back (docs/residue.md): files without
// a name, encrypted under keys that are nowhere but here. So it ends with this process, and there
// is nothing to recover. Any thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/unique_fd.h"
#include "content/page_cipher.h"
#include "model/host.h"
#include "model/move.h"
#include "model/plan.h"

namespace drover::move {

struct World;

struct MemoryFile {
  UniqueFd file;
  content::PageKey key{};

  MemoryFile() = default;
  MemoryFile(MemoryFile&&) = default;
  MemoryFile& operator=(MemoryFile&&) = default;
  ~MemoryFile();  // the key is overwritten
  MemoryFile for_reading() const;
};

class MemoryStore {
 public:
  // `file` is empty and takes the memory of a VM that is about to leave; what is given back is for
  // its mover. What would be too much with it is dropped, the oldest first. Nothing: it alone is.
  std::optional<MemoryFile> begin(const Move& move, UniqueFd file, const HostSettings& limits);
  // The VM has left: its memory is kept from now on, in place of what was kept of it before.
  void keep(const Move& move);
  // False: there is none of this move.
  bool drop(std::string_view move_id);
  void drop_of_vm(std::string_view vm_uuid);
  // What is kept of a VM that left for this very peer, open for reading. Null: nothing.
  std::shared_ptr<const MemoryFile> find(std::string_view vm_uuid, std::string_view peer) const;
  // As the API shows them: without a kept_path.
  std::vector<QuarantinedDisk> list(const HostSettings& limits) const;
  // Drops what is too old or too much.
  void expire(const HostSettings& limits);

 private:
  struct Entry {
    std::string vm_uuid, vm_name, peer;
    ByteCount memory;  // of the VM: the file's most
    std::chrono::system_clock::time_point since;
    bool left = false;  // else the move is under way
    MemoryFile stored;
  };
  void make_room(ByteCount most);  // under the lock

  mutable std::mutex mutex_;                           // guards entries_
  std::map<std::string, Entry, std::less<>> entries_;  // by move
};

// For the mover of a move that begins, if the request says so and there is room; else null, and the
// log says why.
std::shared_ptr<MemoryFile> begin_memory(World& world, const Move& move);

// The plan's lines: at the source that memory will not be kept although it shall, at the
// destination that there is some.
std::optional<Finding> memory_not_kept(const MoveRequest& request, const Vm& vm,
                                       const HostSettings& settings);
std::optional<Finding> memory_note(World& world, const Vm& vm, std::string_view peer);

}  // namespace drover::move
