// SPDX-License-Identifier: Apache-2.0
#include "mover/held_pump.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <sys/resource.h>

#include "content/content_name.h"
#include "content/held_names.h"
#include "content/veiled_name.h"
#include "mover/limits.h"
#include "mover/said_names.h"

namespace drover::mover {
namespace {

// Read at once and named in one frame of at most 4 KiB of names: small, so that what goes before it
// on the link waits for little.
constexpr std::size_t kStepBytes = 1u << 20;
// A tenth of a processor that others want too: the guests of this host come first.
constexpr int kNiceness = 10;

bool is_zero(std::span<const std::uint8_t> bytes) {
  return bytes[0] == 0 && std::equal(bytes.begin() + 1, bytes.end(), bytes.begin());
}

class HeldNamer {
 public:
  HeldNamer(StreamOwner& owner, Stream& stream, const HeldFiles& files,
            const content::ContentKey& key)
      : owner_(owner), stream_(stream), files_(files), namer_(key) {}

  void name_all() {
    for (std::uint8_t file = 0; file < content::kHeldFilesMax; ++file) {
      if (!files_.has(file)) continue;
      std::uint64_t from = 0;
      while (const auto extent = files_.next_extent(file, from)) {
        if (!name_extent(file, *extent)) return;
        from = extent->end;
      }
    }
  }

 private:
  // False: no more is wanted, or allowed. What the file fails to give is not named.
  bool name_extent(std::uint8_t file, const HeldFiles::Extent& extent) {
    // Further on nothing is indexed; a sparse file may be as long as it likes.
    constexpr std::uint64_t kEnd =
        (content::DiskIndex::kBlockMax - content::kHeldRunMax) * content::kBlockBytes;
    if (extent.end > kEnd) return false;
    std::uint64_t at = extent.begin / content::kBlockBytes * content::kBlockBytes;
    while (at < extent.end) {
      const std::uint64_t left = extent.end - at + content::kBlockBytes - 1;
      const std::uint64_t blocks = std::min(left, kStepBytes) / content::kBlockBytes;
      const auto step = std::span(buffer_).first(blocks * content::kBlockBytes);
      const std::size_t read = files_.read_at(file, at, step);
      if (!name_step(file, at / content::kBlockBytes, step.first(read))) return false;
      if (read < step.size()) return true;
      at += step.size();
    }
    return true;
  }

  bool name_step(std::uint8_t file, std::uint64_t first, std::span<const std::uint8_t> bytes) {
    std::vector<std::uint8_t> said;
    const bool is_group = file >= content::kOwnFilesMax;
    content::HeldRun run{.file = file, .first = first, .names = {}};
    const auto end_run = [&](std::uint64_t next) {
      if (!run.names.empty()) content::append_held_run(said, run);
      run.names.clear();
      run.first = next;
    };
    for (; bytes.size() >= content::kBlockBytes; bytes = bytes.subspan(content::kBlockBytes)) {
      const auto block = bytes.first<content::kBlockBytes>();
      ++first;
      if (is_zero(block)) {
        end_run(first);
        continue;
      }
      const content::Name name = namer_.name(block);
      if (said_.take(name)) {
        end_run(first);
        continue;
      }
      if (++named_ > content::kHeldBlocksMax) return false;
      run.names.push_back(is_group ? content::veiled(name) : name);
    }
    end_run(first);
    return say(said);
  }

  // Asks for room even with nothing to say: so a session that ended, or a source that wants no
  // more, is noticed within a step.
  bool say(std::span<const std::uint8_t> bytes) {
    if (owner_.reserve(stream_) == 0) return false;
    Chunk chunk;
    if (!bytes.empty()) {
      chunk = {std::make_shared<std::uint8_t[]>(bytes.size()), bytes.size()};
      std::memcpy(chunk.bytes.get(), bytes.data(), bytes.size());
    }
    owner_.took(stream_, std::move(chunk));
    return true;
  }

  StreamOwner& owner_;
  Stream& stream_;
  const HeldFiles& files_;
  const content::Namer namer_;
  SaidNames said_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kStepBytes);
  std::uint64_t named_ = 0;
};

// What reserve() gives holds a step: a name is 16 bytes, and a head stands before at most every
// second block.
static_assert(kStepBytes / content::kBlockBytes * 32 <= kReadLeastBytes);

}  // namespace

void name_held(StreamOwner& owner, Stream& stream, const HeldFiles& files,
               const content::ContentKey& key) {
  ::setpriority(PRIO_PROCESS, 0, kNiceness);  // of this thread alone
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
