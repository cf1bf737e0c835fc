// SPDX-License-Identifier: Apache-2.0
#include "archive/archivist.h"

#include <algorithm>

#include <sys/resource.h>

#include "archive/acceptance.h"
#include "archive/export_work.h"
#include "archive/import_work.h"
#include "base/log.h"
#include "base/random.h"

namespace drover::archive {
namespace {

constexpr int kKept = 50;
constexpr std::size_t kIdCharacters = 8;
// Guests and moves go first.
constexpr int kNiceness = 5;
constexpr auto kLook = std::chrono::milliseconds(10);

bool goes_on(const Archive& archive) { return archive.state == ArchiveState::kRunning; }

}  // namespace

Status Archivist::recover() {
  ASSIGN_OR_RETURN(const auto texts, world_.journal.newest_jobs(journal::Side::kArchive, kKept));
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(ArchiveJob job, archive_job_from_json(text));
    if (!goes_on(job.archive)) {
      const std::lock_guard lock(mutex_);
      ended_.push_back(std::move(job.archive));
    }
  }
  ASSIGN_OR_RETURN(const auto open, world_.journal.open_jobs(journal::Side::kArchive));
  for (const std::string& text : open) {
    ASSIGN_OR_RETURN(ArchiveJob job, archive_job_from_json(text));
    log::info("The {} of {} ({}) was interrupted.", archive_kind_name(job.archive.request.kind),
              job.archive.vm_name, job.archive.id);
    std::unique_ptr<ArchiveWork> work;
    if (job.archive.request.kind == ArchiveKind::kExport)
      work = std::make_unique<ExportWork>(world_, options_, std::move(job), std::nullopt);
    else
      work = std::make_unique<ImportWork>(world_, options_, std::move(job), std::nullopt);
    launch(std::move(work), &ArchiveWork::recover);
  }
  return {};
}

