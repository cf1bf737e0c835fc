// SPDX-License-Identifier: Apache-2.0
// The proof "as sent": before the source lets go of anything, its disks, which nobody writes any
// more, are read and compared with what the destination was given (docs/proof.md). The guest runs
// there meanwhile.
#include <algorithm>

#include "base/log.h"
#include "content/written_disk.h"
#include "move/frozen_disk.h"
#include "move/live_move.h"
#include "move/shared_disks.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kPartChunks = 256;  // MiB a question: people may stop droverd in between
constexpr auto kAskLimit = 60s;             // the first question of a disk makes its tree there
constexpr auto kAskAgain = 2s;
static_assert(kPartChunks <= kProveNamesMax);

// Nothing is wrong with the disks; the other side cannot answer now.
bool worth_asking_again(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout;
}

}  // namespace

// What cannot be compared is said in the report and stops nothing; what differs stops everything.
StepResult LiveMove::prove() {
  Proof proof;
  proof.level = job_.move.plan.request.verification;
  const auto began = std::chrono::steady_clock::now();
  std::string difference;
  if (proof.level != Verification::kNone) {
    for (const auto& placement : copied_disks(job_.move.plan)) {
      const auto compared = compare_disk(placement, proof, difference);
      if (!compared) return compared;
      if (!difference.empty()) break;
    }
  }
  proof.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  change([&](Move& move) {
    if (move.report) move.report->proof = proof;
  });
  if (difference.empty()) return {};
  const Move& move = job_.move;
  return parked(
      Error{ErrorCode::kCorrupt, Retry::kNever, difference, {}},
      fmt::format("{0} runs on {1}, but what {1} was given is not what {2} has: {3} Nothing was "
                  "released: {2} keeps its disks and the definition, and both hosts know that {0} "
                  "may run on {1} only. Look at the file systems of {0} on {1}. If they are whole, "
                  "put the disks on {2} aside and remove the definition there: virsh undefine "
                  "--keep-nvram {4}. If not, shut {0} down on {1} and copy the disks of {2} over "
                  "the ones there before it is started again.",
                  move.plan.vm.name, move.destination, move.source, difference, uuid()));
}

// In parts. `difference` is set, for people, if there is one.
StepResult LiveMove::compare_disk(const DiskPlacement& placement, Proof& proof,
                                  std::string& difference) {
  const auto unproven = [&](ByteCount bytes, const std::string& why) {
    proof.unproven += bytes;
    if (proof.text.empty()) proof.text = why;
    log::warning("Move {}: disk {} is not proven: {}", job_.move.id, placement.target, why);
  };
  const auto folder = world_.carriage.paths(carrier_name()).mover_control.parent_path();
  auto disk = FrozenDisk::open(placement.source_path, placement.format, folder);
  if (!disk) {
    unproven(placement.virtual_size, disk.error().text());
    return {};
  }
  for (std::uint64_t first = 0; first < disk->chunks(); first += kPartChunks) {
    if (stop_.stop_requested()) return std::unexpected(StepFailure{AfterFailure::kLeave, {}});
    const ByteCount left{disk->bytes() - first * content::kChunkBytes};
    auto names = disk->names(first, kPartChunks);
    if (!names) {
      unproven(left, names.error().text());
      return {};
    }
    auto reply = ask_for_proof({job_.move.id, placement.target, first, std::move(*names)});
    if (!reply) return std::unexpected(reply.error());
    if (!*reply) {
      unproven(left, reply->error().text());
      return {};
    }
    const ByteCount part{std::min<std::uint64_t>(left.bytes, kPartChunks * content::kChunkBytes)};
    const ByteCount unknown{
        std::min<std::uint64_t>(part.bytes, (*reply)->unproven * content::kChunkBytes)};
    if (unknown.bytes > 0) unproven(unknown, (*reply)->text);
    if (!(*reply)->different.empty()) {
      difference = fmt::format(
          "disk {} differs in {} of the {} MiB from {} MiB on, first at {} MiB.", placement.target,
          (*reply)->different.size(), kPartChunks, first, (*reply)->different.front());
      return {};
    }
    proof.compared += ByteCount{part.bytes - unknown.bytes};
  }
  return {};
}

// Again and again while nobody answers: there is time, the guest runs.
std::expected<Result<ProveReply>, StepFailure> LiveMove::ask_for_proof(
    const ProveRequest& request) {
  while (true) {
    const auto text = world_.peers.call(job_.move.destination, verb::kProve, to_json(request),
                                        Deadline::after(kAskLimit));
    if (text) return prove_reply_from_json(*text);
    if (!worth_asking_again(text.error())) return Result<ProveReply>(std::unexpected(text.error()));
    log::warning("Move {}: {} cannot compare yet: {}", job_.move.id, job_.move.destination,
                 text.error().text());
    if (!pause_for(kAskAgain)) return std::unexpected(StepFailure{AfterFailure::kLeave, {}});
  }
}

}  // namespace drover::move
