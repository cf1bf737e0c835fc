// SPDX-License-Identifier: Apache-2.0
// What travels to this host beside disks and memory: whole files that disks stand on, discs, and
// checkpoints. A peer's words are judged here like those on a definition.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/log.h"
#include "content/file_digest.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/checkpoint_xml.h"
#include "hypervisor/disk_image.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_rules.h"
#include "move/destination/destination_side.h"
#include "move/destination/network_disk_rules.h"
#include "move/plan/media.h"
#include "preflight/codes.h"
#include "preflight/layers.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// Events of the hypervisor wait for a verb that is at work.
constexpr auto kCompareStep = 250ms;

Result<UniqueFd> open_file(const std::string& path, const std::vector<std::string>& folders) {
  ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(path));
  return open_image(path, identity, folders);
}

Result<std::string> sample_of(const std::string& path, const std::vector<std::string>& folders) {
  ASSIGN_OR_RETURN(const UniqueFd file, open_file(path, folders));
  return content::file_sample(file.get());
}

Finding blocker(preflight::Code code, std::string object, std::string what, std::string why,
                std::vector<std::string> fixes) {
  return {std::string(preflight::code_name(code)),
          FindingLevel::kBlocker,
          std::move(object),
          std::move(what),
          std::move(why),
          std::move(fixes)};
}

Finding brought_along(const FilePlacement& file, const std::string& host) {
  return {std::string(preflight::code_name(preflight::Code::kDiskBackingChain)),
          FindingLevel::kNote,
          file.item,
          fmt::format("{} is not on {} and is brought along.", file.source_path, host),
          "It is sent before the disk, once, and stays there.",
          {}};
}

// By a source of an earlier release, which would find out when it asks to prepare.
Finding left_behind(const FilePlacement& file, const std::string& source, const std::string& host) {
  return blocker(
      preflight::Code::kDiskBackingChain, file.item,
      fmt::format("{} is not on {}, and {} has an earlier Drover, which does not bring it along.",
                  file.source_path, host, source),
      "What is built on it could not be used.",
      {fmt::format("Upgrade Drover on {}.", source), "--flatten makes one image of the chain",
       fmt::format("Put the file there, as {} on {}.", file.destination_path, host)});
}

// Where everything that travels lies here.
std::set<std::string> destination_paths(std::span<const DiskPlacement> placements,
                                        std::span<const FilePlacement> files,
                                        const std::string& nvram) {
  std::set<std::string> paths;
  for (const auto& placement : placements) paths.insert(placement.destination_path);
  for (const auto& file : files) paths.insert(file.destination_path);
  if (!nvram.empty()) paths.insert(nvram);
  return paths;
}

// Going back to a checkpoint starts its definition: it may name no more than one that arrives.
Status judge(const CheckpointText& text, const std::set<std::string>& paths,
             const gate::Policy& policy) {
  ASSIGN_OR_RETURN(const auto named, checkpoint_paths(text.xml));
  for (const std::string& path : named) {
    if (paths.contains(path)) continue;
    return fail(ErrorCode::kPolicy, "The checkpoint {} names {}, which does not travel with it.",
                text.name, path);
  }
  ASSIGN_OR_RETURN(const auto definitions, checkpoint_definitions(text.xml));
  for (const std::string& definition : definitions) {
    gate::Policy own = policy;
    own.references.clear();
    // Nothing that travels is named so: a volume would be whatever VM's.
    own.rules.volume_pools.clear();
    RETURN_IF_ERROR(gate::reserve_references(own, definition));
    if (auto allowed = gate::check_domain(definition, own, gate::no_links_beneath); !allowed) {
      return std::unexpected(
          wrap(allowed.error(), fmt::format("The checkpoint {} is refused.", text.name)));
    }
  }
  return {};
}

// What is said of a file is said of its path: of two that differ only one would be looked at.
Status check_file_names(const Plan& plan) {
  const auto said = [](const FilePlacement& file) {
    return std::tie(file.source_path, file.format, file.present, file.shared);
  };
  for (const FilePlacement& file : plan.files) {
    const bool differs = std::ranges::any_of(plan.files, [&](const FilePlacement& other) {
      return other.destination_path == file.destination_path && said(other) != said(file);
    });
    if (differs)
      return fail(ErrorCode::kProtocol, "The plan says two things of {}.", file.destination_path);
  }
  return {};
}

}  // namespace

gate::AdministratorRules rules_of(const HostSettings& settings, const HostFacts& facts) {
  gate::AdministratorRules rules;
  rules.disk_folders = preflight::usable_folders(facts, settings);
  rules.bridges = facts.networks.bridges;
  rules.networks = facts.networks.active_networks;
  for (const auto& pool : facts.pools) {
    if (pool.active) rules.volume_pools.push_back(pool.name);
  }
  return rules;
}

