// SPDX-License-Identifier: Apache-2.0
// The doctor's look at what moves left on this host. Nothing of a VM whose record says accepted, or
// of which nothing is known, is ever called stale.
#include <algorithm>
#include <sstream>

#include <sys/stat.h>

#include "base/file.h"
#include "move/cold/cold_files.h"
#include "move/doctor/doctor_checks.h"
#include "preflight/placement.h"

namespace drover::move::doctor {
namespace {

namespace fs = std::filesystem;

constexpr int kJobsMost = 1000;            // looked at, of each side
constexpr std::size_t kNamesMost = 20000;  // in one folder
constexpr std::size_t kIdLength = 8;
constexpr auto kDropDelay = std::chrono::minutes(5);  // quarantine is looked at once a minute

bool is_move_id(std::string_view id) {
  return id.size() == kIdLength && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
         });
}

std::optional<FileIdentity> identity_at(const std::string& path) {
  auto identity = file_identity(path);
  if (!identity) return {};
  return std::move(*identity);
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code trouble;
  fs::directory_iterator at(folder, trouble);
  for (; !trouble && at != fs::directory_iterator() && entries.size() < kNamesMost;
       at.increment(trouble))
    entries.push_back(at->path());
  std::ranges::sort(entries);
  return entries;
}

Result<std::vector<SourceJob>> source_jobs(World& world) {
  ASSIGN_OR_RETURN(const auto texts, world.journal.newest_jobs(journal::Side::kSource, kJobsMost));
  std::vector<SourceJob> jobs;
  for (const auto& text : texts) {
    if (auto job = source_job_from_json(text)) jobs.push_back(std::move(*job));
  }
  return jobs;
}

Result<std::vector<DestinationJob>> destination_jobs(World& world) {
  ASSIGN_OR_RETURN(const auto texts,
                   world.journal.newest_jobs(journal::Side::kDestination, kJobsMost));
  std::vector<DestinationJob> jobs;
  for (const auto& text : texts) {
    if (auto job = destination_job_from_json(text)) jobs.push_back(std::move(*job));
  }
  return jobs;
}

bool is_used(const std::vector<Vm>& vms, const std::string& path) {
  return std::ranges::any_of(vms, [&](const Vm& vm) {
    return std::ranges::any_of(vm.disks, [&](const Disk& disk) {
      return disk.path == path ||
             std::ranges::find(disk.backing_chain, path) != disk.backing_chain.end();
    });
  });
}

// Which of a move's two processes has its control socket open: "gate", "mover".
std::vector<std::string> processes_of(const DoctorOptions& options,
                                      const std::set<std::string>& open, const std::string& id) {
  std::vector<std::string> found;
  for (const char* name : {"gate", "mover"}) {
    if (open.contains((options.moves_folder / id / (std::string(name) + ".sock")).string()))
      found.emplace_back(name);
  }
  return found;
}

bool runs(const DoctorOptions& options, const std::set<std::string>& open, const std::string& id) {
  return !processes_of(options, open, id).empty();
}

std::string decision_words(World& world, const DestinationJob& job) {
  const auto decision = world.records.decision({job.plan.vm.uuid, job.epoch});
  if (!decision) return "its ownership record is not known";
  if (!*decision) return "nothing is decided";
  return **decision == gate::Decision::kAccepted ? "the VM was accepted here" : "it was refused";
}

}  // namespace

Result<std::set<std::string>> live_moves(World& world) {
  std::set<std::string> live;
  for (const auto side : {journal::Side::kSource, journal::Side::kDestination}) {
    ASSIGN_OR_RETURN(const auto texts, world.journal.open_jobs(side));
    for (const auto& text : texts) {
      if (side == journal::Side::kSource) {
        ASSIGN_OR_RETURN(const SourceJob job, source_job_from_json(text));
        live.insert({job.move.id, job.move.epoch});
      } else {
        ASSIGN_OR_RETURN(const DestinationJob job, destination_job_from_json(text));
        live.insert({job.move_id, job.epoch});
      }
    }
  }
  ASSIGN_OR_RETURN(const auto jobs, source_jobs(world));
  for (const auto& job : jobs) {
    if (job.move.state == MoveState::kParked) live.insert({job.move.id, job.move.epoch});
  }
  return live;
}

