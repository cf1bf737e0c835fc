// SPDX-License-Identifier: Apache-2.0
// Files that the disks of a move stand on, and discs: they are compared as a whole with what the
// destination has.
#include <algorithm>

#include <fcntl.h>

#include "content/file_digest.h"
#include "move/peer_move.h"
#include "move/regular_file.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// The destination reads the whole file meanwhile, from a slow disk maybe.
constexpr auto kCompareLeast = 5min;
constexpr std::uint64_t kCompareRate = 8u << 20;  // bytes a second
constexpr auto kCompareAgain = 250ms;

std::chrono::milliseconds compare_limit(const Plan& plan, const std::string& destination_path) {
  const auto file =
      std::ranges::find(plan.files, destination_path, &FilePlacement::destination_path);
  if (file == plan.files.end()) return kCompareLeast;
  const std::uint64_t bytes = std::max(file->virtual_size.bytes, file->allocated.bytes);
  return kCompareLeast + std::chrono::seconds(bytes / kCompareRate);
}

}  // namespace

// Before anything is reserved there: it takes as long as reading them does.
StepResult PeerMove::read_files() {
  digests_.clear();
  for (const FilePlacement& file : job_.move.plan.files) {
    if (!file.present || file.shared || digests_.contains(file.destination_path)) continue;
    const auto opened = open_layer(file.source_path);
    if (!opened) return undo_because(opened.error());
    auto digest = content::file_digest(opened->get(), stop_);
    if (auto interruption = interrupted(); !interruption) return interruption;
    if (!digest) {
      return undo_because(
          wrap(digest.error(), fmt::format("Cannot read {} as a whole.", file.source_path)));
    }
    digests_[file.destination_path] = std::move(*digest);
  }
  return {};
}

// A plan of an earlier droverd says of no file which one it was.
Result<UniqueFd> PeerMove::open_layer(const std::string& path) const {
  ASSIGN_OR_RETURN(UniqueFd opened, open_regular(path, O_RDONLY));
  const auto planned = std::ranges::find(job_.layers, path, &KnownFile::path);
  if (planned == job_.layers.end()) return opened;
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(opened.get(), path));
  if (seen.identity == identity_of(*planned)) return opened;
  return fail(ErrorCode::kConflict,
              "{} is another file on {} than when the move was planned. Fix: look who replaced it; "
              "then ask for the move of {} again.",
              path, job_.move.source, vm_name());
}

// Before the first byte of a disk goes out: it would be built on something else.
StepResult PeerMove::compare_files() {
  for (const auto& [path, digest] : digests_) {
    if (auto same = compare_file(path, digest); !same) return same;
  }
  return {};
}

StepResult PeerMove::compare_file(const std::string& path, const std::string& digest) {
  const Deadline limit = Deadline::after(compare_limit(job_.move.plan, path));
  while (true) {
    const auto reply =
        world_.peers.call(job_.move.destination, verb::kFile,
                          to_json(FileRequest{job_.move.epoch, path, digest}), limit);
    if (auto interruption = interrupted(); !interruption) return interruption;
    if (reply) return {};
    // It is still reading.
    const bool again = reply.error().code == ErrorCode::kTimeout && !limit.expired();
    if (!again) {
      return undo_because(
          wrap(reply.error(), fmt::format("What {} has as {} was not compared with the file here.",
                                          job_.move.destination, path)));
    }
    pause_for(kCompareAgain);
  }
}

}  // namespace drover::move
