// SPDX-License-Identifier: Apache-2.0
#include "move/carriers.h"

#include <atomic>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bounded_queue.h"
#include "base/file.h"
#include "base/log.h"
#include "base/percent.h"
#include "gate/gate_process.h"
#include "hypervisor/qemu_conf.h"
#include "move/residue/memory_store.h"
#include "move/road_keeper.h"
#include "mover/mover_process.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using net::SocketKind;

constexpr auto kStartLimit = 10s;
constexpr auto kAskLimit = 3s;
constexpr std::size_t kEventsMax = 1024;
constexpr mode_t kControlMode = 0600;
// libvirtd (root) and QEMU (its own user) connect to the source's sockets; libvirt hands them over
// where it must.
constexpr mode_t kRoadMode = 0666;
constexpr mode_t kSocketFolderMode = 0711;
// One that an earlier try at the same move left is begun anew.
constexpr int kWritesFlags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW;

// The events of both processes, in order of arrival. Outlives neither: shared with their handlers.
class EventQueue {
 public:
  void push(CarrierEvent event) { (void)queue_.push(std::move(event), 1, Deadline::after(0ms)); }
  std::optional<CarrierEvent> pop(Deadline deadline) { return queue_.pop(deadline); }

 private:
  BoundedQueue<CarrierEvent> queue_{kEventsMax, kEventsMax};
};

CarrierEvent translate(const gate::GateEvent& event) {
  using From = gate::GateEventKind;
  using To = CarrierEvent::Kind;
  switch (event.kind) {
    case From::kPolicyRefused:
      return {To::kPolicyRefused, false, event.error};
    case From::kSwitching:
      return {To::kSwitching, false, {}};
    case From::kFinishSeen:
      return {To::kFinishSeen, event.cancelled, {}};
    case From::kInDoubt:
      return {To::kInDoubt, false, event.error};
    case From::kEnded:
      return {To::kEnded, false, {}};
    case From::kPrepared:
    case From::kFinishReplied:
      break;
  }
  return {To::kOther, false, {}};
}

CarrierEvent translate(const mover::MoverEvent& event) {
  using From = mover::MoverEvent::Kind;
  using To = CarrierEvent::Kind;
  switch (event.kind) {
    case From::kLinkLost:
      return {To::kLinkLost, false, event.error};
    case From::kGaveUp:
      return {To::kGaveUp, false, event.error};
    case From::kGone:
      return {To::kMoverGone, false, {}};
    case From::kLinkUp:
    case From::kStreamOpened:
      break;
  }
  return {To::kOther, false, {}};
}

TransferKinds kinds_of(const mover::ContentCounts& counts) {
  const auto pages = [](std::uint64_t count) { return kib(4 * count); };
  return {.untouched = {counts.data_bytes},
          .zero = pages(counts.zero_pages),
          .same = pages(counts.same_pages),
          .cached = pages(counts.cached_pages),
          .own_disk = pages(counts.disk_pages),
          .residue = pages(counts.held_blocks),
          .group = pages(counts.group_blocks),
          .packed = {counts.packed_bytes},
          .wire = {counts.payload_bytes},
          .resent = pages(counts.resent_pages),
          .misses = counts.misses};
}

void count_pages(const mover::ContentCounts& counts, WireCount& out) {
  out.pages = counts.zero_pages + counts.same_pages + counts.cached_pages + counts.disk_pages +
              counts.literal_pages;
  out.resent_pages = counts.resent_pages;
  out.unchanged_pages = counts.same_pages;
}

