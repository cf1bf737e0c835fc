// SPDX-License-Identifier: Apache-2.0
#include "mover/read_back.h"

#include "base/log.h"
#include "mover/limits.h"

namespace drover::mover {

Status ReadBack::read(const std::string& export_name, std::span<const std::uint64_t> offsets,
                      std::span<std::uint8_t> out) {
  const std::lock_guard lock(mutex_);
  auto known = readers_.find(export_name);
  if (known == readers_.end()) {
    // Entered before it is tried: a failure is remembered.
    known = readers_.emplace(export_name, nullptr).first;
    auto opened = [&]() -> Result<std::unique_ptr<NbdReader>> {
      ASSIGN_OR_RETURN(UniqueFd socket, opener_());
      return NbdReader::open(std::move(socket), export_name, Deadline::after(kReadBackPatience));
    }();
    if (!opened) {
      log::warning("A disk cannot be read back: {}", opened.error().text());
      return std::unexpected(std::move(opened).error());
    }
    known->second = std::move(*opened);
  }
  if (!known->second) return fail(ErrorCode::kUnavailable, "The disk could not be read back.");
  Status done =
      known->second->read(offsets, content::kBlockBytes, out, Deadline::after(kReadBackPatience));
  if (!done) {
    log::warning("A disk is read back no more: {}", done.error().text());
    known->second.reset();
  }
  return done;
}

}  // namespace drover::mover
