// SPDX-License-Identifier: Apache-2.0
#include "request_options.h"

#include "base/ip_network.h"
#include "begin_time.h"
#include "model/group.h"
#include "model/move_limit.h"

namespace drover::cli {

void RequestOptions::add_to(CLI::App& command) {
  CLI::Option* there =
      command
          .add_option("--disks-to", disks_to,
                      "Folder or libvirt pool at the destination where the disks shall "
                      "land")
          ->type_name("FOLDER");
  command
      .add_option("--to-storage", to_storage,
                  "Move the disks to this folder or libvirt pool on the VM's own host, running or "
                  "off; no DESTINATION")
      ->type_name("PLACE")
      ->excludes(there);
  command
      .add_option(
          "--item", items,
          "A single disk to a folder or libvirt pool, vda=PLACE, or the UEFI variables, "
          "nvram=PLACE: at DESTINATION, or, where none is named, of a disk, on the VM's own "
          "host; may be repeated, and beside --disks-to or --to-storage")
      ->type_name("ITEM=PLACE")
      ->allow_extra_args(false);
  command.add_flag(
      "--flatten", flatten,
      "Make one image of each disk that is built on others; else it stays so, and what "
      "it is built on comes along");
  command
      .add_option("--format", format,
                  "raw or qcow2: what the images of disks become that are copied")
      ->type_name("FORMAT");
  command
      .add_option("--allocation", allocation,
                  "Of those images: thin, zeroes take no room, or full, the room of the whole disk "
                  "is taken at once; else holes stay holes")
      ->type_name("HOW");
  command
      .add_option("--media", media,
                  "Discs in the drives: eject takes them out when the move begins, copy brings "
                  "their files along, require wants the same ones at the destination; else what "
                  "it has under that name is used")
      ->type_name("WHAT");
  CLI::Option* off =
      command.add_flag("--offline", offline, "Move a VM that is off: its definition and disks");
  command
      .add_flag("--quick", quick,
                "Save the running VM, carry it and restore it there: with a pause, also what "
                "cannot move live")
      ->excludes(off);
  CLI::Option* now =
      command.add_flag("--delete-now", delete_now,
                       "Delete the old disks once the VM runs at the destination; no way back");
  command.add_flag("--keep-source", keep_source, "Keep the old disks until somebody drops them")
      ->excludes(now);
  command
      .add_option("--performance", performance,
                  "compress, multilink or direct; else as the source's settings say")
      ->type_name("HOW");
  command
      .add_option("--parallel-connections", parallel_connections,
                  "With performance direct: let QEMU send pages of memory over so many connections "
                  "of its own (multifd), 1 to 16; for fast links and many processors")
      ->type_name("NUMBER");
  command
      .add_option("--bandwidth", bandwidth,
                  "Send at most so many bytes a second, such as 100M; the source's setting holds "
                  "too")
      ->type_name("RATE");
  command
      .add_option("--convergence", convergence,
                  "If it changes memory faster than the link carries: pause:SECONDS, wait, "
                  "slow-guest or give-up:SECONDS; else as the source's settings say")
      ->type_name("POLICY");
  command.add_flag("--no-references", no_references,
                   "Send as bytes also what the destination has; to see what that saves");
  command.add_flag("--no-measure", no_measure,
                   "Forecast from earlier moves alone; do not measure the guest, the disks and the "
                   "link");
  command
      .add_option(
          "--verify", verify,
          "as-sent: before the source lets go of its disks, compare them with what was sent; "
          "read-back: and with what the destination's hold; or none")
      ->type_name("LEVEL");
  command
      .add_option("--networks", networks,
                  "Go over these networks only, such as 10.77.1.0/24,10.77.2.0/24, or any; else as "
                  "the settings say")
      ->type_name("LIST");
  command
      .add_option("--network", interfaces,
                  "Plug an interface of the VM in elsewhere at the destination: lan=prod, or "
                  "MAC=prod; may be repeated, and is remembered of the two hosts")
      ->type_name("FROM=TO")
      ->allow_extra_args(false);
  command
      .add_option("--group", group,
                  "Do not send what VMs of this group have on their disks at the destination, if "
                  "its setting groups allows it; else nothing is shared")
      ->type_name("NAME");
  command
      .add_option("--keep-residue", keep_residue,
                  "memory: keep the VM's memory at the source, encrypted, for a move back within a "
                  "day")
      ->type_name("WHAT");
  command
      .add_option("--begin", begin,
                  "Begin no sooner: 02:00 (the next), 2026-11-22T02:00, +30m or +2h")
      ->type_name("TIME");
  command
      .add_option("--window", window,
                  "Switch only then, by the source's clock, such as 02:00-04:00; disks are copied "
                  "at once and kept in sync")
      ->type_name("FROM-TO");
  command
      .add_option("--retries", retries,
                  "If it fails for a passing reason, try so often again, 0 to 20; else as the "
                  "source's settings say (2)")
      ->type_name("NUMBER");
}

namespace {

constexpr std::string_view kMemory = "memory";

Result<std::vector<ItemPlace>> parse_items(const std::vector<std::string>& items) {
  std::vector<ItemPlace> places;
  for (const std::string& text : items) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      return fail(ErrorCode::kInvalidArgument,
                  "--item is a disk and its place, such as vda=/srv/fast, not \"{}\".", text);
    }
    places.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return places;
}

}  // namespace

