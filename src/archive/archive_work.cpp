// SPDX-License-Identifier: Apache-2.0
#include "archive/archive_work.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/file_identity.h"
#include "move/slots.h"

namespace drover::archive {
namespace {

using namespace std::chrono_literals;
using move::KnownFile;
using move::Slots;

constexpr auto kTurnInterval = 500ms;
constexpr auto kUndoInterval = 2s;
// A file that was being made when droverd died is empty, or has an image's header.
constexpr std::uint64_t kUnbornMost = 1u << 20;

std::string_view noun(const Archive& archive) {
  return archive.request.kind == ArchiveKind::kExport ? "export" : "import";
}

Result<FileIdentity> identity_to_remove(const KnownFile& file) {
  if (file.inode != 0) return move::identity_of(file);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file(AT_FDCWD, file.path));
  if (!seen.regular || seen.allocated_bytes > kUnbornMost)
    return fail(ErrorCode::kConflict, "{} is not the empty file that was to be made.", file.path);
  return seen.identity;
}

Error restarted(const Archive& archive) {
  return {ErrorCode::kUnavailable,
          Retry::kNow,
          fmt::format("droverd was stopped during the {} of {}.", noun(archive), archive.vm_name),
          {}};
}

}  // namespace

Status ArchiveWork::save() {
  std::string text;
  journal::JobState state;
  {
    const std::lock_guard lock(mutex_);
    text = to_json(job_);
    state = job_.archive.state == ArchiveState::kRunning ? journal::JobState::kOpen
                                                         : journal::JobState::kEnded;
  }
  return world_.journal.save(journal::Side::kArchive, id(), state, text);
}

void ArchiveWork::change(const std::function<void(Archive&)>& edit) {
  const std::lock_guard lock(mutex_);
  edit(job_.archive);
}

void ArchiveWork::doing(std::string sentence) {
  change([&](Archive& archive) { archive.doing = std::move(sentence); });
}

void ArchiveWork::set_total(ByteCount total) {
  change([&](Archive& archive) { archive.bytes_total = total; });
}

Archive ArchiveWork::snapshot() const {
  const std::lock_guard lock(mutex_);
  Archive now = job_.archive;
  if (now.state == ArchiveState::kRunning)
    now.bytes_done = {std::min(bytes_done_.load(), now.bytes_total.bytes)};
  return now;
}

Status ArchiveWork::cancel() {
  const std::lock_guard lock(mutex_);
  if (job_.archive.state != ArchiveState::kRunning) {
    return fail(ErrorCode::kConflict, "The {} of {} has ended.", noun(job_.archive),
                job_.archive.vm_name);
  }
  if (closed_) {
    return fail(ErrorCode::kConflict, "The {} of {} is as good as done.", noun(job_.archive),
                job_.archive.vm_name);
  }
  job_.archive.cancel_asked = true;
  cancel_asked_ = true;
  return {};
}

Status ArchiveWork::close_to_cancels() {
  const std::lock_guard lock(mutex_);
  if (cancel_asked_) return fail(ErrorCode::kCancelled, "A user asked for an end.");
  closed_ = true;
  return {};
}

Status ArchiveWork::go_on() const {
  if (stop_.stop_requested()) return fail(ErrorCode::kUnavailable, "droverd stops.");
  if (cancel_asked_) return fail(ErrorCode::kCancelled, "A user asked for an end.");
  return {};
}

CopyWatch ArchiveWork::watch(BytesPerSecond bandwidth, std::vector<std::string> folders) {
  return {&bytes_done_, [this, folders = std::move(folders)] { return check_room(folders); },
          bandwidth};
}

Status ArchiveWork::check_room(std::span<const std::string> folders) const {
  RETURN_IF_ERROR(go_on());
  for (const std::string& folder : folders) {
    struct statvfs found{};
    if (::statvfs(folder.c_str(), &found) != 0) return fail_errno("Cannot look at " + folder);
    const ByteCount free{static_cast<std::uint64_t>(found.f_bfree) * found.f_frsize};
    if (free >= space_reserve_) continue;
    return fail(ErrorCode::kNoSpace,
                "{} on {} has only {} left, less than its space-reserve. Make room there: drover "
                "quarantine list shows what earlier moves keep.",
                folder, world_.host_name, to_text(free));
  }
  return {};
}

