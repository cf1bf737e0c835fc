// SPDX-License-Identifier: Apache-2.0
// A migration and what can be asked of it while it runs.
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

Status add(Parameters& parameters, const char* name, const std::string& value) {
  if (virTypedParamsAddString(&parameters.list, &parameters.count, &parameters.room, name,
                              value.c_str()) != 0) {
    return fail_libvirt("Cannot set up the migration");
  }
  return {};
}

Status add_all(Parameters& parameters, const MigrateCall& call) {
  RETURN_IF_ERROR(add(parameters, VIR_MIGRATE_PARAM_URI, call.memory_uri));
  RETURN_IF_ERROR(add(parameters, VIR_MIGRATE_PARAM_DEST_XML, call.destination_xml));
  if (!call.persistent_xml.empty()) {
    RETURN_IF_ERROR(add(parameters, VIR_MIGRATE_PARAM_PERSIST_XML, call.persistent_xml));
  }
  if (call.parallel_connections != 0 &&
      virTypedParamsAddInt(&parameters.list, &parameters.count, &parameters.room,
                           VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS,
                           static_cast<int>(call.parallel_connections)) != 0) {
    return fail_libvirt("Cannot set up the migration");
  }
  if (call.copied_disks.empty()) return {};
  RETURN_IF_ERROR(add(parameters, VIR_MIGRATE_PARAM_DISKS_URI, call.disks_uri));
  for (const auto& target : call.copied_disks) {
    RETURN_IF_ERROR(add(parameters, VIR_MIGRATE_PARAM_MIGRATE_DISKS, target));
  }
  return {};
}

}  // namespace

Status Adapter::migrate(const MigrateCall& call) {
  // Its own connection: the call occupies it for the whole move, and an abort must not queue behind
  // it.
  ASSIGN_OR_RETURN(const auto connection, connection_.open_own());
  ASSIGN_OR_RETURN(const auto domain, look_up(connection.get(), call.uuid));
  Parameters parameters;
  RETURN_IF_ERROR(add_all(parameters, call));
  // The source's definition stays: Drover removes it after the destination has proven that the
  // guest runs.
  unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;
  if (!call.persistent_xml.empty()) flags |= VIR_MIGRATE_PERSIST_DEST;
  if (!call.copied_disks.empty())
    flags |= call.keep_chains ? VIR_MIGRATE_NON_SHARED_INC : VIR_MIGRATE_NON_SHARED_DISK;
  // libvirt would judge by the type of the file system; the plan has proven it.
  if (call.shared_disks) flags |= VIR_MIGRATE_UNSAFE;
  if (call.parallel_connections != 0) flags |= VIR_MIGRATE_PARALLEL;
  if (call.slow_guest) flags |= VIR_MIGRATE_AUTO_CONVERGE;
  if (virDomainMigrateToURI3(domain.get(), call.connection_uri.c_str(), parameters.list,
                             static_cast<unsigned>(parameters.count), flags) != 0) {
    return fail_libvirt(fmt::format("libvirt's migration of the VM {} failed", call.uuid));
  }
  return {};
}

Result<JobProgress> Adapter::job_progress(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  int type = 0;
  Parameters stats;
  if (virDomainGetJobStats(found.get(), &type, &stats.list, &stats.count, 0) != 0) {
    // Not running any more, or itself incoming: no outgoing job either way.
    const int code = last_error_code();
    if (code == VIR_ERR_OPERATION_INVALID || code == VIR_ERR_OPERATION_UNSUPPORTED)
      return JobProgress{};
    return fail_libvirt(fmt::format("Cannot read the migration's progress of the VM {}", uuid));
  }
  JobProgress progress;
  const bool under_way = type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED;
  progress.active = under_way && stats.integer(VIR_DOMAIN_JOB_OPERATION) ==
                                     VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
  if (!progress.active) return progress;
  progress.disks_done = {stats.number(VIR_DOMAIN_JOB_DISK_PROCESSED)};
  progress.disks_total = {stats.number(VIR_DOMAIN_JOB_DISK_TOTAL)};
  progress.memory_done = {stats.number(VIR_DOMAIN_JOB_MEMORY_PROCESSED)};
  progress.memory_left = {stats.number(VIR_DOMAIN_JOB_MEMORY_REMAINING)};
  progress.memory_total = {stats.number(VIR_DOMAIN_JOB_MEMORY_TOTAL)};
  progress.memory_rate = {stats.number(VIR_DOMAIN_JOB_MEMORY_BPS)};
  progress.memory_iteration = stats.number(VIR_DOMAIN_JOB_MEMORY_ITERATION);
  progress.dirty_pages_per_second = stats.number(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE);
  if (const auto page = stats.number(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE); page != 0)
    progress.page_size = page;
  // All memory figures are zero while disks are mirrored (facts 2.5).
  progress.copying_memory = progress.memory_total.bytes != 0;
  return progress;
}

Result<CompletedJob> Adapter::completed_job(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  int type = 0;
  Parameters stats;
  if (virDomainGetJobStats(found.get(), &type, &stats.list, &stats.count,
                           VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED) !=
      0) {
    return fail_libvirt(
        fmt::format("Cannot read the statistics of the finished migration of the VM {}", uuid));
  }
  if (type != VIR_DOMAIN_JOB_COMPLETED) {
    return fail(ErrorCode::kNotFound, "No finished migration of the VM {} is on record.", uuid);
  }
  return CompletedJob{std::chrono::milliseconds(stats.number(VIR_DOMAIN_JOB_TIME_ELAPSED)),
                      std::chrono::milliseconds(stats.number(VIR_DOMAIN_JOB_DOWNTIME)),
                      {stats.number(VIR_DOMAIN_JOB_MEMORY_PROCESSED)},
                      {stats.number(VIR_DOMAIN_JOB_DISK_PROCESSED)}};
}

Status Adapter::abort_job(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainAbortJob(found.get()) != 0)
    return fail_libvirt(fmt::format("Cannot abort the job of the VM {}", uuid));
  return {};
}

Status Adapter::set_downtime_limit(std::string_view uuid, std::chrono::milliseconds limit) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainMigrateSetMaxDowntime(found.get(), static_cast<unsigned long long>(limit.count()),
                                     0) != 0) {
    return fail_libvirt(fmt::format("Cannot set the pause limit of the VM {}", uuid));
  }
  return {};
}

}  // namespace drover::libvirt
