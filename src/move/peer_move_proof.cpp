// SPDX-License-Identifier: Apache-2.0
// The proof, the source's side: before it lets go of anything, its disks, which nobody writes any
// more, are read and compared with what the destination was given, and with what its disks hold
// (docs/proof.md). The guest runs there meanwhile.
#include <algorithm>

#include "base/log.h"
#include "content/written_disk.h"
#include "move/cold/cold_files.h"
#include "move/frozen_disk.h"
#include "move/live/live_disks.h"
#include "move/peer_move.h"
#include "move/plan/shared_disks.h"
#include "move/volumes.h"
#include "preflight/image_format.h"
#include "preflight/layers.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using With = ProveRequest::With;
using content::kBlockBytes;
using content::kChunkBlocks;
using content::kChunkBytes;

constexpr std::uint64_t kPartChunks = 256;  // MiB a question: people may stop droverd in between
constexpr std::uint64_t kReadChunks = 32;   // likewise, where the destination reads its disk
constexpr std::uint64_t kCloseChunks = 16;  // likewise, block by block
constexpr auto kAskLimit = 60s;             // the first question of a disk makes its tree there
constexpr auto kAskAgain = 2s;
static_assert(kPartChunks <= kProveNamesMax && kCloseChunks * kChunkBlocks <= kProveNamesMax);

// Nothing is wrong with the disks; the other side cannot answer now.
bool worth_asking_again(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout;
}

// For whoever reads that something is not proven: it is no damage, but nobody has looked.
std::string advice(const Move& move) {
  const bool kept = move.plan.request.disposal == SourceDisposal::kQuarantine;
  return fmt::format(
      ". Nothing shows a loss. To be sure, check the file systems of {} on {}{}, or move it once "
      "more with --verify read-back.",
      move.plan.vm.name, move.destination,
      kept ? fmt::format(" while its old disks are in quarantine on {} (drover quarantine list)",
                         move.source)
           : "");
}

std::string difference_text(const std::string& target, std::size_t parts, std::uint64_t part_bytes,
                            std::uint64_t first) {
  const std::uint64_t offset = first * part_bytes;
  return fmt::format("disk {} differs in {} of its parts of {} KiB, first at {} MiB (byte {})",
                     target, parts, part_bytes / 1024, offset / kChunkBytes, offset);
}

}  // namespace

// What cannot be compared is said in the report and stops nothing; what differs stops everything.
StepResult PeerMove::prove() {
  // Found before droverd was restarted: the destination may have been told already to watch no
  // longer, so that it cannot be found again.
  if (job_.move.report && job_.move.report->proof && !job_.move.report->proof->difference.empty()) {
    // Somebody has looked at it since, and says that the destination's copy is the VM.
    const auto& said = job_.move.resolution;
    if (said && said->runs_on == job_.move.destination) return {};
    return disks_differ(job_.move.report->proof->difference);
  }
  Proof proof;
  proof.level = job_.move.plan.request.verification;
  const auto began = std::chrono::steady_clock::now();
  if (proof.level != Verification::kNone) {
    for (const auto& placement : copied_disks(job_.move.plan)) {
      // The destination took it only after its whole image had the hash of ours.
      if (travels_as_image(job_.move.plan, placement)) {
        proof.compared += placement.virtual_size;
        continue;
      }
      const auto compared = compare_disk(placement, proof);
      if (!compared) return compared;
      if (!proof.difference.empty()) break;
    }
  }
  if (!proof.text.empty()) {
    while (proof.text.ends_with('.')) proof.text.pop_back();
    proof.text += advice(job_.move);
  }
  proof.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began);
  const auto put_down = [&](Move& move) {
    if (move.report) move.report->proof = proof;
  };
  if (proof.difference.empty()) {
    const std::lock_guard lock(mutex_);
    put_down(job_.move);  // in the journal with the next phase
    return {};
  }
  change(put_down);  // at once: it may not be found a second time
  return disks_differ(proof.difference);
}