// A file of the same content is used as it is. That the samples agree is as much as a plan can
// know: the whole is compared before anything is copied (verb "file").
void DestinationSide::look_at_items(const preflight::Proposal& proposal, Layers layers,
                                    const HostSettings& settings,
                                    preflight::DestinationReport& report) const {
  report.takes_items = true;
  const auto folders = preflight::usable_folders(report.host, settings);
  for (FilePlacement& file : report.files) {
    const std::string& path = file.destination_path;
    if (file.shared || !is_allowed(preflight::folder_of(path), folders)) continue;
    const auto ours = sample_of(path, folders);
    const auto theirs =
        std::ranges::find(proposal.samples, file.source_path, &preflight::FileSample::path);
    if (theirs != proposal.samples.end()) {
      if (file.virtual_size.bytes == 0) file.virtual_size = theirs->length;
      file.present = ours && *ours == theirs->digest;
    }
    if (file.present) continue;
    const bool disc = preflight::is_disc(proposal.vm, file);
    if (disc && theirs == proposal.samples.end()) {
      report.findings.push_back(disc_is_unreadable(file, proposal.source.name));
      continue;
    }
    if (!ours && ours.error().code == ErrorCode::kNotFound) {
      const bool live = proposal.request.kind.value_or(MoveKind::kLive) == MoveKind::kLive;
      report.findings.push_back(disc ? disc_comes(file, world_.host_name)
                                : live && layers == Layers::kStay
                                    ? left_behind(file, proposal.source.name, world_.host_name)
                                    : brought_along(file, world_.host_name));
      continue;
    }
    if (const auto other = coming_with(path, proposal.vm.uuid)) {
      report.findings.push_back(blocker(
          preflight::Code::kDiskExists, file.item,
          fmt::format("{} is just coming to {} with {}.", path, world_.host_name, *other),
          "Two moves do not bring one file.",
          {fmt::format("Wait until the move of {} is over; then the file is used.", *other)}));
      continue;
    }
    if (disc) {
      report.findings.push_back(disc_is_another(file, world_.host_name));
      continue;
    }
    report.findings.push_back(
        blocker(preflight::Code::kDiskExists, file.item,
                fmt::format("{} exists on {} already, and is not what {} is built on.", path,
                            world_.host_name, file.item),
                "Built on another file the disk would be damaged; Drover never overwrites a file.",
                {"Choose another folder with --disks-to.", "--flatten makes one image of the chain",
                 fmt::format("If nothing uses it, on {}: rename it.", world_.host_name)}));
  }
  look_at_checkpoints(proposal, settings, report);
}

// The name of a VM whose move to this host brings that file, or may.
std::optional<std::string> DestinationSide::coming_with(const std::string& path,
                                                        const std::string& vm_uuid) const {
  for (const auto& other : all()) {
    if (other->vm_uuid == vm_uuid) continue;
    const std::unique_lock working(other->working, std::try_to_lock);
    if (working && (other->job.undone || other->job.settled)) continue;
    for (const FilePlacement& file : other->job.plan.files) {
      if (!file.present && !file.shared && file.destination_path == path)
        return other->job.plan.vm.name;
    }
  }
  return std::nullopt;
}

void DestinationSide::look_at_checkpoints(const preflight::Proposal& proposal,
                                          const HostSettings& settings,
                                          preflight::DestinationReport& report) const {
  if (proposal.checkpoints.empty()) return;
  std::map<std::string, std::string> moved;
  for (const auto& placement : report.placements)
    moved[placement.source_path] = placement.destination_path;
  for (const auto& file : report.files) moved[file.source_path] = file.destination_path;
  if (!report.nvram_destination.empty()) moved[proposal.vm.nvram_path] = report.nvram_destination;
  const auto paths = destination_paths(report.placements, report.files, report.nvram_destination);
  gate::Policy policy;
  policy.host = world_.host_name;
  policy.vm_name = proposal.vm.name;
  policy.vm_uuid = proposal.vm.uuid;
  policy.rules = rules_of(settings, report.host);
  policy.rules.network_disks =
      proven_network_disks(proposal.live_xml, report.placements, settings.network_disks);
  for (const CheckpointText& text : proposal.checkpoints) {
    auto adapted = adapt_checkpoint(text.xml, moved);
    Status judged = adapted ? judge({text.name, *adapted, text.current}, paths, policy)
                            : Status(std::unexpected(adapted.error()));
    if (!judged) {
      report.findings.push_back(
          blocker(preflight::Code::kCheckpointFiles, text.name,
                  fmt::format("{} does not take the checkpoint {}.", world_.host_name, text.name),
                  judged.error().text(),
                  {fmt::format("virsh snapshot-dumpxml {} {} shows what it names", proposal.vm.name,
                               text.name),
                   fmt::format("virsh snapshot-delete {} {} --metadata, if it is not needed any "
                               "more",
                               proposal.vm.name, text.name)}));
      continue;
    }
    report.checkpoints.push_back({text.name, std::move(*adapted), text.current});
  }
}

