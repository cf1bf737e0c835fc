// SPDX-License-Identifier: Apache-2.0
#include "mover/held_files.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include <unistd.h>

namespace drover::mover {

HeldFiles::HeldFiles(std::vector<UniqueFd> own, std::vector<UniqueFd> group,
                     std::optional<KeptMemory> memory)
    : files_(std::move(own)) {
  DROVER_CHECK(files_.size() <= content::kOwnDisksMax && group.size() <= content::kGroupFilesMax);
  if (memory) {
    files_.resize(content::kKeptMemoryFile);
    files_.push_back(std::move(memory->file));
    key_ = memory->key;
  }
  if (group.empty()) return;
  files_.resize(content::kOwnFilesMax);
  std::ranges::move(group, std::back_inserter(files_));
}

// Neighbours are read at once: most references come in the order of the file.
Status HeldFiles::read(std::uint8_t file, std::span<const std::uint64_t> offsets,
                       std::span<std::uint8_t> out) {
  while (!offsets.empty()) {
    std::size_t run = 1;
    while (run < offsets.size() && offsets[run] == offsets[run - 1] + content::kBlockBytes) ++run;
    const auto bytes = out.first(run * content::kBlockBytes);
    if (read_at(file, offsets.front(), bytes) != bytes.size()) {
      return fail(ErrorCode::kSystem, "A held file is shorter by now.");
    }
    offsets = offsets.subspan(run);
    out = out.subspan(bytes.size());
  }
  return {};
}

std::optional<HeldFiles::Extent> HeldFiles::next_extent(std::uint8_t file,
                                                        std::uint64_t from) const {
  const int fd = files_.at(file).get();
  const off_t begin = ::lseek(fd, static_cast<off_t>(from), SEEK_DATA);
  if (begin < 0) return {};
  const off_t end = ::lseek(fd, begin, SEEK_HOLE);
  if (end <= begin) return {};
  return Extent{static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)};
}

std::size_t HeldFiles::read_at(std::uint8_t file, std::uint64_t offset,
                               std::span<std::uint8_t> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(files_.at(file).get(), out.data() + done, out.size() - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  if (file == content::kKeptMemoryFile)
    decrypt(offset, out.first(done / content::kBlockBytes * content::kBlockBytes));
  return done;
}

void HeldFiles::decrypt(std::uint64_t offset, std::span<std::uint8_t> blocks) const {
  content::PageCipher cipher(key_, content::PageCipher::Does::kDecrypts);
  for (std::uint64_t page = offset / content::kBlockBytes; !blocks.empty(); ++page) {
    const auto block = blocks.first(content::kBlockBytes);
    cipher.apply(page, block, block);
    blocks = blocks.subspan(block.size());
  }
}

}  // namespace drover::mover