// A path is the last thing of a line.
Result<std::set<std::string>> open_sockets(const DoctorOptions& options) {
  constexpr std::size_t kTableMost = 64u << 20;
  ASSIGN_OR_RETURN(const std::string table, read_file(options.unix_sockets, kTableMost));
  std::set<std::string> paths;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    if (const auto slash = line.find(" /"); slash != std::string::npos)
      paths.insert(line.substr(slash + 1));
  }
  return paths;
}

Result<std::vector<fs::path>> stale_files(World& world, const DoctorOptions& options) {
  std::vector<std::pair<std::string, fs::path>> found;
  for (const auto& path : entries_of(options.moves_folder))
    found.emplace_back(path.filename().string(), path);
  for (const auto& path : entries_of(options.state_folder / "writes"))
    found.emplace_back(path.filename().string(), path);
  for (const auto& path : entries_of(options.socket_folder)) {
    const std::string name = path.filename().string();
    if (name.find(".tunnelmigrate.dest.") != std::string::npos)
      found.emplace_back(name.substr(0, name.find('.')), path);
  }
  ASSIGN_OR_RETURN(const auto live, live_moves(world));
  ASSIGN_OR_RETURN(const auto open, open_sockets(options));
  std::vector<fs::path> stale;
  for (const auto& [id, path] : found) {
    std::error_code ignored;
    if (!is_move_id(id) || live.contains(id) || runs(options, open, id)) continue;
    // What a move that has just ended took away is not there any more.
    if (fs::exists(fs::symlink_status(path, ignored))) stale.push_back(path);
  }
  return stale;
}

Result<std::vector<QuarantinedDisk>> lost_disks(World& world) {
  ASSIGN_OR_RETURN(auto disks, world.journal.quarantine());
  std::erase_if(disks, [](const QuarantinedDisk& disk) {
    struct stat found{};
    // Only if it is certainly not there: a file system that is not mounted takes its folder along.
    const auto folder = fs::path(disk.kept_path).parent_path();
    if (::stat(folder.c_str(), &found) != 0 || found.st_dev != disk.device) return true;
    return ::lstat(disk.kept_path.c_str(), &found) == 0 || errno != ENOENT ||
           identity_at(disk.original_path) == identity_of(disk);
  });
  return disks;
}

Result<std::vector<LeftImage>> left_images(World& world) {
  ASSIGN_OR_RETURN(const auto kept, world.journal.quarantine());
  ASSIGN_OR_RETURN(const auto vms, world.hypervisor.list_vms());
  ASSIGN_OR_RETURN(const auto jobs, destination_jobs(world));
  std::vector<LeftImage> left;
  for (const auto& job : jobs) {
    if (!job.undone || job.abandoned) continue;  // the VM of an abandoned one ran on them
    for (const auto& file : job.created) {
      const FileIdentity identity = identity_of(file);
      if (file.inode == 0 || identity_at(file.path) != identity || is_used(vms, file.path))
        continue;
      const bool is_kept = std::ranges::any_of(
          kept, [&](const QuarantinedDisk& disk) { return identity_of(disk) == identity; });
      if (!is_kept) left.push_back({job.move_id, job.plan.vm.name, file.path, identity});
    }
  }
  return left;
}

void check_records(const Scene& scene) {
  World& world = scene.world;
  const auto records = world.records.list();
  if (!records) {
    scene.add(FindingLevel::kBlocker, "RECORDS_UNREADABLE", world.host_name,
              "The ownership records cannot be read.", records.error().text(),
              {fmt::format("Look at {}.", (scene.options.state_folder / "records").string())});
    return;
  }
  if (records->unreadable > 0) {
    scene.add(
        FindingLevel::kWarning, "RECORDS_DAMAGED", world.host_name,
        fmt::format("{} ownership records are damaged or of another installation.",
                    records->unreadable),
        "Drover counts them as unknown and starts nothing by them.",
        {fmt::format("Look at {}; find out on which host the VM of each runs, and then remove "
                     "the file.",
                     (scene.options.state_folder / "records").string())});
  }
  const auto live = live_moves(world);
  if (!live) return;  // said by check_moves()
  const auto tell = [&](const std::string& move, const gate::RecordKey& key, std::string state) {
    if (live->contains(move)) return;
    scene.add(
        FindingLevel::kWarning, "RECORD_LEFT", key.vm_uuid,
        fmt::format("An ownership record ({}) is left of move {}, which is over here.", state,
                    move),
        "The hook may keep the VM from being started here, or let it start.",
        {fmt::format("drover show {}, and drover list on every host: where does the VM run?", move),
         fmt::format("If it is settled: rm {}/{}.{}.*",
                     (scene.options.state_folder / "records").string(), key.vm_uuid, key.epoch)});
  };
  for (const auto& record : records->sources)
    tell(record.move_id, record.key, std::string(gate::source_state_name(record.state)));
  for (const auto& record : records->destinations) {
    tell(record.move_id, record.key,
         record.decision ? std::string(gate::decision_name(*record.decision)) : "reserved");
  }
}

