// SPDX-License-Identifier: Apache-2.0
#include "move/link_keeper.h"

#include <algorithm>

#include "net/link_preamble.h"
#include "net/link_socket.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kRest = 1000ms;          // after an attempt that failed
constexpr auto kGreeting = 2000ms;      // a handshake takes no longer, or the link is dialled anew
constexpr std::size_t kEndedBytes = 1;  // of an attempt, in its queue: only their number counts

}  // namespace

std::size_t path_of(std::uint32_t number, std::size_t paths) { return (number - 1) % paths; }

LinkKeeper::LinkKeeper(std::string move_id, std::size_t paths, std::uint16_t first_number)
    : move_id_(std::move(move_id)), ended_(paths, paths * kEndedBytes), paths_(paths) {
  DROVER_CHECK(paths > 0 && paths <= net::kPreambleLinkMax / 2);
  const auto before =
      static_cast<std::uint16_t>(first_number == 1 ? net::kPreambleLinkMax : first_number - 1);
  for (auto& path : paths_) path.number = before;
}

// Each path has at most one attempt under way, for which the queue has room.
LinkKeeper::~LinkKeeper() = default;

// A number is used again only after all others of its path: by then its last user is long known to
// be dead on both sides.
std::uint16_t LinkKeeper::number_after(std::uint16_t number, std::size_t path) const {
  do {
    number = static_cast<std::uint16_t>(number % net::kPreambleLinkMax + 1);
  } while (path_of(number, paths_.size()) != path);
  return number;
}

void LinkKeeper::keep(const std::vector<LinkPath>& paths, const std::vector<std::uint32_t>& up,
                      unsigned wanted, std::chrono::milliseconds limit) {
  DROVER_CHECK(paths.size() == paths_.size());
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    Path& path = paths_[i];
    if (path.busy || !path.rest.expired()) continue;
    auto links =
        std::ranges::count_if(up, [&](auto number) { return path_of(number, paths.size()) == i; });
    const bool last_is_up = std::ranges::find(up, path.number) != up.end();
    if (!path.greeting.expired() && !last_is_up) ++links;
    if (links >= static_cast<std::ptrdiff_t>(wanted)) continue;
    path.number = number_after(path.number, i);
    path.busy = true;
    path.dialling = std::jthread([this, to = paths[i], number = path.number, limit] {
      ended_.push(
          {number, net::dial_link(to.to, move_id_, number, Deadline::after(limit), to.from)},
          kEndedBytes);
    });
  }
}

std::optional<DialledLink> LinkKeeper::next(Deadline deadline) {
  if (std::ranges::none_of(paths_, &Path::busy)) return {};
  auto dialled = ended_.pop(deadline);
  if (!dialled) return {};
  Path& path = paths_[path_of(dialled->number, paths_.size())];
  path.dialling.join();
  path.busy = false;
  if (dialled->link) {
    path.greeting = Deadline::after(kGreeting);
  } else {
    path.rest = Deadline::after(kRest);
  }
  return dialled;
}

}  // namespace drover::move
