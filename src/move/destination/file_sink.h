// SPDX-License-Identifier: Apache-2.0
// The destination's end of the small and large files that a move without gates carries as streams
// of the kind memory: a guest's saved state, its UEFI variables. Each stream is written into the
// next of the files that were agreed, from where that file's offset stands; nothing of what comes
// is believed here. A whole file is hashed on its way, and its zeroes take no room; a part of one
// is hashed where that is wanted. Any thread; the threads are joined by the destructor.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::move {

class FileSink {
 public:
  struct Slot {
    std::string item;  // for people, and to find it again
    UniqueFd file;     // open for writing
    ByteCount most;    // more than that ends the stream
    enum class Kind {
      kPart,
      kHashedPart,
      kWhole,  // it is empty, and regular
    } kind = Kind::kPart;
    std::string path = {};  // for people
  };
  // With less than this left on its file system a file takes no more (kNoSpace): a source that is
  // asked to wait before may not listen. Asked again and again, from any thread, for it may change
  // meanwhile; 0: nobody looks.
  using KeepsFree = std::function<ByteCount()>;
  explicit FileSink(std::vector<Slot> slots, KeepsFree keeps_free = {})
      : slots_(std::move(slots)), keeps_free_(std::move(keeps_free)), sha256_(slots_.size()) {}
  ~FileSink();
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  // The end for a mover of the stream for the next slot. kConflict: there is none, or the one
  // before it has not ended.
  Result<UniqueFd> open_next();
  // Every slot had its stream, which was written to its end and is on stable storage. kConflict:
  // not so (yet), and why. That an end was the true one only the source can say.
  Status complete() const;
  // What could not be taken, and why: kNoSpace, kSystem; kProtocol, kUnavailable: of the stream.
  // Nothing: all was, so far.
  std::optional<Error> failure() const;
  // REQUIRES: it is complete. The SHA-256 of what came, by the slot's number; empty for a kPart.
  std::string sha256(std::size_t slot) const;

 private:
  void write_all(std::size_t number, int socket);
  Status check_room(const Slot& slot) const;
  using Seen = std::function<void(std::span<const std::uint8_t>)>;
  Status write_pieces(const Slot& slot, int socket, const Seen& seen) const;
  Status write_part(const Slot& slot, int socket) const;
  Result<std::string> write_hashed_part(const Slot& slot, int socket) const;
  Result<std::string> write_whole_file(const Slot& slot, int socket) const;

  const std::vector<Slot> slots_;
  const KeepsFree keeps_free_;
  mutable std::mutex mutex_;  // guards all below
  std::size_t opened_ = 0, done_ = 0;
  std::optional<Error> failed_;
  std::vector<std::string> sha256_;  // of each slot; empty: not known, or not wanted
  std::list<UniqueFd> sockets_;      // ours
  std::vector<std::jthread> threads_;
};

}  // namespace drover::move
