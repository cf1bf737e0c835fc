// SPDX-License-Identifier: Apache-2.0
#include "mover/mover_start.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "mover/limits.h"
#include "net/control_message.h"

namespace drover::mover {
namespace {

using nlohmann::json;

Status read_options(const json& message, SessionOptions& options) {
  ASSIGN_OR_RETURN(const std::string role, net::text_member(message, "role"));
  ASSIGN_OR_RETURN(options.role, role_from_name(role));
  ASSIGN_OR_RETURN(options.identity, net::text_member(message, "identity"));
  if (options.identity.empty() || options.identity.size() > 200) {
    return fail(ErrorCode::kInvalidArgument, "The identity of a move has 1 to 200 characters.");
  }
  const auto patience = static_cast<std::uint64_t>(options.patience.count());
  const auto budget = static_cast<std::uint64_t>(options.pause_budget.count());
  ASSIGN_OR_RETURN(const std::uint64_t patience_ms,
                   net::count_member_or(message, "patience_ms", patience));
  ASSIGN_OR_RETURN(const std::uint64_t budget_ms,
                   net::count_member_or(message, "pause_budget_ms", budget));
  ASSIGN_OR_RETURN(const std::uint64_t window,
                   net::count_member_or(message, "window_bytes", options.window_bytes));
  if (window < kWindowMin || window > kWindowMax) {
    return fail(ErrorCode::kInvalidArgument, "window_bytes is from {} to {}, not {}.", kWindowMin,
                kWindowMax, window);
  }
  ASSIGN_OR_RETURN(options.content, net::flag_member_or(message, "content", true));
  ASSIGN_OR_RETURN(options.references, net::flag_member_or(message, "references", true));
  ASSIGN_OR_RETURN(options.memory_waits, net::flag_member_or(message, "memory_waits", true));
  ASSIGN_OR_RETURN(options.bandwidth_bytes_per_second,
                   net::count_member_or(message, "bandwidth_bytes_per_second", 0));
  ASSIGN_OR_RETURN(options.link_bytes_per_second,
                   net::count_member_or(message, "link_bytes_per_second", 0));
  options.patience = std::chrono::milliseconds(patience_ms);
  options.pause_budget = std::chrono::milliseconds(budget_ms);
  options.window_bytes = static_cast<std::uint32_t>(window);
  return {};
}

// As many as the member of that name says; their descriptors' names begin with it.
Result<std::vector<UniqueFd>> take_files(const json& message, const char* name, std::uint8_t most,
                                         net::ProgramStart& start) {
  ASSIGN_OR_RETURN(const std::uint64_t count, net::count_member_or(message, name, 0));
  if (count > most) {
    return fail(ErrorCode::kInvalidArgument, "At most {} {} files are taken, not {}.", most, name,
                count);
  }
  std::vector<UniqueFd> files;
  for (std::uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(UniqueFd file, start.take(file_name(name, i)));
    files.push_back(std::move(file));
  }
  return files;
}

Result<std::optional<KeptMemory>> take_kept_memory(net::ProgramStart& start) {
  if (!start.descriptors.contains(kKeptName)) return std::nullopt;
  KeptMemory memory;
  ASSIGN_OR_RETURN(memory.file, start.take(kKeptName));
  ASSIGN_OR_RETURN(const UniqueFd key, start.take(kKeptKeyName));
  const ssize_t n = ::pread(key.get(), memory.key.data(), memory.key.size(), 0);
  if (n == static_cast<ssize_t>(memory.key.size())) return memory;
  return fail(ErrorCode::kInvalidArgument, "The key of kept memory has {} bytes.",
              memory.key.size());
}

// Null: none.
Result<std::shared_ptr<HeldFiles>> take_held(const json& message, net::ProgramStart& start) {
  ASSIGN_OR_RETURN(auto own, take_files(message, kHeldMember, content::kOwnDisksMax, start));
  ASSIGN_OR_RETURN(auto group, take_files(message, kGroupMember, content::kGroupFilesMax, start));
  ASSIGN_OR_RETURN(auto memory, take_kept_memory(start));
  if (own.empty() && group.empty() && !memory) return nullptr;
  return std::make_shared<HeldFiles>(std::move(own), std::move(group), std::move(memory));
}

}  // namespace

std::string file_name(const char* member, std::size_t number) {
  return fmt::format("{}{}", member, number);
}

std::string_view role_name(Role role) { return role == Role::kSource ? "source" : "destination"; }

Result<Role> role_from_name(std::string_view name) {
  if (name == "source") return Role::kSource;
  if (name == "destination") return Role::kDestination;
  return fail(ErrorCode::kInvalidArgument, "'{}' is no role: source or destination.", name);
}

Result<MoverStart> read_mover_start(net::ProgramStart start) {
  ASSIGN_OR_RETURN(const json message, net::parse_message(start.text));
  MoverStart read;
  ASSIGN_OR_RETURN(read.move, net::text_member(message, "move"));
  RETURN_IF_ERROR(read_options(message, read.options));
  ASSIGN_OR_RETURN(read.sandbox, net::flag_member_or(message, "sandbox", true));
  ASSIGN_OR_RETURN(const UniqueFd psk, start.take("psk"));
  ASSIGN_OR_RETURN(read.key, PskKey::read(psk.get()));
  ASSIGN_OR_RETURN(read.control, start.take("control"));
  ASSIGN_OR_RETURN(read.rpc, start.take("rpc"));
  ASSIGN_OR_RETURN(read.gate, start.take("gate"));
  if (read.options.role == Role::kSource) {
    ASSIGN_OR_RETURN(read.memory, start.take("memory"));
    ASSIGN_OR_RETURN(read.disks, start.take("disks"));
    ASSIGN_OR_RETURN(auto keep, take_kept_memory(start));
    if (keep) read.options.keep = std::make_shared<KeptMemory>(std::move(*keep));
  } else {
    ASSIGN_OR_RETURN(read.options.held, take_held(message, start));
    ASSIGN_OR_RETURN(read.images, take_files(message, kImagesMember, content::kOwnDisksMax, start));
    if (start.descriptors.contains("writes")) {
      ASSIGN_OR_RETURN(read.writes, start.take("writes"));
    }
  }
  return read;
}

}  // namespace drover::mover
