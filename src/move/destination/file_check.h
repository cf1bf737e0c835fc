// SPDX-License-Identifier: Apache-2.0
// The reading of a whole file for a peer that wants to know what it holds: as long as it takes, on
// a thread of its own, so that nobody waits for it. Any thread; the destructor ends the reading.
#pragma once

#include <future>
#include <optional>
#include <string>
#include <thread>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::move {

class FileCheck {
 public:
  FileCheck(std::string path, UniqueFd file);
  const std::string& path() const { return path_; }
  // Its content::file_digest; nothing: it is still being read. Waits for it until `limit`.
  std::optional<Result<std::string>> digest(Deadline limit) const;

 private:
  const std::string path_;
  std::shared_future<Result<std::string>> digest_;
  std::jthread reader_;
};

}  // namespace drover::move
