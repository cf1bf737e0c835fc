// SPDX-License-Identifier: Apache-2.0
#include "move/cold/write_failure.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace drover::move {
namespace {

std::string option_for(std::string_view item) { return fmt::format("--item {}=PLACE", item); }

// A layer may be one of a checkpoint's memory instead.
bool is_disk(std::string_view target) { return !target.contains(' '); }

enum class Reason { kFull, kDisk, kOther };

// QEMU's programs give no code, but the text of an errno.
Reason reason_of(const Error& why) {
  const std::string text = why.text();
  const auto says = [&](int error) { return text.contains(std::strerror(error)); };
  if (why.code == ErrorCode::kNoSpace || says(ENOSPC) || says(EDQUOT)) return Reason::kFull;
  return why.code == ErrorCode::kSystem || says(EIO) ? Reason::kDisk : Reason::kOther;
}

std::string advice(const Unwritten& unwritten, const std::string& host, Reason reason) {
  if (reason == Reason::kOther) return "";
  const bool full = reason == Reason::kFull;
  const std::string folder = unwritten.path.empty()
                                 ? "Drover's own folder"
                                 : std::filesystem::path(unwritten.path).parent_path().string();
  const std::string first =
      full ? fmt::format("Free space in {0} on {1} (drover --at {1} quarantine list)", folder, host)
           : fmt::format("Look at the disk of {} on {} (dmesg there)", folder, host);
  if (unwritten.option.empty()) return fmt::format(" {}.", first);
  return fmt::format(" {}, or choose another place with {}.", first, unwritten.option);
}

}  // namespace

Unwritten unwritten_disk(const DiskPlacement& placement, const std::string& vm) {
  return {fmt::format("{} of {}", placement.target, vm), placement.destination_path,
          option_for(placement.target)};
}

Unwritten unwritten_file(const ColdFile& file, const std::string& vm) {
  using Kind = ColdFile::Kind;
  switch (file.kind) {
    case Kind::kImage:
      return {fmt::format("{} of {}", file.target, vm), file.destination_path,
              option_for(file.target)};
    case Kind::kLayer:
      return {fmt::format("A file of {} ({})", vm, file.target), file.destination_path,
              is_disk(file.target) ? option_for(file.target) : ""};
    case Kind::kNvram:
      return {fmt::format("The UEFI variables of {}", vm), file.destination_path,
              option_for(kItemNvram)};
    case Kind::kTpm:
      return {fmt::format("The TPM of {}", vm), file.destination_path, ""};
    case Kind::kStateHead:
    case Kind::kState:
    case Kind::kSavedHead:
    case Kind::kSaved:
      break;
  }
  return {fmt::format("The memory of {}", vm), "", ""};
}

Error write_error(const Unwritten& unwritten, const std::string& host, Error why) {
  const Reason reason = reason_of(why);
  if (reason == Reason::kFull)
    why.code = ErrorCode::kNoSpace;
  else if (why.code == ErrorCode::kSystem || why.code == ErrorCode::kHypervisor)
    why.code = ErrorCode::kInternal;  // it may pass
  why.retry = Retry::kLater;
  return wrap(std::move(why),
              fmt::format("{} could not be written on {}{}{}.{}", unwritten.what, host,
                          unwritten.path.empty() ? "" : ", to " + unwritten.path,
                          reason == Reason::kFull ? ": the disk there is full" : "",
                          advice(unwritten, host, reason)));
}

}  // namespace drover::move
