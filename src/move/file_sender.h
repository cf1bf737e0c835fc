// SPDX-License-Identifier: Apache-2.0
// The source's end: one file, or one that still grows, into a stream of the kind memory of its
// mover. A thread of its own, joined by the destructor. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::move {

class FileSender {
 public:
  struct Part {
    std::uint64_t from = 0;           // first byte
    std::optional<std::uint64_t> to;  // behind the last; nothing: to the end of the file, which may
                                      // grow until finish() is said
    bool hashed = false;
  };
  // `socket`: where the mover takes streams of memory.
  FileSender(UniqueFd file, Part part, std::filesystem::path socket);
  ~FileSender();  // breaks it off
  FileSender(const FileSender&) = delete;
  FileSender& operator=(const FileSender&) = delete;

  // The file grows no more.
  void finish() { grown_ = true; }
  bool ended() const { return ended_; }
  // REQUIRES: it has ended. Success: the other side's mover closed its end after ours. That all of
  // it was applied there the mover's counters say.
  Status result() const;
  std::uint64_t sent() const { return sent_; }
  // REQUIRES: it has ended well. The SHA-256 of what was sent; empty: it was not asked for.
  std::string sha256() const;

 private:
  void run(const std::stop_token& stop);
  Status send_all(const std::stop_token& stop, int socket);

  const UniqueFd file_;
  const Part part_;
  const std::filesystem::path socket_;
  std::atomic<bool> grown_{false}, ended_{false};
  std::atomic<std::uint64_t> sent_{0};
  mutable std::mutex mutex_;  // guards the next two
  Status status_;
  std::string sha256_;
  std::jthread thread_;  // last: it uses what stands above
};

}  // namespace drover::move
