// SPDX-License-Identifier: Apache-2.0
// What comes to this host byte by byte (cold_files.h): all that a quick or offline move brings so,
// and of a live move what its disks stand on, which comes before anything is prepared. What it is
// called and where it lies the reservation has allowed; what is in it is believed only as far as it
// was looked at here.
#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/qemu_conf.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_layers.h"
#include "move/destination/destination_side.h"
#include "move/residue/quarantine.h"
#include "net/digest.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

bool is_whole(const ColdFile& file) {
  return file.kind == ColdFile::Kind::kLayer || file.kind == ColdFile::Kind::kImage;
}

Status let_qemu_read(const std::string& path) {
  const UniqueFd image(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!image) return fail_errno("Cannot open " + path);
  RETURN_IF_ERROR(give_image_to_qemu(image.get(), qemu_conf()));
  return {};
}

}  // namespace

// Like an image: written down before it is made, beneath an allowed folder, and not over anything.
Result<FileSink::Slot> DestinationSide::make_whole_file(Entry& entry, const ColdFile& file) {
  const HostSettings settings = world_.book.settings();
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  const auto folders = preflight::usable_folders(facts, settings);
  DiskPlacement empty;
  empty.destination_path = file.destination_path;
  empty.format = "raw";
  // An image is the disk's, for whoever looks at what was made.
  const std::string name = file.kind == ColdFile::Kind::kImage ? file.target : file.item;
  if (const auto other = coming_with(file.destination_path, entry.vm_uuid);
      other && ::access(file.destination_path.c_str(), F_OK) == 0) {
    return std::unexpected(Error{ErrorCode::kUnavailable,
                                 Retry::kLater,
                                 fmt::format("{} is just coming to {} with {}.",
                                             file.destination_path, world_.host_name, *other),
                                 {}});
  }
  RETURN_IF_ERROR(check_nothing_at(file.destination_path));
  entry.job.created.push_back(known_file(name, file.destination_path, {}));
  RETURN_IF_ERROR(save(entry));
  auto identity = create_image(empty, folders);
  if (!identity) {
    entry.job.created.pop_back();
    RETURN_IF_ERROR(save(entry));
    return std::unexpected(identity.error());
  }
  entry.job.created.back() = known_file(name, file.destination_path, *identity);
  RETURN_IF_ERROR(save(entry));
  UniqueFd opened(::open(file.destination_path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!opened) return fail_errno("Cannot open " + file.destination_path);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(opened.get(), file.destination_path));
  if (seen.identity != *identity)
    return fail(ErrorCode::kConflict, "{} is another file by now.", file.destination_path);
  return FileSink::Slot{file.item, std::move(opened), file.most, FileSink::Slot::Kind::kWhole,
                        file.destination_path};
}

// By then a source that asks has long been told to wait (docs/space.md). The setting counts as it
// is at that moment.
FileSink::KeepsFree DestinationSide::keeps_free() const {
  return [&book = world_.book] { return ByteCount{book.settings().space_reserve.bytes / 4}; };
}

// Where libvirt looks for it, whatever a peer calls the VM.
Result<FileSink::Slot> DestinationSide::make_tpm_file(Entry& entry, const ColdFile& file) {
  if (!is_plain_path(file.destination_path))
    return fail(ErrorCode::kPolicy, "{} is no UUID.", entry.job.plan.vm.uuid);
  RETURN_IF_ERROR(make_tpm_folders(file.destination_path));
  return make_cold_file(entry, file.item, file.destination_path, file.most);
}

// One that never had a state gets none here. Safe to repeat: then its empty file is gone.
Status DestinationSide::take_tpm(Entry& entry, const ColdFile& file, const std::string& sha256) {
  const auto made = std::ranges::find(entry.job.created, file.item, &KnownFile::target);
  if (made == entry.job.created.end() && sha256 == net::sha256_hex("")) return {};
  ASSIGN_OR_RETURN(const std::string content, read_file(file.destination_path, file.most.bytes));
  if (net::sha256_hex(content) != sha256)
    return fail(ErrorCode::kCorrupt, "The TPM of {} is not what was sent.", entry.job.plan.vm.name);
  if (!content.empty() || made == entry.job.created.end()) return {};
  RETURN_IF_ERROR(remove_image(made->path, identity_of(*made)));
  remove_tpm_folders(made->path);
  entry.job.created.erase(made);
  return save(entry);
}

// All of it is here: what was sent, and nothing that leads elsewhere. Then it is made ready for a
// VM of this host.
Status DestinationSide::take_whole_files(Entry& entry, const ArriveRequest& request) {
  const Plan& plan = entry.job.plan;
  const auto files = cold_files(plan, entry.job.persistent_xml, tpm_folder_);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!is_whole(files[i]) || entry.sink->sha256(i) == request.files[i].sha256) continue;
    return fail(ErrorCode::kCorrupt, "{} of {} is not what was sent.", files[i].destination_path,
                plan.vm.name);
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i].kind == ColdFile::Kind::kTpm)
      RETURN_IF_ERROR(take_tpm(entry, files[i], request.files[i].sha256));
  }
  RETURN_IF_ERROR(check_layer_names(plan, AtSide::kDestination));
  RETURN_IF_ERROR(name_layers_here(plan));
  for (const ColdFile& file : files) {
    if (is_whole(file)) RETURN_IF_ERROR(let_qemu_read(file.destination_path));
  }
  return {};
}