void check_moves(const Scene& scene) {
  World& world = scene.world;
  const auto left = source_jobs(world);
  const auto came = destination_jobs(world);
  const auto live = live_moves(world);
  if (!left || !came || !live) {
    const Error& trouble = !left ? left.error() : !came ? came.error() : live.error();
    scene.add(FindingLevel::kBlocker, "JOURNAL_UNREADABLE", world.host_name,
              "The journal cannot be read.", trouble.text(),
              {fmt::format("Look at {}.", (scene.options.state_folder / "drover.db").string())});
    if (!left || !came) return;
  }
  for (const auto& job : *left) {
    const Move& move = job.move;
    if (move.state == MoveState::kParked) {
      scene.add(FindingLevel::kWarning, "MOVE_PARKED", move.plan.vm.name,
                fmt::format("Move {} of {} to {} is parked.", move.id, move.plan.vm.name,
                            move.destination),
                move.explanation, {fmt::format("drover show {}", move.id)});
    } else if (move.state != MoveState::kRunning && job.reserved) {
      scene.add(FindingLevel::kNote, "UNDO_UNHEARD", move.plan.vm.name,
                fmt::format("{} has not heard yet that move {} of {} was undone.", move.destination,
                            move.id, move.plan.vm.name),
                "What was prepared there stays until it has; it is told again every 2 s.",
                {fmt::format("Look whether {} answers: drover host list", move.destination)});
    }
  }
  for (const auto& job : *came) {
    if (job.settled || job.undone) continue;
    const auto peer = world.book.find_peer(job.peer);
    if (peer && peer->state == PeerState::kPaired) continue;
    scene.add(FindingLevel::kWarning, "MOVE_HELD", job.plan.vm.name,
              fmt::format("Move {} of {} from {} is not over, and {} is not paired any more.",
                          job.move_id, job.plan.vm.name, job.peer, job.peer),
              fmt::format("Only that host can end it ({}).", decision_words(world, job)),
              {fmt::format("Pair {} again: drover host invite", job.peer)});
  }
}

// A gate or mover that is asked loses its daemon, so nobody is asked here.
void check_carriers(const Scene& scene) {
  World& world = scene.world;
  const DoctorOptions& options = scene.options;
  // In this order: what began since is in none of them, and what ended is at worst a stray.
  const auto folders = entries_of(options.moves_folder);
  const auto left = source_jobs(world);
  const auto came = destination_jobs(world);
  const auto open = open_sockets(options);
  const auto live = live_moves(world);
  if (!open || !live || !left || !came) return;  // said by check_moves()
  for (const auto& folder : folders) {
    const std::string id = folder.filename().string();
    if (!is_move_id(id) || live->contains(id)) continue;
    for (const auto& process : processes_of(options, *open, id)) {
      scene.add(
          FindingLevel::kWarning, "CARRIER_STRAY", id,
          fmt::format("The {} of move {}, which is over here, still runs.", process, id),
          "It carries nothing any more; one that has just ended its work goes within seconds.",
          {fmt::format("ss -xlp | grep {} shows its number; then: kill NUMBER", id)});
    }
  }
  const auto tell_gone = [&](const std::string& id, const Plan& plan) {
    const std::string& vm = plan.vm.name;
    if (processes_of(options, *open, id).size() == (is_cold(plan) ? 1 : 2)) return;
    scene.add(FindingLevel::kNote, "CARRIER_GONE", vm,
              fmt::format("A gate or mover of move {} of {} has ended before its time.", id, vm),
              "The move is undone, or goes on to its end, by itself.",
              {"Look at droverd's log, and again in a minute."});
  };
  for (const auto& job : *left) {
    const Phase phase = job.move.phase;
    if (job.move.state == MoveState::kRunning && job.migrate_called && phase < Phase::kSwitch)
      tell_gone(job.move.epoch, job.move.plan);
  }
  for (const auto& job : *came) {
    if (!job.prepared || !job.recorded || job.undoing || job.undone || job.settled) continue;
    const auto decision = world.records.decision({job.plan.vm.uuid, job.epoch});
    if (decision && !*decision) tell_gone(job.epoch, job.plan);
  }
}

