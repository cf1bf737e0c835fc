// SPDX-License-Identifier: Apache-2.0
#include "move/destination/file_check.h"

#include "content/file_digest.h"

namespace drover::move {

FileCheck::FileCheck(std::string path, UniqueFd file) : path_(std::move(path)) {
  std::promise<Result<std::string>> promise;
  digest_ = promise.get_future().share();
  reader_ = std::jthread(
      [file = std::move(file), promise = std::move(promise)](const std::stop_token& stop) mutable {
        promise.set_value(content::file_digest(file.get(), stop));
      });
}

std::optional<Result<std::string>> FileCheck::digest(Deadline limit) const {
  if (digest_.wait_for(limit.left()) != std::future_status::ready) return std::nullopt;
  return digest_.get();
}

}  // namespace drover::move