// The hypervisor opens it as soon as it is asked to take the VM in, and a gate would let that pass:
// so it comes on a road of its own, without one. Safe to repeat.
Status DestinationSide::await_layers(Entry& entry) {
  if (entry.job.prepared || entry.job.undone || entry.job.undoing || is_cold(entry.job.plan)) {
    return fail(ErrorCode::kConflict, "Move {} brings nothing to {} now.", entry.job.move_id,
                world_.host_name);
  }
  if (entry.sink) return {};
  if (!entry.job.created.empty()) return was_restarted(entry);
  world_.slots.keep(Slots::Way::kIn, entry.place());
  Status begun = begin_layers(entry);
  if (begun) return {};
  if (auto undone = undo(entry); !undone)
    log::warning("Move {}: {}", entry.job.move_id, undone.error().text());
  return begun;
}

Status DestinationSide::begin_layers(Entry& entry) {
  std::vector<FileSink::Slot> slots;
  for (const ColdFile& file : missing_layers(entry.job.plan)) {
    ASSIGN_OR_RETURN(auto slot, make_whole_file(entry, file));
    slots.push_back(std::move(slot));
  }
  entry.sink = std::make_shared<FileSink>(std::move(slots), keeps_free());
  ASSIGN_OR_RETURN(auto key, from_hex(entry.job.link_key));
  DestinationFiles files;
  files.gate = false;
  files.take_file = [sink = entry.sink] { return sink->open_next(); };
  ASSIGN_OR_RETURN(entry.carriers, world_.carriage.start_destination(
                                       entry.name(), {std::move(key), entry.job.link_identity}, {},
                                       std::move(files)));
  entry.lease = Deadline::after(lease_);
  return {};
}

// The files that were made for it, and how far each has come, went with the droverd before.
std::unexpected<Error> DestinationSide::was_restarted(const Entry& entry) const {
  return std::unexpected(Error{ErrorCode::kUnavailable,
                               Retry::kLater,
                               fmt::format("droverd on {} was restarted while {} came.",
                                           world_.host_name, entry.job.plan.vm.name),
                               {}});
}

// By the hash of what came, which both sides took on its way.
Status DestinationSide::check_layer(const Entry& entry, const FileRequest& request) const {
  if (entry.job.prepared || is_cold(entry.job.plan)) {
    return fail(ErrorCode::kConflict, "Move {} brings nothing to {} now.", entry.job.move_id,
                world_.host_name);
  }
  if (!entry.sink) return was_restarted(entry);
  RETURN_IF_ERROR(entry.sink->complete());
  const auto files = missing_layers(entry.job.plan);
  const auto file = std::ranges::find(files, request.path, &ColdFile::destination_path);
  const auto number = static_cast<std::size_t>(file - files.begin());
  if (file != files.end() && entry.sink->sha256(number) == request.digest) return {};
  return fail(ErrorCode::kCorrupt, "{} of {} is not what was sent.", request.path,
              entry.job.plan.vm.name);
}

// REQUIRES: it was compared. Its road is over; nothing in it may lead elsewhere.
Status DestinationSide::take_layers(Entry& entry) {
  if (is_cold(entry.job.plan) || missing_layers(entry.job.plan).empty()) return {};
  if (!entry.sink) return was_restarted(entry);
  if (entry.carriers) RETURN_IF_ERROR(entry.carriers->stop());
  entry.carriers.reset();
  entry.sink.reset();
  world_.carriage.remove_files(entry.name());
  RETURN_IF_ERROR(check_layer_names(entry.job.plan, AtSide::kDestination));
  for (const ColdFile& file : missing_layers(entry.job.plan))
    RETURN_IF_ERROR(let_qemu_read(file.destination_path));
  return {};
}

// A layer that this move brought may be what another VM stands on by now: one of this host, or one
// that is on its way here and found it.
Result<bool> DestinationSide::others_need(const Entry& entry, const std::string& path) const {
  ASSIGN_OR_RETURN(const bool used, is_used(world_, path, entry.job.plan.vm.uuid));
  if (used) return true;
  return std::ranges::any_of(all(), [&](const std::shared_ptr<Entry>& other) {
    if (other.get() == &entry) return false;
    const std::unique_lock working(other->working, std::try_to_lock);
    if (working && (other->job.undone || other->job.settled)) return false;
    return std::ranges::any_of(other->job.plan.files, [&](const FilePlacement& file) {
      return file.present && file.destination_path == path;
    });
  });
}

}  // namespace drover::move