void check_files(const Scene& scene) {
  const auto stale = stale_files(scene.world, scene.options);
  if (!stale) return;  // said by check_moves()
  for (const auto& path : *stale) {
    scene.add(FindingLevel::kNote, "STALE_FILES", path.string(),
              "This is left of a move that is over here.", "It is of no use to anybody.",
              {"drover doctor --fix STALE_FILES (there is no undo, and nothing to undo)"});
  }
}

void check_quarantine(const Scene& scene) {
  World& world = scene.world;
  const auto lost = lost_disks(world);
  auto disks = world.journal.quarantine();
  if (!lost || !disks) return;  // said by check_moves()
  for (const auto& disk : *lost) {
    scene.add(FindingLevel::kNote, "QUARANTINE_LOST", disk.kept_path,
              fmt::format("This disk of {} was kept after move {} and is not there any more.",
                          disk.vm_name, disk.move_id),
              "It cannot be restored.",
              {"drover doctor --fix QUARANTINE_LOST (forgets it; there is no undo)"});
  }
  for (const auto& disk : *disks) {
    const auto there = identity_at(disk.kept_path);
    if (!there || *there == identity_of(disk)) continue;
    scene.add(FindingLevel::kWarning, "QUARANTINE_CHANGED", disk.kept_path,
              fmt::format("This is not the file that was kept of {} after move {}.", disk.vm_name,
                          disk.move_id),
              "Drover neither restores nor deletes it.",
              {fmt::format("Put the right one back, or move this one away and: drover doctor --fix "
                           "QUARANTINE_LOST")});
  }
  const auto memories = world.memories->list(world.book.settings());
  disks->insert(disks->end(), memories.begin(), memories.end());
  std::set<std::string> told;
  for (const auto& disk : *disks) {
    if (!disk.until || *disk.until + kDropDelay > std::chrono::system_clock::now()) continue;
    if (!told.insert(disk.move_id).second) continue;
    scene.add(FindingLevel::kWarning, "QUARANTINE_EXPIRED", disk.vm_name,
              fmt::format("What move {} of {} left is past its time and still here.", disk.move_id,
                          disk.vm_name),
              "It takes room. It could not be deleted; droverd's log says why.",
              {fmt::format("drover quarantine drop {}", disk.move_id)});
  }
}

void check_images(const Scene& scene) {
  World& world = scene.world;
  if (const auto left = left_images(world)) {
    for (const auto& image : *left) {
      scene.add(FindingLevel::kWarning, "IMAGE_LEFT", image.path,
                fmt::format("This unfinished copy of {} is left of move {}, which was undone.",
                            image.vm_name, image.move_id),
                "It takes room, and is no disk: the VM never ran on it.",
                {"drover doctor --fix IMAGE_LEFT (deletes it; there is no undo)"});
    }
  }
  const auto facts = world.hypervisor.host_facts();
  const auto kept = world.journal.quarantine();
  if (!facts || !kept) return;
  constexpr std::string_view kMark = ".drover-";
  const auto archives = world.journal.open_jobs(journal::Side::kArchive);
  // Of an export that goes on (docs/export.md): its text names what it made.
  const auto is_exported = [&](const std::string& suffix) {
    return archives && std::ranges::any_of(*archives, [&](const std::string& job) {
             return job.find(suffix) != std::string::npos;
           });
  };
  for (const auto& folder : preflight::usable_folders(*facts, world.book.settings())) {
    for (const auto& path : entries_of(folder)) {
      const std::string name = path.filename().string();
      const auto mark = name.rfind(kMark);
      if (mark == std::string::npos || !is_move_id(name.substr(mark + kMark.size()))) continue;
      if (is_exported(name.substr(mark))) continue;
      if (std::ranges::find(*kept, path.string(), &QuarantinedDisk::kept_path) != kept->end())
        continue;
      scene.add(FindingLevel::kWarning, "IMAGE_STRAY", path.string(),
                "This looks like a disk that Drover kept, and its journal knows nothing of it.",
                "Nobody will delete it, and it may be the only copy of something.",
                {fmt::format("qemu-img info -U {}", path.string()),
                 "If nobody needs it, remove it; else give it a name of its own."});
    }
  }
}

}  // namespace drover::move::doctor
