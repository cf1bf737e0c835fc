// SPDX-License-Identifier: Apache-2.0
// Files, or what becomes one, read once, whole: hashed, and copied on the way where that is wanted.
// Holes are not read, and zeros are not written. The hash (docs/export.md, "Hashes") is over the
// file's bytes in pieces of 1 MiB, so that several processors share the work. Any thread; calls do
// not share anything.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/byte_count.h"
#include "base/error.h"

namespace drover::archive {

inline constexpr std::uint64_t kHashPiece = 1u << 20;
// Longer than any image; what claims more is not read.
inline constexpr std::uint64_t kFileMost = std::uint64_t{1} << 46;  // 64 TiB

// How a long work is watched and ended. Called from several threads at once.
struct CopyWatch {
  std::atomic<std::uint64_t>* bytes_read = nullptr;  // added to; holes do not count
  std::function<Status()> go_on;                     // asked again and again; an error ends it
  BytesPerSecond bandwidth;                          // 0: no limit
};

// What is read. Several threads ask at once, each under a number of its own, from 0 on.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;
  // How many threads may ask.
  virtual unsigned readers() const = 0;
  // Whether it is all zeros, without being read. "No" may be wrong.
  virtual bool is_hole(std::uint64_t offset, std::uint64_t length) const = 0;
  virtual Status read(unsigned reader, std::uint64_t offset, std::span<char> into) = 0;
};

struct HashedFile {
  ByteCount size;
  std::string hash;  // "sha256-mib:" and 64 hexadecimal digits
};

// `name` is for messages. kConflict: the file became shorter meanwhile, or is no regular file;
// kInvalidArgument: it is longer than kFileMost. Takes 2 MiB of memory and 1 MiB for each worker,
// however long the file is.
Result<HashedFile> hash_file(int from, std::string_view name, const CopyWatch& watch);
// `to`: an empty file; on success it holds the same bytes and is on stable storage. The hash is of
// the very bytes that were written.
Result<HashedFile> copy_file(int from, int to, std::string_view name, const CopyWatch& watch);
Result<HashedFile> copy_bytes(ByteSource& from, int to, std::string_view name,
                              const CopyWatch& watch);

// Of a file that holds this.
std::string hash_of(std::string_view content);

// A text of the form that hashes have.
bool is_hash(std::string_view text);

}  // namespace drover::archive