// In parts, each with what the destination was given, and, where wanted, with what it has.
StepResult PeerMove::compare_disk(const DiskPlacement& placement, Proof& proof) {
  const auto unproven = [&](ByteCount bytes, const std::string& why) {
    proof.unproven += bytes;
    if (proof.text.empty()) proof.text = why;
    log::warning("Move {}: disk {} is not proven: {}", job_.move.id, placement.target, why);
  };
  const auto folder = world_.carriage.paths(carrier_name()).mover_control.parent_path();
  // The files below it were compared as a whole before.
  const bool chain = preflight::stays_a_chain(job_.move.plan, placement.target);
  if (chain && proof.level == Verification::kReadBack) {
    proof.level = Verification::kAsSent;
    proof.text = fmt::format(
        "disk {} stays a chain: what it is built on was compared, its own image as it was sent",
        placement.target);
  }
  const auto volume = volume_at_source(placement);
  auto disk = volume ? FrozenDisk::open_volume(placement.source_path, *volume)
                     : FrozenDisk::open(placement.source_path,
                                        preflight::format_now(job_.move.plan, placement), folder,
                                        chain ? MapOf::kOwnImage : MapOf::kDisk);
  if (!disk) {
    unproven(placement.virtual_size, disk.error().text());
    return {};
  }
  for (std::uint64_t first = 0; first < disk->chunks();) {
    if (stop_.stop_requested()) return leave();
    const bool read_back = proof.level == Verification::kReadBack;
    const std::uint64_t count = read_back ? kReadChunks : kPartChunks;
    const ByteCount left{disk->bytes() - first * kChunkBytes};
    const ByteCount part{std::min<std::uint64_t>(left.bytes, count * kChunkBytes)};
    auto names = disk->names(first, count);
    if (!names) {
      unproven(left, names.error().text());
      return {};
    }
    const ProveRequest request{job_.move.epoch, With::kGiven, placement.target, first,
                               std::move(*names)};
    auto reply = ask_for_proof(request);
    if (!reply) return std::unexpected(reply.error());
    if (*reply && !(*reply)->different.empty()) {
      proof.difference = difference_text(placement.target, (*reply)->different.size(), kChunkBytes,
                                         (*reply)->different.front());
      return {};
    }
    ByteCount excluded;
    if (read_back) {
      auto read = read_back_part(*disk, request, proof, excluded);
      if (!read) return read;
      if (!proof.difference.empty()) return {};
    }
    // Read back and equal: it does not matter what is known of the way there.
    if (read_back && proof.level == Verification::kReadBack) {
      proof.excluded += excluded;
      proof.compared += ByteCount{part.bytes - excluded.bytes};
    } else if (!*reply) {
      unproven(left, reply->error().text());
      return {};
    } else {
      const ByteCount unknown{
          std::min<std::uint64_t>(part.bytes, (*reply)->unproven * kChunkBytes)};
      if (unknown.bytes > 0) unproven(unknown, (*reply)->text);
      proof.compared += ByteCount{part.bytes - unknown.bytes};
    }
    first += count;
  }
  return {};
}

// One part of a disk. Chunks that differ are looked at by blocks: the guest may have written there.
// Where it cannot be done the whole move is proven as sent only, and says why.
StepResult PeerMove::read_back_part(FrozenDisk& disk, ProveRequest request, Proof& proof,
                                    ByteCount& excluded) {
  const auto not_read = [&](const Error& error) {
    proof.level = Verification::kAsSent;
    proof.text = fmt::format("disk {} was not read back on {}: {}", request.target,
                             job_.move.destination, error.text());
    log::warning("Move {}: {}", job_.move.id, proof.text);
    return StepResult{};
  };
  request.with = With::kRead;
  auto chunks = ask_for_proof(request);
  if (!chunks) return std::unexpected(chunks.error());
  if (!*chunks) return not_read(chunks->error());
  std::vector<std::uint64_t> different;
  const auto& doubtful = (*chunks)->different;
  for (std::size_t i = 0; i < doubtful.size();) {
    if (stop_.stop_requested()) return leave();
    std::uint64_t count = 1;
    while (count < kCloseChunks && i + count < doubtful.size() &&
           doubtful[i + count] == doubtful[i] + count) {
      ++count;
    }
    auto names = disk.block_names(doubtful[i], count);
    if (!names) return not_read(names.error());
    auto blocks = ask_for_proof({job_.move.epoch, With::kReadBlock, request.target,
                                 doubtful[i] * kChunkBlocks, std::move(*names)});
    if (!blocks) return std::unexpected(blocks.error());
    if (!*blocks) return not_read(blocks->error());
    excluded += ByteCount{(*blocks)->excluded * kBlockBytes};
    different.insert(different.end(), (*blocks)->different.begin(), (*blocks)->different.end());
    i += count;
  }
  if (!different.empty()) {
    proof.difference =
        difference_text(request.target, different.size(), kBlockBytes, different.front());
  }
  return {};
}

// Again and again while nobody answers: there is time, the guest runs.
std::expected<Result<ProveReply>, StepFailure> PeerMove::ask_for_proof(
    const ProveRequest& request) {
  while (true) {
    const auto text = world_.peers.call(job_.move.destination, verb::kProve, to_json(request),
                                        Deadline::after(kAskLimit));
    if (text && withdraw_word()) return prove_reply_from_json(*text);
    if (!text && destination_is_lost(text.error()))
      return std::unexpected(give_up_destination().error());
    if (!text && !worth_asking_again(text.error()))
      return Result<ProveReply>(std::unexpected(text.error()));
    if (!text) {
      log::warning("Move {}: {} cannot compare yet: {}", job_.move.id, job_.move.destination,
                   text.error().text());
    }
    if (!pause_for(kAskAgain)) return leave();
  }
}

}  // namespace drover::move
