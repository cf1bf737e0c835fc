// SPDX-License-Identifier: Apache-2.0
#include "mover/held_pump.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "content/content_name.h"
#include "content/held_names.h"
#include "content/veiled_name.h"
#include "mover/limits.h"
#include "mover/pack_pool.h"
#include "mover/said_names.h"

namespace drover::mover {
namespace {

// Named in one frame of at most 4 KiB of names: small, so that what goes before it on the link
// waits for little.
constexpr std::size_t kStepBytes = 1u << 20;
constexpr std::size_t kReadBytes = 128u << 10;  // stays in a processor's cache until it is named
// A tenth of a processor that others want too: the guests of this host come first.
constexpr int kNiceness = 10;

// A part of a file: at most kStepBytes from a block's start on.
struct Step {
  std::uint8_t file = 0;
  HeldFiles::Extent extent;
};

struct NamedBlock {
  std::uint64_t block = 0;
  content::Name name{};
};

class HeldNamer {
 public:
  HeldNamer(StreamOwner& owner, Stream& stream, const HeldFiles& files,
            const content::ContentKey& key)
      : owner_(owner), stream_(stream), files_(files), key_(key) {}

  // The VM's own disks first: what they have too is not said of a file that others write. Kept
  // memory last: disks are copied meanwhile.
  void name_all() {
    name_files(0, content::kOwnDisksMax);
    name_files(content::kOwnFilesMax, content::kHeldFilesMax);
    name_files(content::kKeptMemoryFile, content::kOwnFilesMax);
  }

 private:
  void name_files(std::uint8_t first, std::uint8_t end) {
    next_ = {.file = first, .extent = {}};
    std::vector<std::jthread> others;
    while (others.size() + 1 < pack_workers()) others.emplace_back([&] { name_until(end); });
    name_until(end);
  }

  // Several threads at once.
  void name_until(std::size_t end_file) {
    ::setpriority(PRIO_PROCESS, 0, kNiceness);  // of this thread alone
    const content::Namer namer(key_);
    std::vector<std::uint8_t> buffer(kReadBytes);
    while (const auto step = next_step(end_file)) {
      const auto named = name_step(*step, namer, buffer);
      const std::lock_guard lock(mutex_);
      over_ = over_ || !say(step->file, named);
    }
  }

  // Nothing: all is given out, or no more is wanted.
  std::optional<Step> next_step(std::size_t end_file) {
    // Further on nothing is indexed; a sparse file may be as long as it likes.
    constexpr std::uint64_t kEnd =
        (content::DiskIndex::kBlockMax - content::kHeldRunMax) * content::kBlockBytes;
    const std::lock_guard lock(mutex_);
    while (!over_ && next_.extent.begin >= next_.extent.end) {
      if (next_.file >= end_file) return {};
      const auto found =
          files_.has(next_.file) ? files_.next_extent(next_.file, next_.extent.end) : std::nullopt;
      if (!found) {
        next_ = {.file = static_cast<std::uint8_t>(next_.file + 1), .extent = {}};
        continue;
      }
      over_ = found->end > kEnd;
      next_.extent = {found->begin / content::kBlockBytes * content::kBlockBytes, found->end};
    }
    if (over_) return {};
    Step step = next_;
    step.extent.end = std::min(step.extent.end, step.extent.begin + kStepBytes);
    next_.extent.begin = step.extent.end;
    return step;
  }

  // What the file fails to give is not named, nor what comes after it there.
  std::vector<NamedBlock> name_step(const Step& step, const content::Namer& namer,
                                    std::span<std::uint8_t> buffer) {
    std::vector<NamedBlock> named;
    for (std::uint64_t at = step.extent.begin; at < step.extent.end; at += buffer.size()) {
      const std::uint64_t left = step.extent.end - at + content::kBlockBytes - 1;
      const std::uint64_t blocks =
          std::min<std::uint64_t>(left, buffer.size()) / content::kBlockBytes;
      const auto wanted = buffer.first(blocks * content::kBlockBytes);
      auto bytes =
          std::span<const std::uint8_t>(wanted).first(files_.read_at(step.file, at, wanted));
      const bool failed = bytes.size() < wanted.size();
      for (std::uint64_t block = at / content::kBlockBytes; bytes.size() >= content::kBlockBytes;
           ++block, bytes = bytes.subspan(content::kBlockBytes)) {
        const auto content = bytes.first<content::kBlockBytes>();
        if (!content::is_zero(content)) named.push_back({block, namer.name(content)});
      }
      if (failed) {
        leave_file(step.file);
        break;
      }
    }
    return named;
  }

  void leave_file(std::uint8_t file) {
    const std::lock_guard lock(mutex_);
    if (next_.file == file) next_ = {.file = static_cast<std::uint8_t>(file + 1), .extent = {}};
  }

  // False: no more is wanted, or allowed. Asks for room even with nothing to say: so a session that
  // ended, or a source that wants no more, is noticed within a step.
  bool say(std::uint8_t file, std::span<const NamedBlock> named) {
    const bool is_group = file >= content::kOwnFilesMax;
    std::vector<std::uint8_t> said;
    content::HeldRun run{.file = file, .first = 0, .names = {}};
    const auto end_run = [&] {
      if (!run.names.empty()) content::append_held_run(said, run);
      run.names.clear();
    };
    for (const auto& [block, name] : named) {
      if (said_.take(name)) continue;
      if (++count_ > content::kHeldBlocksMax) return false;
      if (run.first + run.names.size() != block) end_run();
      if (run.names.empty()) run.first = block;
      run.names.push_back(is_group ? content::veiled(name) : name);
    }
    end_run();
    if (owner_.reserve(stream_) == 0) return false;
    owner_.took(stream_, said.empty() ? Chunk() : chunk_of(said));
    return true;
  }

  StreamOwner& owner_;
  Stream& stream_;
  const HeldFiles& files_;
  const content::ContentKey& key_;
  std::mutex
      mutex_;  // guards what follows; held while room is waited for, so that frames are whole
  bool over_ = false;
  Step next_;  // what is left of an extent; what comes after it is asked of the file then
  SaidNames said_;
  std::uint64_t count_ = 0;
};

// What reserve() gives holds a step: a name is 16 bytes, and a head stands before at most every
// second block.
static_assert(kStepBytes / content::kBlockBytes * 32 <= kReadLeastBytes);

}  // namespace

void name_held(StreamOwner& owner, Stream& stream, const HeldFiles& files,
               const content::ContentKey& key) {
  HeldNamer(owner, stream, files, key).name_all();
  owner.reading_ended(stream);
}

void learn_held(StreamOwner& owner, Stream& stream, content::SourceContent& content) {
  content::HeldRunReader reader(
      [&](const content::DiskBlock& at, const content::Name& name) { content.add_held(at, name); });
  bool wanted = true;
  while (const auto frame = owner.next_to_write(stream)) {
    const Status read = wanted ? reader.feed(frame->payload.view()) : Status{};
    if (!read) owner.broken(stream, read.error());
    if (wanted && (!read || content.guest_is_stopped() || !content.names_content())) {
      wanted = false;
      owner.local_reader_gone(stream);
      continue;
    }
    if (wanted) owner.wrote(stream, frame->payload.size);
  }
  owner.writing_ended(stream);
}

void say_nothing(StreamOwner& owner, Stream& stream) { owner.reading_ended(stream); }

void take_nothing(StreamOwner& owner, Stream& stream) {
  while (owner.next_to_write(stream)) owner.local_reader_gone(stream);
  owner.writing_ended(stream);
}

}  // namespace drover::mover