bool ArchiveWork::pause_for(std::chrono::milliseconds span) const {
  const auto end = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < end) {
    if (stop_.stop_requested()) return false;
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

// Disks of this host are read and written as by a storage move, so it is one of as many.
Status ArchiveWork::wait_for_turn() {
  while (true) {
    RETURN_IF_ERROR(go_on());
    const HostSettings settings = world_.book.settings();
    const auto limit = move::limit_of(Slots::Way::kStorage, settings);
    if (world_.slots.take(Slots::Way::kStorage, id(), limit)) return {};
    doing(move::full_text(world_.host_name, world_.slots.used(Slots::Way::kStorage), settings,
                          Slots::Way::kStorage));
    pause_for(kTurnInterval);
  }
}

void ArchiveWork::run(std::stop_token stop) {
  stop_ = std::move(stop);
  Status done = wait_for_turn();
  space_reserve_ = world_.book.settings().space_reserve;
  if (done) done = work();
  // The last step may have been done although it was not said, such as a rename before a failed
  // sync.
  if (!done) {
    if (const auto reached = is_done(); reached && *reached) done = {};
  }
  world_.slots.give_back(Slots::Way::kStorage, id());
  if (done) {
    finish(ArchiveState::kDone, done_text(), std::nullopt);
    return;
  }
  if (stop_.stop_requested()) return;  // the next droverd undoes it
  log::info("The {} of {} ({}) is undone: {}", noun(archive()), archive().vm_name, id(),
            done.error().text());
  if (!undo_all()) return;
  if (done.error().code == ErrorCode::kCancelled) {
    finish(ArchiveState::kCancelled, "It was cancelled; nothing is left of it.", std::nullopt);
  } else {
    finish(ArchiveState::kFailed, "Nothing is left of it.", std::move(done).error());
  }
}

void ArchiveWork::recover(std::stop_token stop) {
  stop_ = std::move(stop);
  doing("It was interrupted, and is being ended.");
  while (true) {
    const Result<bool> done = is_done();
    if (done && *done) return finish(ArchiveState::kDone, done_text(), std::nullopt);
    if (done) break;
    log::warning("The {} {}: {}", noun(archive()), id(), done.error().text());
    if (!pause_for(kUndoInterval)) return;
  }
  if (undo_all()) {
    finish(ArchiveState::kFailed, "It was interrupted; nothing is left of it. Begin it anew.",
           restarted(archive()));
  }
}

// False: droverd stops; the next one goes on.
bool ArchiveWork::undo_all() {
  doing("It is being undone.");
  while (true) {
    const Status undone = undo();
    if (undone) return true;
    log::warning("The {} {} is not undone yet: {}", noun(archive()), id(), undone.error().text());
    if (!pause_for(kUndoInterval)) return false;
  }
}

void ArchiveWork::finish(ArchiveState state, std::string explanation, std::optional<Error> error) {
  if (error) log::warning("The {} {} failed: {}", noun(archive()), id(), error->text());
  change([&](Archive& archive) {
    archive.bytes_done = {std::min(bytes_done_.load(), archive.bytes_total.bytes)};
    if (state == ArchiveState::kDone) archive.bytes_done = archive.bytes_total;
    archive.state = state;
    archive.doing.clear();
    archive.explanation = std::move(explanation);
    archive.error = std::move(error);
    archive.ended_at = std::chrono::system_clock::now();
  });
  // If this is lost, the next droverd finds nothing to undo, or all of it done.
  if (const Status saved = save(); !saved)
    log::error("The {} {}: {}", noun(archive()), id(), saved.error().text());
}

Result<UniqueFd> ArchiveWork::create(const std::string& item, const std::string& path,
                                     std::span<const std::string> allowed) {
  RETURN_IF_ERROR(check_nothing_at(path));
  job_.created.push_back(move::known_file(item, path, {}));
  RETURN_IF_ERROR(save());
  DiskPlacement empty;
  empty.target = item;
  empty.destination_path = path;
  empty.format = "raw";
  const auto identity = create_image(empty, allowed);
  if (!identity) {
    job_.created.pop_back();
    return std::unexpected(identity.error());
  }
  job_.created.back() = move::known_file(item, path, *identity);
  RETURN_IF_ERROR(save());
  UniqueFd file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile opened, see_file_behind(file.get(), path));
  if (!(opened.identity == *identity))
    return fail(ErrorCode::kConflict, "{} was replaced by another file.", path);
  return file;
}

Status ArchiveWork::remove_created() {
  while (!job_.created.empty()) {
    const KnownFile file = job_.created.back();
    if (const auto identity = identity_to_remove(file); identity) {
      if (const Status removed = remove_image(file.path, *identity); !removed) {
        if (removed.error().code != ErrorCode::kConflict) return removed;
        log::warning("The {} {}: {}", noun(archive()), id(), removed.error().text());
      }
      (void)world_.hypervisor.refresh_pool(std::filesystem::path(file.path).parent_path().string());
    } else if (identity.error().code != ErrorCode::kNotFound) {
      log::warning("The {} {}: {}", noun(archive()), id(), identity.error().text());
    }
    job_.created.pop_back();
    RETURN_IF_ERROR(save());
  }
  return {};
}

}  // namespace drover::archive
