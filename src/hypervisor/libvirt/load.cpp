// SPDX-License-Identifier: Apache-2.0
// What a running guest holds and changes, for forecasts.
#include <algorithm>
#include <array>
#include <chrono>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

std::uint64_t number(const virDomainStatsRecord& record, const std::string& name) {
  unsigned long long value = 0;
  (void)virTypedParamsGetULLong(record.params, record.nparams, name.c_str(), &value);
  return value;
}

ByteCount written(const virDomainStatsRecord& record) {
  unsigned count = 0;
  (void)virTypedParamsGetUInt(record.params, record.nparams, "block.count", &count);
  ByteCount sum;
  for (unsigned i = 0; i < count; ++i)
    sum += ByteCount{number(record, fmt::format("block.{}.wr.bytes", i))};
  return sum;
}

int dirty_status(const virDomainStatsRecord& record) {
  int status = -1;
  (void)virTypedParamsGetInt(record.params, record.nparams, "dirtyrate.calc_status", &status);
  return status;
}

// A figure of an earlier measurement is not shown while a new one goes on.
std::optional<BytesPerSecond> dirty_rate(const virDomainStatsRecord& record) {
  if (dirty_status(record) != VIR_DOMAIN_DIRTYRATE_MEASURED) return std::nullopt;
  long long rate = 0;
  if (virTypedParamsGetLLong(record.params, record.nparams, "dirtyrate.megabytes_per_second",
                             &rate) != 1 ||
      rate < 0) {
    return std::nullopt;
  }
  return BytesPerSecond{static_cast<std::uint64_t>(rate) << 20U};
}

// QEMU tells when it began, in seconds, and does not say of which clock: 7.2 of the monotonic one.
std::chrono::seconds dirty_age(const virDomainStatsRecord& record) {
  using std::chrono::duration_cast;
  using std::chrono::seconds;
  constexpr long long kNoUptime = 1'000'000'000;  // 31 years; by the wall it was 2001
  long long start = 0;
  (void)virTypedParamsGetLLong(record.params, record.nparams, "dirtyrate.calc_start_time", &start);
  const seconds now =
      start > kNoUptime
          ? duration_cast<seconds>(std::chrono::system_clock::now().time_since_epoch())
          : duration_cast<seconds>(std::chrono::steady_clock::now().time_since_epoch());
  return std::max(seconds(0), now - seconds(start));
}

}  // namespace

Result<GuestLoad> Adapter::guest_load(std::string_view name_or_uuid) {
  ASSIGN_OR_RETURN(const auto found, find(name_or_uuid));
  std::array<virDomainPtr, 2> domains{found.get(), nullptr};
  Records records;
  records.count = virDomainListGetStats(
      domains.data(),
      VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_DIRTYRATE, &records.list,
      VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (records.count < 0)
    return fail_libvirt(fmt::format("Cannot read the statistics of the VM {}", name_or_uuid));
  GuestLoad load;
  if (records.count == 0) return load;
  const virDomainStatsRecord& record = *records.list[0];
  load.memory_held = kib(number(record, "balloon.rss"));
  load.disks_written = written(record);
  load.dirty_rate = dirty_rate(record);
  if (load.dirty_rate) load.dirty_age = dirty_age(record);
  load.measuring = dirty_status(record) == VIR_DOMAIN_DIRTYRATE_MEASURING;
  return load;
}

// By samples of pages: the only way that slows no guest and takes nothing from a migration.
Status Adapter::measure_dirtying(std::string_view name_or_uuid, std::chrono::seconds span) {
  ASSIGN_OR_RETURN(const auto found, find(name_or_uuid));
  if (virDomainIsActive(found.get()) != 1)
    return fail(ErrorCode::kConflict, "The VM {} does not run.", name_or_uuid);
  if (virDomainStartDirtyRateCalc(found.get(), static_cast<int>(span.count()),
                                  VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING) == 0) {
    return {};
  }
  auto failed =
      fail_libvirt(fmt::format("Cannot measure how much memory the VM {} changes", name_or_uuid));
  const auto load = guest_load(name_or_uuid);
  if (load && !load->dirty_rate) {
    // QEMU refuses a second measurement while one goes on, by an error without a code of its own.
    for (const std::string& cause : failed.error().causes) {
      if (cause.contains("still in measuring")) return {};
    }
  }
  return failed;
}

}  // namespace drover::libvirt
