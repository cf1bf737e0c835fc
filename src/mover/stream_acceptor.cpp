// SPDX-License-Identifier: Apache-2.0
#include "mover/stream_acceptor.h"

#include <array>
#include <chrono>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "net/unix_socket.h"

namespace drover::mover {

using namespace std::chrono_literals;

StreamAcceptor::StreamAcceptor(UniqueFd memory, UniqueFd disks, Handler handler)
    : memory_(std::move(memory)),
      disks_(std::move(disks)),
      handler_(std::move(handler)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  DROVER_CHECK(wake_.valid());
  thread_ = std::jthread([this] { accept_all(); });
}

StreamAcceptor::~StreamAcceptor() { ::eventfd_write(wake_.get(), 1); }

void StreamAcceptor::accept_all() {
  while (true) {
    std::array<pollfd, 3> entries{pollfd{wake_.get(), POLLIN, 0}, pollfd{memory_.get(), POLLIN, 0},
                                  pollfd{disks_.get(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    if (entries[0].revents != 0) return;
    for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
      if (entries[i].revents == 0) continue;
      auto local = net::accept_one(entries[i].fd, Deadline::after(0ms));
      if (local) {
        handler_(i == 1 ? StreamKind::kMemory : StreamKind::kDisks, std::move(*local));
      } else if (local.error().code != ErrorCode::kTimeout) {
        log::warning("A connection of the hypervisor was lost: {}", local.error().text());
        std::this_thread::sleep_for(100ms);  // out of descriptors: no busy loop
      }
    }
  }
}

}  // namespace drover::mover