bool Archivist::stop(std::chrono::milliseconds limit) {
  std::vector<std::shared_ptr<Running>> all;
  {
    const std::lock_guard lock(mutex_);
    all = running_;
  }
  for (const auto& one : all) one->thread.request_stop();
  const auto end = std::chrono::steady_clock::now() + limit;
  for (const auto& one : all) {
    while (!one->over && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(kLook);
    if (one->over && one->thread.joinable()) one->thread.join();
  }
  return std::ranges::all_of(all, [](const auto& one) { return one->over.load(); });
}

std::string Archivist::owner(std::string_view vm_uuid) const {
  const std::string move = neighbours_.moving ? neighbours_.moving(vm_uuid) : std::string();
  return move.empty() ? busy(vm_uuid) : move;
}

Result<std::unique_ptr<ArchiveWork>> Archivist::prepare(const ArchiveRequest& request,
                                                        std::string id) {
  ArchiveJob job;
  const auto described = [&](const Archive& planned) {
    job.archive = planned;
    job.archive.id = id;
    if (!id.empty()) job.archive.state = ArchiveState::kRunning;
    return job;
  };
  if (request.kind == ArchiveKind::kImport) {
    const auto everywhere = neighbours_.everywhere ? neighbours_.everywhere() : std::vector<Vm>();
    ASSIGN_OR_RETURN(PlannedImport planned,
                     plan_import(world_, request, options_.tpm_folder, everywhere));
    return std::make_unique<ImportWork>(world_, options_, described(planned.archive), planned);
  }
  ASSIGN_OR_RETURN(PlannedExport planned,
                   plan_export(world_, request, options_.tpm_folder,
                               [this](std::string_view uuid) { return owner(uuid); }));
  return std::make_unique<ExportWork>(world_, options_, described(planned.archive), planned);
}

Result<Archive> Archivist::plan(const ArchiveRequest& request) {
  ASSIGN_OR_RETURN(const auto work, prepare(request, ""));
  return work->snapshot();
}

Status Archivist::check_free(const Archive& archive) const {
  const std::lock_guard lock(mutex_);
  for (const auto& one : running_) {
    const Archive other = one->work->snapshot();
    if (!goes_on(other)) continue;
    if (other.vm_uuid == archive.vm_uuid || other.vm_name == archive.vm_name) {
      return fail(ErrorCode::kConflict, "{} is being {} already ({}). See it: drover archives.",
                  archive.vm_name,
                  other.request.kind == ArchiveKind::kExport ? "exported" : "imported", other.id);
    }
    if (other.request.kind == ArchiveKind::kExport &&
        other.request.folder == archive.request.folder) {
      return fail(ErrorCode::kConflict, "{} is being exported to {} ({}).", other.vm_name,
                  other.request.folder, other.id);
    }
  }
  return {};
}

Result<Archive> Archivist::start(const ArchiveRequest& request) {
  const std::lock_guard starting(starting_);
  reap();
  ASSIGN_OR_RETURN(auto work, prepare(request, random_name(kIdCharacters)));
  const Archive begun = work->snapshot();
  RETURN_IF_ERROR(check_acceptance(begun));
  Vm vm;
  vm.uuid = begun.vm_uuid;
  vm.name = begun.vm_name;
  RETURN_IF_ERROR(neighbours_.while_free ? neighbours_.while_free(vm, [&] { return begin(work); })
                                         : begin(work));
  log::info("{} {} of {}, folder {}, asked by {}.",
            request.kind == ArchiveKind::kExport ? "Export" : "Import", begun.id, begun.vm_name,
            request.folder, request.requested_by);
  return begun;
}

// From then on busy() tells of it.
Status Archivist::begin(std::unique_ptr<ArchiveWork>& work) {
  RETURN_IF_ERROR(check_free(work->snapshot()));
  RETURN_IF_ERROR(work->begin());
  launch(std::move(work), &ArchiveWork::run);
  return {};
}

void Archivist::launch(std::unique_ptr<ArchiveWork> work,
                       void (ArchiveWork::*how)(std::stop_token)) {
  auto entry = std::make_shared<Running>();
  entry->work = std::move(work);
  Running* const it = entry.get();
  const std::lock_guard lock(mutex_);
  running_.push_back(std::move(entry));
  it->thread = std::jthread([it, how](std::stop_token stop) {
    // Of this thread, and of those and the programs that it begins.
    (void)::setpriority(PRIO_PROCESS, 0, kNiceness);
    ((*it->work).*how)(std::move(stop));
    it->over = true;
  });
}

// Threads of those that have ended are joined here, where nobody waits long for them.
void Archivist::reap() {
  std::vector<std::shared_ptr<Running>> dead;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(running_, [&](const auto& one) {
      Archive now = one->work->snapshot();
      if (goes_on(now)) return false;
      ended_.insert(ended_.begin(), std::move(now));
      dead.push_back(one);
      return true;
    });
    if (ended_.size() > kKept) ended_.resize(kKept);
  }
}

std::vector<Archive> Archivist::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Archive> all;
  for (auto one = running_.rbegin(); one != running_.rend(); ++one)
    all.push_back((*one)->work->snapshot());
  all.insert(all.end(), ended_.begin(), ended_.end());
  return all;
}

Result<Archive> Archivist::find(std::string_view id) const {
  for (Archive& one : list()) {
    if (one.id == id) return std::move(one);
  }
  return fail(ErrorCode::kNotFound, "There is no export or import {}.", id);
}

Result<Archive> Archivist::cancel(std::string_view id) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& one : running_) {
      if (one->work->snapshot().id != id) continue;
      RETURN_IF_ERROR(one->work->cancel());
      return one->work->snapshot();
    }
  }
  ASSIGN_OR_RETURN(const Archive ended, find(id));
  return fail(ErrorCode::kConflict, "The {} of {} has ended.",
              archive_kind_name(ended.request.kind), ended.vm_name);
}

Result<Archive> Archivist::give_up(std::string_view id) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& one : running_) {
      if (one->work->snapshot().id != id) continue;
      RETURN_IF_ERROR(one->work->give_up());
      return one->work->snapshot();
    }
  }
  ASSIGN_OR_RETURN(const Archive ended, find(id));
  return fail(ErrorCode::kConflict, "The {} of {} has ended.",
              archive_kind_name(ended.request.kind), ended.vm_name);
}

std::string Archivist::busy(std::string_view vm_uuid) const {
  const std::lock_guard lock(mutex_);
  for (const auto& one : running_) {
    const Archive now = one->work->snapshot();
    if (goes_on(now) && now.vm_uuid == vm_uuid) return now.id;
  }
  return {};
}

}  // namespace drover::archive