// A key, in memory that is no file, for the mover alone.
Result<UniqueFd> secret_memory(std::span<const std::uint8_t> key) {
  UniqueFd fd(::memfd_create("drover-key", MFD_CLOEXEC));
  if (!fd) return fail_errno("Cannot create memory for a key");
  if (::write(fd.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size())) {
    return fail_errno("Cannot write a key");
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

CarrierPaths carrier_paths(const CarrierOptions& options, const CarrierName& name) {
  const auto road = [&](std::string_view what) {
    return options.socket_folder /
           fmt::format("{}.{}.tunnelmigrate.dest.{}", name.move_id, what, name.vm_name);
  };
  const auto folder = options.run_folder / name.move_id;
  CarrierPaths paths{road("rpc"),           road("mem"), road("nbd"), folder / "gate.sock",
                     folder / "mover.sock", {},          {},          {}};
  paths.connection_uri =
      "qemu+unix:///system?socket=" + percent_encoded(paths.rpc.string(), Slash::kParts);
  paths.memory_uri = "unix://" + percent_encoded(paths.memory.string(), Slash::kParts);
  paths.disks_uri = "unix://" + percent_encoded(paths.disks.string(), Slash::kParts);
  return paths;
}

std::string writes_path(const CarrierOptions& options, const CarrierName& name) {
  return options.writes_folder / name.move_id;
}

void remove_carrier_files(const CarrierOptions& options, const CarrierName& name) {
  const CarrierPaths paths = carrier_paths(options, name);
  for (const auto& path : {paths.rpc, paths.memory, paths.disks}) ::unlink(path.c_str());
  std::error_code ignored;  // what is left is found by drover doctor
  std::filesystem::remove_all(paths.gate_control.parent_path(), ignored);
}

// What the destination's processes alone are given.
struct DestinationGifts {
  std::vector<UniqueFd> held = {};
  std::vector<UniqueFd> group = {};
  std::vector<UniqueFd> images = {};
  std::shared_ptr<const MemoryFile> memory = {};
  UniqueFd writes = {};
  bool watch_guest = false;
  bool gate = true;
  std::function<Result<UniqueFd>()> take_file = {};
};

class RealCarriers final : public Carriers {
 public:
  RealCarriers(const CarrierOptions& options, CarrierName name)
      : options_(options), name_(std::move(name)), paths_(carrier_paths(options_, name_)) {}

  Status start(gate::GateRole role, const LinkSecret& secret, std::vector<gate::FencedDisk> fence,
               std::string_view policy, const RoadOptions& road, const DestinationGifts& gifts);
  void attach();

  bool gate_alive() override { return gate_ && !gate_gone_->load(); }
  bool mover_alive() override { return mover_ && !mover_gone_->load(); }
  std::optional<CarrierEvent> next_event(Deadline deadline) override {
    return events_->pop(deadline);
  }

  Result<GateState> gate_state() override {
    if (!gate_) return gate_missing();
    ASSIGN_OR_RETURN(const gate::GateStatus status, gate_->status(Deadline::after(kAskLimit)));
    return GateState{status.finish_seen && !status.finish_cancelled, status.in_doubt, status.held};
  }
  Status standstill() override {
    if (!gate_) return gate_missing();
    return gate_->standstill(Deadline::after(kAskLimit));
  }
  Status deliver_runs(std::int32_t domain_id) override {
    if (!gate_) return gate_missing();
    return gate_->deliver_runs(domain_id, Deadline::after(kAskLimit));
  }
  Status deliver_not_run(std::string_view why) override {
    if (!gate_) return gate_missing();
    return gate_->deliver_not_run(std::string(why), Deadline::after(kAskLimit));
  }
  Status add_link(std::uint16_t number, UniqueFd link) override {
    if (!mover_)
      return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
    return mover_->add_link(number, link.get(), Deadline::after(kAskLimit));
  }
  Result<WireCount> wire_count() override {
    if (!mover_)
      return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
    ASSIGN_OR_RETURN(const mover::SessionStatus status, mover_->status(Deadline::after(kAskLimit)));
    WireCount count;
    count.sent = {status.bytes_sent};
    count.received = {status.bytes_received};
    count.up = status.links;
    for (const auto& link : status.carried) count.carried[link.number] = {link.bytes};
    count.saturated = status.saturated;
    count.kinds = kinds_of(status.content);
    count_pages(status.content, count);
    for (const auto& stream : status.streams) {
      if (stream.kind == mover::StreamKind::kMemory) {
        count.memory_taken = {stream.sent_bytes};
        count.memory_applied = {stream.acknowledged_bytes};
      }
      if (stream.kind == mover::StreamKind::kDisks) count.disks_taken = {stream.sent_bytes};
    }
    return count;
  }
  Status set_bandwidth(BytesPerSecond bandwidth) override {
    if (!mover_)
      return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
    return mover_->set_bandwidth(bandwidth.value, Deadline::after(kAskLimit));
  }
  Status hold_memory(bool held) override {
    if (!mover_)
      return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
    return mover_->hold_memory(held, Deadline::after(kAskLimit));
  }
  Status pass_memory(std::chrono::milliseconds span) override {
    if (!mover_)
      return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
    return mover_->pass_memory(span, Deadline::after(kAskLimit));
  }
  Status hold_disks(std::chrono::milliseconds span) override {
    if (!mover_)
      return fail(ErrorCode::kUnavailable, "The mover of move {} is gone.", name_.move_id);
    return mover_->hold_disks(span, Deadline::after(kAskLimit));
  }
  Status stop() override;

 private:
  std::unexpected<Error> gate_missing() const {
    return fail(ErrorCode::kUnavailable, "The gate of move {} is gone.", name_.move_id);
  }
  Status start_gate(gate::GateRole role, int rpc, int mover, std::vector<gate::FencedDisk> fence,
                    std::string_view policy, const DestinationGifts& gifts);
  Status start_mover(gate::GateRole role, int rpc, int gate, const LinkSecret& secret,
                     const RoadOptions& road, const DestinationGifts& gifts);

  // The handlers run on the processes' reader threads, also while those are being destroyed: they
  // hold what they use.
  gate::GateProcess::Handlers gate_handlers() {
    return {[events = events_](const gate::GateEvent& event) { events->push(translate(event)); },
            [events = events_, gone = gate_gone_] {
              gone->store(true);
              events->push({CarrierEvent::Kind::kGateGone, false, {}});
            }};
  }
  mover::MoverProcess::EventHandler mover_handler() {
    return [events = events_, gone = mover_gone_](const mover::MoverEvent& event) {
      if (event.kind == mover::MoverEvent::Kind::kGone) gone->store(true);
      events->push(translate(event));
    };
  }

  const CarrierOptions options_;
  const CarrierName name_;
  const CarrierPaths paths_;
  std::shared_ptr<EventQueue> events_ = std::make_shared<EventQueue>();
  std::shared_ptr<std::atomic<bool>> gate_gone_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<std::atomic<bool>> mover_gone_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<gate::GateProcess> gate_;
  std::unique_ptr<mover::MoverProcess> mover_;
  std::unique_ptr<RoadKeeper> keeper_;  // instead of a gate
};

Status RealCarriers::start(gate::GateRole role, const LinkSecret& secret,
                           std::vector<gate::FencedDisk> fence, std::string_view policy,
                           const RoadOptions& road, const DestinationGifts& gifts) {
  RETURN_IF_ERROR(make_folder(options_.socket_folder, kSocketFolderMode));
  RETURN_IF_ERROR(give_folder_to_qemu(options_.socket_folder, qemu_conf().user));
  RETURN_IF_ERROR(make_folder(paths_.gate_control.parent_path(), 0700));
  ASSIGN_OR_RETURN(auto rpc, net::socket_pair(SocketKind::kStream));
  ASSIGN_OR_RETURN(auto talk, net::socket_pair(SocketKind::kPackets));
  if (road.gate && gifts.gate) {
    RETURN_IF_ERROR(
        start_gate(role, rpc.first.get(), talk.first.get(), std::move(fence), policy, gifts));
  } else {
    keeper_ = std::make_unique<RoadKeeper>(std::move(rpc.first), std::move(talk.first),
                                           paths_.disks, gifts.take_file);
  }
  return start_mover(role, rpc.second.get(), talk.second.get(), secret, road, gifts);
}

Status RealCarriers::start_gate(gate::GateRole role, int rpc, int mover,
                                std::vector<gate::FencedDisk> fence, std::string_view policy,
                                const DestinationGifts& gifts) {
  gate::GateStart start;
  start.move = name_.move_id;
  start.role = role;
  start.vm_name = name_.vm_name;
  start.vm_uuid = name_.vm_uuid;
  start.epoch = name_.epoch;
  start.instance = options_.instance_id;
  gate::GateDescriptors descriptors;
  ASSIGN_OR_RETURN(const UniqueFd control,
                   net::listen_unix(paths_.gate_control, SocketKind::kPackets, kControlMode));
  const UniqueFd records(
      ::open(options_.records_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!records) return fail_errno(fmt::format("Cannot open {}", options_.records_folder.string()));
  descriptors.control = control.get();
  descriptors.records = records.get();
  descriptors.rpc = rpc;
  descriptors.mover = mover;
  UniqueFd listen;
  if (role == gate::GateRole::kSource) {
    ASSIGN_OR_RETURN(listen, net::listen_unix(paths_.rpc, SocketKind::kStream, kControlMode));
    descriptors.listen = listen.get();
    for (const auto& disk : fence) descriptors.fences.push_back({disk.target, disk.image.get()});
  } else {
    start.libvirt_socket = options_.libvirt_socket;
    start.memory_socket = paths_.memory;
    start.disks_socket = paths_.disks;
    start.watch = gifts.watch_guest;
    ASSIGN_OR_RETURN(start.policy, gate::parse_policy(policy));
  }
  ASSIGN_OR_RETURN(gate_, gate::GateProcess::start(options_.gate_program, start, descriptors,
                                                   gate_handlers(), Deadline::after(kStartLimit)));
  return {};
}

Status RealCarriers::start_mover(gate::GateRole role, int rpc, int gate, const LinkSecret& secret,
                                 const RoadOptions& road, const DestinationGifts& gifts) {
  mover::MoverSettings start;
  start.move = name_.move_id;
  start.role = role == gate::GateRole::kSource ? mover::Role::kSource : mover::Role::kDestination;
  start.identity = secret.identity;
  start.patience = options_.patience;
  start.pause_budget = options_.pause_budget;
  start.content = road.performance != Performance::kDirect;
  start.references = road.references;
  start.bandwidth_bytes_per_second = road.bandwidth.value;
  start.link_bytes_per_second = road.link.value;
  mover::MoverDescriptors descriptors;
  ASSIGN_OR_RETURN(const UniqueFd control,
                   net::listen_unix(paths_.mover_control, SocketKind::kPackets, kControlMode));
  ASSIGN_OR_RETURN(const UniqueFd key, secret_memory(secret.key));
  descriptors.control = control.get();
  descriptors.psk = key.get();
  descriptors.rpc = rpc;
  descriptors.gate = gate;
  UniqueFd memory, disks;
  if (role == gate::GateRole::kSource) {
    ASSIGN_OR_RETURN(memory, net::listen_unix(paths_.memory, SocketKind::kStream, kRoadMode));
    ASSIGN_OR_RETURN(disks, net::listen_unix(paths_.disks, SocketKind::kStream, kRoadMode));
    descriptors.memory = memory.get();
    descriptors.disks = disks.get();
  } else if (gifts.writes) {
    descriptors.writes = gifts.writes.get();
  }
  const MemoryFile* kept = role == gate::GateRole::kSource ? road.keep.get() : gifts.memory.get();
  UniqueFd kept_key;
  if (kept != nullptr) {
    ASSIGN_OR_RETURN(kept_key, secret_memory(kept->key));
    descriptors.kept = kept->file.get();
    descriptors.kept_key = kept_key.get();
  }
  for (const UniqueFd& file : gifts.held) descriptors.held.push_back(file.get());
  for (const UniqueFd& file : gifts.group) descriptors.group.push_back(file.get());
  for (const UniqueFd& file : gifts.images) descriptors.images.push_back(file.get());
  ASSIGN_OR_RETURN(mover_,
                   mover::MoverProcess::start(options_.mover_program, start, descriptors,
                                              mover_handler(), Deadline::after(kStartLimit)));
  return {};
}

void RealCarriers::attach() {
  auto gate =
      gate::GateProcess::attach(paths_.gate_control, gate_handlers(), Deadline::after(kAskLimit));
  if (gate) gate_ = std::move(*gate);
  auto mover = mover::MoverProcess::attach(paths_.mover_control, mover_handler(),
                                           Deadline::after(kAskLimit));
  if (mover) mover_ = std::move(*mover);
}

// The gate first: it may refuse, or be busy and forward FINISH yet, and then the mover must stay as
// well. Only one whose channel is closed needs no answer.
Status RealCarriers::stop() {
  if (gate_alive()) {
    if (auto stopped = gate_->stop(Deadline::after(kAskLimit));
        !stopped && stopped.error().code != ErrorCode::kUnavailable) {
      return stopped;
    }
  }
  if (mover_alive()) (void)mover_->stop(Deadline::after(kAskLimit));
  gate_.reset();
  mover_.reset();
  keeper_.reset();
  remove_carrier_files(options_, name_);
  return {};
}

}  // namespace

Result<std::unique_ptr<Carriers>> CarrierPrograms::start_source(const CarrierName& name,
                                                                const LinkSecret& secret,
                                                                std::vector<gate::FencedDisk> fence,
                                                                const RoadOptions& road) {
  auto carriers = std::make_unique<RealCarriers>(options_, name);
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
    given.writes = UniqueFd(::open(path.c_str(), kWritesFlags, kControlMode));
    if (!given.writes) return fail_errno(fmt::format("Cannot create {}", path));
  }
  auto carriers = std::make_unique<RealCarriers>(options_, name);
  if (auto started = carriers->start(gate::GateRole::kDestination, secret, {}, policy, {}, given);
      !started) {
    (void)carriers->stop();
    return std::unexpected(started.error());
  }
  return carriers;
}

std::unique_ptr<Carriers> CarrierPrograms::attach(const CarrierName& name) {
  auto carriers = std::make_unique<RealCarriers>(options_, name);
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
  UniqueFd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kControlMode));
  if (!file) return fail_errno(fmt::format("Cannot make a file in {}", folder));
  return file;
}

void CarrierPrograms::remove_files(const CarrierName& name) {
  remove_carrier_files(options_, name);
  ::unlink(writes_path(options_, name).c_str());
}

}  // namespace drover::move