// The same again of what is really asked for.
Status DestinationSide::check_items(const ReserveRequest& request,
                                    const std::vector<std::string>& folders,
                                    const gate::Policy& policy) const {
  const Plan& plan = request.plan;
  RETURN_IF_ERROR(check_file_names(plan));
  for (const FilePlacement& file : plan.files) {
    const std::string& path = file.destination_path;
    if (!is_plain_path(path) || !is_allowed(path, folders)) {
      return fail(ErrorCode::kPolicy, "{} is not in an allowed folder of {}.", path,
                  world_.host_name);
    }
    if (file.format != "raw" && file.format != "qcow2")
      return fail(ErrorCode::kPolicy, "{} has the format {}.", path, file.format);
    if (file.shared) RETURN_IF_ERROR(check_shared_file(request, file, folders));
  }
  const auto paths = destination_paths(plan.placements, plan.files, plan.nvram_destination);
  for (const CheckpointText& text : request.checkpoints)
    RETURN_IF_ERROR(judge(text, paths, policy));
  return {};
}

Status DestinationSide::check_shared_file(const ReserveRequest& request, const FilePlacement& file,
                                          const std::vector<std::string>& folders) const {
  const auto mark =
      std::ranges::find(request.marks, file.source_path, &preflight::DiskMark::target);
  if (mark != request.marks.end()) {
    const auto found = find_mark(file.destination_path, mark->where.start, folders);
    if (found && *found && **found == mark->where) return {};
  }
  return fail(ErrorCode::kPolicy,
              "{} is not shown to be the {} of the source. Fix: plan the move again.",
              file.destination_path, file.source_path);
}

// What a disk stands on is compared as a whole before the first byte of the disk is taken: nothing
// would tell of a difference later. A large file is read for minutes: the source asks until it is.
Status DestinationSide::compare_file(Entry& entry, std::string_view body) {
  ASSIGN_OR_RETURN(const FileRequest request, file_request_from_json(body));
  const auto& files = entry.job.plan.files;
  const auto file = std::ranges::find(files, request.path, &FilePlacement::destination_path);
  if (file == files.end() || entry.job.undone || entry.job.undoing) {
    return fail(ErrorCode::kConflict, "Move {} has no file {} on {}.", entry.job.move_id,
                request.path, world_.host_name);
  }
  if (!file->present && !file->shared) {
    RETURN_IF_ERROR(check_layer(entry, request));
    entry.compared.insert(request.path);
    entry.lease = Deadline::after(lease_);
    return {};
  }
  if (!entry.check || entry.check->path() != request.path) {
    ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
    const auto folders = preflight::usable_folders(facts, world_.book.settings());
    ASSIGN_OR_RETURN(UniqueFd opened, open_file(file->destination_path, folders));
    entry.check = std::make_unique<FileCheck>(request.path, std::move(opened));
  }
  const auto digest = entry.check->digest(Deadline::after(kCompareStep));
  if (!entry.job.prepared) entry.lease = Deadline::after(lease_);
  if (!digest) {
    return std::unexpected(
        Error{ErrorCode::kTimeout,
              Retry::kNow,
              fmt::format("{} is still reading {}.", world_.host_name, file->destination_path),
              {}});
  }
  entry.check.reset();
  if (!*digest) return std::unexpected(digest->error());
  if (**digest == request.digest) {
    entry.compared.insert(request.path);
    return {};
  }
  const Vm& vm = entry.job.plan.vm;
  const bool disc = preflight::is_disc(vm, *file);
  return fail(ErrorCode::kConflict,
              "{} on {} is not the file that {} of {} {} at the source. Fix: plan the move again, "
              "with --disks-to or {}.",
              file->destination_path, world_.host_name, file->item, vm.name,
              disc ? "holds" : "is built on", disc ? "--item" : "--flatten");
}

// A source that cannot say what a file here holds might want to read it through a disk that is
// built on it. What an offline or quick move brings is compared when the VM is taken.
Status DestinationSide::check_compared(const Entry& entry) const {
  for (const FilePlacement& file : entry.job.plan.files) {
    const bool comes_later = !file.present && is_cold(entry.job.plan);
    if (comes_later || file.shared || entry.compared.contains(file.destination_path)) continue;
    return fail(ErrorCode::kConflict, "{} on {} was not compared with the file at the source.",
                file.destination_path, world_.host_name);
  }
  return {};
}

// Once the VM is here. Once only: who has deleted one since does not find it again. An error keeps
// nothing from going on, for the VM is here.
std::string DestinationSide::tell_checkpoints(Entry& entry) {
  if (entry.job.checkpoints.empty()) return {};
  const auto known =
      world_.hypervisor.know_checkpoints(entry.job.plan.vm.uuid, entry.job.checkpoints);
  if (known) {
    entry.job.checkpoints.clear();
    if (auto saved = save(entry); !saved)
      log::warning("Move {}: {}", entry.job.move_id, saved.error().text());
    return {};
  }
  log::warning("Move {}: libvirt does not take the checkpoints of {}: {}", entry.job.move_id,
               entry.job.plan.vm.name, known.error().text());
  return known.error().text();
}

}  // namespace drover::move
