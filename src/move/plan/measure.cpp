// SPDX-License-Identifier: Apache-2.0
#include "move/plan/measure.h"

#include <algorithm>

#include <sys/stat.h>

#include "base/random.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_speed.h"
#include "move/message_json.h"
#include "move/peer_messages.h"
#include "move/residue/residue.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kDiskLimit = 150ms;
constexpr std::size_t kFoldersMax = 16;
// A switch or a shaper lets so much pass at once; less says nothing about the rate.
constexpr std::size_t kFirstPadding = 512 * 1024;
constexpr auto kShort = 50ms;    // a body that took less is followed by larger ones
constexpr auto kEnough = 250ms;  // of sending
constexpr int kEmptyBodies = 2;
constexpr int kLargeBodies = 4;
constexpr auto kAnswerLimit = 8s;  // of one body: 3 MiB at 4 Mbit/s

// A peer's words are no paths: only what this host's administrator allows is tried.
BytesPerSecond slowest(World& world, const std::vector<std::string>& folders) {
  const auto facts = world.hypervisor.host_facts();
  if (!facts) return {};
  const auto allowed = preflight::usable_folders(*facts, world.book.settings());
  BytesPerSecond least;
  for (std::size_t i = 0; i < std::min(folders.size(), kFoldersMax); ++i) {
    const auto folder = open_allowed_folder(folders[i], allowed);
    if (!folder) continue;
    struct stat device{};
    if (::fstat(folder->get(), &device) != 0) continue;
    // By device, and kept for a while: who asks again and again writes no more than this.
    const BytesPerSecond speed = world.forecaster->disks().get(
        fmt::format("write {}", device.st_dev),
        [&] { return writing_speed(folder->get(), kDiskLimit).value_or(BytesPerSecond{}); });
    if (speed.value > 0 && (least.value == 0 || speed < least)) least = speed;
  }
  return least;
}

std::chrono::seconds age_of(std::chrono::system_clock::time_point since) {
  const auto age = std::chrono::system_clock::now() - since;
  return std::max(0s, std::chrono::duration_cast<std::chrono::seconds>(age));
}

// How long one body takes to get there and be answered.
Result<Clock::duration> time_body(World& world, const std::string& peer, const std::string& address,
                                  std::size_t size) {
  const std::string body = to_json(MeasureRequest{{}, {}, size});
  const auto begun = Clock::now();
  const auto reply =
      world.peers.call_at(peer, address, verb::kMeasure, body, Deadline::after(kAnswerLimit));
  if (!reply) return std::unexpected(reply.error());
  return Clock::now() - begun;
}

// What an empty body takes is the way there and back, and the work at both ends.
BytesPerSecond measure_path(World& world, const std::string& peer, const std::string& address) {
  if (!time_body(world, peer, address, 0)) return {};  // dialled, and kept for the next ones
  Clock::duration empty = kAnswerLimit;
  for (int body = 0; body < kEmptyBodies; ++body) {
    const auto one = time_body(world, peer, address, 0);
    if (!one) return {};
    empty = std::min(empty, *one);
  }
  double best = 0, first = 0;
  Clock::duration took{0};
  for (int body = 0; body <= kLargeBodies && (body < 2 || took < kEnough); ++body) {
    const std::size_t size = body == 0 || took > kShort * 4 ? kFirstPadding : kPaddingMax;
    const auto one = time_body(world, peer, address, size);
    if (!one) return {};
    // Where the empty one was slow by chance, the difference would be next to nothing.
    const auto travelled = std::max(*one - empty, *one / 2);
    const double rate =
        static_cast<double>(size) / std::chrono::duration<double>(travelled).count();
    took += travelled;
    // The first one is within what a shaper lets pass: it only shows what may follow. A host that
    // was busy for a moment makes a body slower, and nothing makes one faster than the link.
    if (body == 0)
      first = rate;
    else
      best = std::max(best, rate);
  }
  return {static_cast<std::uint64_t>(best > 0 ? best : first)};
}

}  // namespace

// Spaces after a JSON text belong to it. Nothing on the way makes them smaller: TLS does not
// compress, and the mover, which would, is not asked.
std::string to_json(const MeasureRequest& value) {
  return dump({{"vm", value.vm_uuid}, {"folders", value.folders}}) +
         std::string(std::min(value.padding, kPaddingMax), ' ');
}

Result<MeasureRequest> measure_request_from_json(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(' ') + 1);  // the time to read them is no travel
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "question for a forecast"));
  MeasureRequest value;
  value.vm_uuid = reader.text("vm");
  if (const auto* folders = reader.elements("folders")) {
    for (const auto& folder : *folders) {
      if (!folder.is_string())
        return fail(ErrorCode::kProtocol, "A folder in the question for a forecast is no text.");
      value.folders.push_back(folder.get<std::string>());
    }
  }
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const MeasureReply& value) {
  return dump({{"write_bytes_per_second", value.write.value},
               {"held_disks_bytes", value.held_disks.bytes},
               {"held_memory_bytes", value.held_memory.bytes},
               {"age_seconds", value.age.count()}});
}

Result<MeasureReply> measure_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "answer for a forecast"));
  MeasureReply value;
  value.write.value = reader.number("write_bytes_per_second");
  value.held_disks.bytes = reader.number("held_disks_bytes");
  value.held_memory.bytes = reader.number("held_memory_bytes");
  const std::uint64_t age = reader.number("age_seconds");
  RETURN_IF_ERROR(reader.status());
  value.age = std::chrono::seconds(std::min<std::uint64_t>(age, 100'000'000));
  return value;
}

MeasureReply measure_here(World& world, std::string_view peer, const MeasureRequest& request) {
  MeasureReply reply;
  if (!request.folders.empty()) reply.write = slowest(world, request.folders);
  if (request.vm_uuid.empty()) return reply;
  // Of two moves that left something the newer is the better one; the older adds little.
  if (const auto disks = residue_of(world, request.vm_uuid, peer); disks && !disks->empty()) {
    for (const QuarantinedDisk& disk : *disks) {
      if (disk.move_id == disks->front().move_id) reply.held_disks += disk.allocated;
    }
  }
  if (!world.memories->find(request.vm_uuid, peer)) return reply;
  for (const QuarantinedDisk& memory : world.memories->list(world.book.settings())) {
    if (memory.vm_uuid != request.vm_uuid) continue;
    reply.held_memory = memory.allocated;
    reply.age = age_of(memory.since);
  }
  return reply;
}

BytesPerSecond measure_link(World& world, const Plan& plan) {
  const std::string& peer = plan.request.destination;
  BytesPerSecond sum;
  if (plan.networks.empty()) return measure_path(world, peer, "");
  for (const NetworkPair& pair : plan.networks) {
    const bool any = pair.network == kAnyNetwork;
    sum.value += measure_path(world, peer, any ? "" : pair.destination_address).value;
  }
  return sum;
}

}  // namespace drover::move
