// SPDX-License-Identifier: Apache-2.0
// One export or import under way: what the archivist asks of it, and how both keep their journal,
// tell people, and are ended. The two: export_work.h, import_work.h. run() and undo() occupy the
// calling thread; cancel() and snapshot() may come from any.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/archive_job.h"
#include "archive/file_copy.h"
#include "base/error.h"
#include "hypervisor/disk_pictures.h"
#include "hypervisor/tpm_state.h"
#include "move/world.h"

namespace drover::archive {

struct ArchiveOptions {
  std::string version;                  // of this Drover
  std::string socket_folder;            // where QEMU may bind sockets: /run/libvirt/drover
  DiskPictures* pictures = nullptr;     // outlives every work
  std::string tpm_folder = kTpmFolder;  // where libvirt keeps the states of emulated TPMs
};

class ArchiveWork {
 public:
  virtual ~ArchiveWork() = default;
  ArchiveWork(const ArchiveWork&) = delete;
  ArchiveWork& operator=(const ArchiveWork&) = delete;

  // Writes it down: from then on a restart of droverd finds it. Before run().
  Status begin() { return save(); }
  // To the end, from the beginning. When it returns, the job has ended in the journal, or, after
  // `stop`, is left for the next droverd.
  void run(std::stop_token stop);
  // After a restart of droverd: ends what the journal holds. What was as good as done is done.
  void recover(std::stop_token stop);

  // kConflict: it is too late.
  Status cancel();
  // Ends an undo, or a last step, that does not succeed: what is left stays, and is named.
  // kConflict: nothing of it has failed that is tried again.
  Status give_up();
  Archive snapshot() const;

 protected:
  ArchiveWork(move::World& world, const ArchiveOptions& options, ArchiveJob job)
      : world_(world), options_(options), job_(std::move(job)) {}

  // What is to be done; an error is followed by undo().
  virtual Status work() = 0;
  // Takes back all that work() did. An error: try again. May run twice.
  virtual Status undo() = 0;
  // Whether a job that was interrupted had reached its end all the same, and that end is on stable
  // storage. An error: ask again.
  virtual Result<bool> is_done() = 0;
  // What follows once it is done; may run twice. An error is told, and undoes nothing; but after
  // kUnavailable and kTimeout it is tried again.
  virtual Status complete() { return {}; }
  // One sentence for people, of a job that is done.
  virtual std::string done_text() const = 0;

  Status save();
  void change(const std::function<void(Archive&)>& edit);
  void doing(std::string sentence);
  // From here on no cancel is taken. An error: one came before.
  Status close_to_cancels();
  // kCancelled; kUnavailable: droverd stops.
  Status go_on() const;
  // Bytes that are read count as done. The work ends before one of `folders` is full (space_reserve
  // of the settings): other VMs there would stand still.
  CopyWatch watch(BytesPerSecond bandwidth, std::vector<std::string> folders);
  Status check_room(std::span<const std::string> folders) const;
  void set_total(ByteCount total);
  std::atomic<std::uint64_t> bytes_done_{0};

  // Makes an empty file of a name that the journal knows before: for images and NVRAM.
  Result<UniqueFd> create(const std::string& item, const std::string& path,
                          std::span<const std::string> allowed);
  // Removes what create() and the like made, but for what a VM uses by now.
  Status remove_created();
  // Something of this job stays where it is.
  void leave(const std::string& path, const std::string& why);

  const Archive& archive() const { return job_.archive; }  // for the work's own thread
  const std::string& id() const { return job_.archive.id; }

  move::World& world_;
  const ArchiveOptions& options_;
  mutable std::mutex mutex_;  // guards job_.archive against snapshot(); the rest of job_ is the
                              // work's thread's own
  ArchiveJob job_;
  std::stop_token stop_;
  bool has_waited_ = false;  // for its turn: what was planned may not hold any more

 private:
  Status wait_for_turn();
  std::optional<bool> has_reached_end();
  void end_well();
  void finish(ArchiveState state, std::string explanation, std::optional<Error> error);
  enum class Undone { kAll, kGivenUp, kNotYet };
  Undone undo_all();
  Status remove(const move::KnownFile& file);
  void name_leftovers();
  std::string what_is_left() const;
  bool pause_for(std::chrono::milliseconds span) const;
  bool pause_for_giving_up();

  ByteCount space_reserve_;        // as it was when the work began
  std::vector<std::string> left_;  // of the work's thread: what stays, after the undo
  std::atomic<bool> cancel_asked_{false}, give_up_asked_{false};
  bool closed_ = false;   // under mutex_
  bool undoing_ = false;  // likewise: something failed that is tried again
};

}  // namespace drover::archive