Result<std::vector<InterfacePlace>> parse_interface_places(const std::vector<std::string>& texts) {
  std::vector<InterfacePlace> places;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
      return fail(ErrorCode::kInvalidArgument,
                  "\"{}\" maps {}: name an interface and a network or bridge of the destination, "
                  "such as lan=prod.",
                  text, equals == 0 ? "nothing" : "to nothing");
    }
    places.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return places;
}

Result<MoveRequest> RequestOptions::request(const std::string& vm_uuid,
                                            const std::string& destination) const {
  MoveRequest request;
  if (!performance.empty()) {
    request.performance = performance_from_name(performance);
    if (!request.performance) {
      return fail(ErrorCode::kInvalidArgument,
                  "--performance is compress, multilink or direct, not \"{}\".", performance);
    }
  }
  if (parallel_connections) {
    // What the source's settings say is known there.
    RETURN_IF_ERROR(check_parallel_connections(*parallel_connections,
                                               request.performance.value_or(Performance::kDirect)));
    request.parallel_connections = *parallel_connections;
  }
  if (!verify.empty()) {
    const auto level = verification_from_name(verify);
    if (!level) {
      return fail(ErrorCode::kInvalidArgument,
                  "--verify is as-sent, read-back or none, not \"{}\".", verify);
    }
    request.verification = *level;
  }
  if (!media.empty()) {
    request.media = media_from_name(media);
    if (!request.media)
      return fail(ErrorCode::kInvalidArgument, "--media is eject, copy or require, not \"{}\".",
                  media);
  }
  if (!allocation.empty()) {
    request.allocation = allocation_from_name(allocation);
    if (!request.allocation)
      return fail(ErrorCode::kInvalidArgument, "--allocation is thin or full, not \"{}\".",
                  allocation);
  }
  ASSIGN_OR_RETURN(request.bandwidth, parse_bandwidth(bandwidth.empty() ? "off" : bandwidth));
  request.references = !no_references;
  request.measure = !no_measure;
  if (!convergence.empty()) {
    ASSIGN_OR_RETURN(request.convergence, parse_convergence(convergence));
  }
  if (!networks.empty()) {
    ASSIGN_OR_RETURN(request.networks, parse_networks(networks));
  }
  ASSIGN_OR_RETURN(request.interfaces, parse_interface_places(interfaces));
  if (!group.empty()) {
    RETURN_IF_ERROR(check_group_name(group));
    request.group = group;
  }
  if (!keep_residue.empty() && keep_residue != kMemory) {
    return fail(ErrorCode::kInvalidArgument, "--keep-residue is memory, not \"{}\".", keep_residue);
  }
  if (!begin.empty()) {
    ASSIGN_OR_RETURN(request.begin_at, parse_begin_time(begin, std::chrono::system_clock::now()));
  }
  if (!window.empty()) {
    ASSIGN_OR_RETURN(request.window, parse_window(window));
  }
  request.keep_memory = keep_residue == kMemory;
  if (retries) RETURN_IF_ERROR(check_retries(*retries));
  request.retries = retries;
  request.vm = vm_uuid;
  request.destination = destination;
  request.disks_to = disks_to;
  request.flatten = flatten;
  request.format = format;
  if (storage() && (offline || quick)) {
    return fail(ErrorCode::kInvalidArgument,
                "--offline and --quick are moves to another host; disks that go to --to-storage or "
                "--item stay on theirs: say one of them.");
  }
  if (offline) request.kind = MoveKind::kOffline;
  if (quick) request.kind = MoveKind::kQuick;
  ASSIGN_OR_RETURN(request.items, parse_items(items));
  if (storage()) {
    request.kind = MoveKind::kStorage;
    request.disks_to = to_storage;
  }
  if (delete_now) request.disposal = SourceDisposal::kDeleteNow;
  if (keep_source) request.disposal = SourceDisposal::kKeepSource;
  return request;
}

}  // namespace drover::cli
