// SPDX-License-Identifier: Apache-2.0
// The exports and imports of this host (docs/export.md): planned, begun, kept in the journal, ended
// after a restart, listed, cancelled. One thread for each that goes on. Any thread may call any
// function.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "archive/archive_work.h"
#include "base/error.h"
#include "model/archive.h"
#include "model/vm.h"
#include "move/world.h"

namespace drover::archive {

class Archivist {
 public:
  struct Neighbours {
    // The id of the move that a VM of this host is in, or nothing.
    std::function<std::string(std::string_view uuid)> moving;
    // VMs of this host and of paired ones; may take seconds.
    std::function<std::vector<Vm>()> everywhere;
    // Calls `begin` while no move has the VM and none can begin; else kConflict. After that busy()
    // keeps moves away. None: nothing moves here.
    std::function<Status(const Vm& vm, const std::function<Status()>& begin)> while_free = {};
  };
  Archivist(move::World& world, Neighbours neighbours, ArchiveOptions options)
      : world_(world), neighbours_(std::move(neighbours)), options_(std::move(options)) {}
  ~Archivist() { stop(std::chrono::hours(24)); }

  // Ends what the journal holds: undone, or done if it was as good as that. Call once.
  Status recover();
  // Leaves everything to the next droverd, and waits for the threads, as long as `limit` at most:
  // one may hang in libvirt. False: some go on, and nothing that they use may be destroyed.
  bool stop(std::chrono::milliseconds limit);

  // What it would do, without an id. kNotFound: no such VM or folder; kPermission, kCorrupt,
  // kPolicy: a folder that cannot be imported. Blockers are findings.
  Result<Archive> plan(const ArchiveRequest& request);
  // kBlocked: the plan has blockers, or warnings that were not accepted. kConflict: another job has
  // this VM.
  Result<Archive> start(const ArchiveRequest& request);
  // Newest first.
  std::vector<Archive> list() const;
  Result<Archive> find(std::string_view id) const;
  Result<Archive> cancel(std::string_view id);
  // Ends an undo that does not succeed; kConflict: it is not being undone.
  Result<Archive> give_up(std::string_view id);

  // The id of the job that has a VM, or nothing.
  std::string busy(std::string_view vm_uuid) const;

 private:
  struct Running {
    std::unique_ptr<ArchiveWork> work;
    std::atomic<bool> over{false};  // the thread touches nothing any more
    std::jthread thread;
  };
  Result<std::unique_ptr<ArchiveWork>> prepare(const ArchiveRequest& request, std::string id);
  std::string owner(std::string_view vm_uuid) const;
  Status check_free(const Archive& archive) const;
  Status begin(std::unique_ptr<ArchiveWork>& work);
  void launch(std::unique_ptr<ArchiveWork> work, void (ArchiveWork::*how)(std::stop_token));
  void reap();

  move::World& world_;
  const Neighbours neighbours_;
  const ArchiveOptions options_;
  std::mutex starting_;       // one start at a time: two of one VM must see each other
  mutable std::mutex mutex_;  // guards all below; taken after starting_
  std::vector<std::shared_ptr<Running>> running_;
  std::vector<Archive> ended_;  // newest first, at most kKept
};

}  // namespace drover::archive
