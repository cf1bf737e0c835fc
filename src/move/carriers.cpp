// SPDX-License-Identifier: Apache-2.0
#include "move/carriers.h"

#include <fcntl.h>
#include <unistd.h>

#include "move/carrier_files.h"
#include "move/carrier_processes.h"

namespace drover::move {
namespace {

constexpr mode_t kFileMode = 0600;
// One that an earlier try at the same move left is begun anew.
constexpr int kWritesFlags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW;

}  // namespace

Result<std::unique_ptr<Carriers>> CarrierPrograms::start_source(const CarrierName& name,
                                                                const LinkSecret& secret,
                                                                std::vector<gate::FencedDisk> fence,
                                                                const RoadOptions& road) {
  auto carriers = std::make_unique<CarrierProcesses>(options_, name);
  if (auto started =
          carriers->start(gate::GateRole::kSource, secret, std::move(fence), {}, road, {});
      !started) {
    (void)carriers->stop();
    return std::unexpected(started.error());
  }
  return carriers;
}

Result<std::unique_ptr<Carriers>> CarrierPrograms::start_destination(const CarrierName& name,
                                                                     const LinkSecret& secret,
                                                                     std::string_view policy,
                                                                     DestinationFiles files) {
  DestinationGifts given{std::move(files.held),
                         std::move(files.group),
                         std::move(files.images),
                         std::move(files.memory),
                         {},
                         files.watch_guest,
                         files.gate,
                         std::move(files.take_file)};
  if (files.record_writes) {
    const std::string path = writes_path(options_, name);
    given.writes = UniqueFd(::open(path.c_str(), kWritesFlags, kFileMode));
    if (!given.writes) return fail_errno(fmt::format("Cannot create {}", path));
  }
  auto carriers = std::make_unique<CarrierProcesses>(options_, name);
  if (auto started = carriers->start(gate::GateRole::kDestination, secret, {}, policy, {}, given);
      !started) {
    (void)carriers->stop();
    return std::unexpected(started.error());
  }
  return carriers;
}

std::unique_ptr<Carriers> CarrierPrograms::attach(const CarrierName& name) {
  auto carriers = std::make_unique<CarrierProcesses>(options_, name);
  carriers->attach();
  return carriers;
}

CarrierPaths CarrierPrograms::paths(const CarrierName& name) const {
  return carrier_paths(options_, name);
}

Result<UniqueFd> CarrierPrograms::written(const CarrierName& name) {
  const std::string path = writes_path(options_, name);
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return fail_errno(fmt::format("Cannot open {}", path));
  return file;
}

std::filesystem::path CarrierPrograms::state_file(const CarrierName& name) const {
  return options_.writes_folder / (name.move_id + ".state");
}

Result<UniqueFd> CarrierPrograms::scratch_file() {
  const std::string folder = options_.writes_folder.string();
  UniqueFd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kFileMode));
  if (!file) return fail_errno(fmt::format("Cannot make a file in {}", folder));
  return file;
}

void CarrierPrograms::remove_files(const CarrierName& name) {
  remove_carrier_files(options_, name);
  ::unlink(writes_path(options_, name).c_str());
}

}  // namespace drover::move
