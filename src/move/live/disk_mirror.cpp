// SPDX-License-Identifier: Apache-2.0
#include "move/live/disk_mirror.h"

#include <algorithm>
#include <iterator>
#include <thread>

#include "base/deadline.h"
#include "hypervisor/domain_xml.h"
#include "move/qmp.h"

namespace drover::move {
namespace {

using qmp::ask;
using qmp::command;
using qmp::Json;
using qmp::text_of;
using namespace std::chrono_literals;

constexpr auto kLook = 20ms;
constexpr auto kEndLimit = 5s;  // a job ends a moment after it was told to

std::string prefix_of(const std::string& move) { return "drover-" + move + "-"; }

// Of our job, and of the node of our export.
std::string name_of(const MirrorCall& call) { return prefix_of(call.move) + call.target; }

// libvirt's name of the disk, "virtio-disk0".
Result<std::string> node_of_disk(Hypervisor& hypervisor, const MirrorCall& call) {
  ASSIGN_OR_RETURN(const std::string xml,
                   hypervisor.definition(call.uuid, DefinitionKind::kAsItRuns));
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(xml));
  std::string alias;
  for (const DiskFacts& disk : facts.disks)
    if (disk.disk.target == call.target) alias = disk.alias;
  ASSIGN_OR_RETURN(const Json drives, ask(hypervisor, call.uuid, command("query-block")));
  for (const Json& drive : drives) {
    if (alias.empty() || !qmp::is_drive_of(drive, alias)) continue;
    if (const auto node = text_of(qmp::node_of(drive), "node-name"); !node.empty()) return node;
  }
  return fail(ErrorCode::kNotFound, "QEMU has no disk {}.", call.target);
}

std::uint64_t number_of(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// Our jobs that QEMU still has: also those that have ended, until they are dismissed.
Result<std::vector<Json>> jobs_of(Hypervisor& hypervisor, const std::string& uuid,
                                  const std::string& prefix) {
  ASSIGN_OR_RETURN(const Json jobs, ask(hypervisor, uuid, command("query-jobs")));
  std::vector<Json> ours;
  if (!jobs.is_array()) return fail(ErrorCode::kHypervisor, "QEMU lists no jobs.");
  std::ranges::copy_if(jobs, std::back_inserter(ours),
                       [&](const Json& job) { return text_of(job, "id").starts_with(prefix); });
  return ours;
}

bool has_ended(const Json& job) { return text_of(job, "status") == "concluded"; }

// Its job, while it goes on. kHypervisor: it has failed, or is not there.
Result<Json> job_of(Hypervisor& hypervisor, const MirrorCall& call) {
  ASSIGN_OR_RETURN(const auto jobs, jobs_of(hypervisor, call.uuid, name_of(call)));
  const auto job = std::ranges::find_if(
      jobs, [&](const Json& one) { return text_of(one, "id") == name_of(call); });
  const std::string error = job == jobs.end() ? "there is no such job" : text_of(*job, "error");
  if (error.empty()) return *job;
  return fail(ErrorCode::kHypervisor, "QEMU gave up writing {} there: {}.", call.target, error);
}

}  // namespace

Result<DiskMirror> DiskMirror::begin(Hypervisor& hypervisor, const MirrorCall& call) {
  ASSIGN_OR_RETURN(const std::string node, node_of_disk(hypervisor, call));
  const std::string name = name_of(call);
  const Json add{{"driver", "nbd"},
                 {"node-name", name},
                 {"server", {{"type", "unix"}, {"path", call.socket.string()}}},
                 {"export", call.target},
                 {"discard", "unmap"}};
  RETURN_IF_ERROR(ask(hypervisor, call.uuid, command("blockdev-add", add)));
  // Not dismissed by itself: whether it failed would not be known.
  const Json mirror{{"job-id", name},
                    {"device", node},
                    {"target", name},
                    {"sync", "full"},
                    {"auto-dismiss", false}};
  if (const auto begun = ask(hypervisor, call.uuid, command("blockdev-mirror", mirror)); !begun) {
    (void)ask(hypervisor, call.uuid, command("blockdev-del", {{"node-name", name}}));
    return std::unexpected(begun.error());
  }
  return DiskMirror(hypervisor, call);
}

Result<DiskMirror::Progress> DiskMirror::progress() {
  ASSIGN_OR_RETURN(const Json job, job_of(*hypervisor_, call_));
  const std::string status = text_of(job, "status");
  return Progress{status == "ready" || status == "standby",
                  {number_of(job, "current-progress")},
                  {number_of(job, "total-progress")}};
}

// Of a mirror that is ready a cancel without force means: end it once both are equal.
Status DiskMirror::finish(std::chrono::milliseconds limit) {
  const std::string name = name_of(call_);
  ASSIGN_OR_RETURN(const Progress now, progress());
  if (!now.ready) return fail(ErrorCode::kHypervisor, "{} is not mirrored.", call_.target);
  RETURN_IF_ERROR(ask(*hypervisor_, call_.uuid, command("block-job-cancel", {{"device", name}})));
  for (const Deadline end = Deadline::after(limit);;) {
    ASSIGN_OR_RETURN(const Json job, job_of(*hypervisor_, call_));
    if (has_ended(job)) break;
    if (end.expired())
      return fail(ErrorCode::kTimeout, "The last of {} is not written in time.", call_.target);
    std::this_thread::sleep_for(kLook);
  }
  RETURN_IF_ERROR(ask(*hypervisor_, call_.uuid, command("job-dismiss", {{"id", name}})));
  RETURN_IF_ERROR(ask(*hypervisor_, call_.uuid, command("blockdev-del", {{"node-name", name}})));
  return {};
}

Status end_mirrors(Hypervisor& hypervisor, const std::string& uuid, const std::string& move) {
  const auto state = hypervisor.run_state(uuid);
  if (!state) return std::unexpected(state.error());
  if (state->kind != RunState::Kind::kRunning && state->kind != RunState::Kind::kPaused) return {};
  const std::string prefix = prefix_of(move);
  for (const Deadline end = Deadline::after(kEndLimit);;) {
    ASSIGN_OR_RETURN(const auto jobs, jobs_of(hypervisor, uuid, prefix));
    if (jobs.empty()) break;
    for (const Json& job : jobs) {
      const std::string id = text_of(job, "id");
      const Json end_it = has_ended(job)
                              ? command("job-dismiss", {{"id", id}})
                              : command("block-job-cancel", {{"device", id}, {"force", true}});
      (void)ask(hypervisor, uuid, end_it);
    }
    if (end.expired())
      return fail(ErrorCode::kTimeout, "QEMU does not end its copies of {}.", uuid);
    std::this_thread::sleep_for(kLook);
  }
  ASSIGN_OR_RETURN(const Json nodes,
                   ask(hypervisor, uuid, command("query-named-block-nodes", {{"flat", true}})));
  if (!nodes.is_array()) return {};
  for (const Json& node : nodes) {
    const std::string name = text_of(node, "node-name");
    if (!name.starts_with(prefix)) continue;
    RETURN_IF_ERROR(ask(hypervisor, uuid, command("blockdev-del", {{"node-name", name}})));
  }
  return {};
}

}  // namespace drover::move
