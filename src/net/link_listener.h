// SPDX-License-Identifier: Apache-2.0
// The destination's door for links: accepts, reads the clear preamble, hands the descriptor on. One
// thread, which it joins. Strangers cost at most kHalfOpenMax descriptors for 2 s each.
#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "net/link_preamble.h"

namespace drover::net {

class LinkListener {
 public:
  static constexpr std::size_t kHalfOpenMax = 32;
  static constexpr std::chrono::milliseconds kPreambleLimit{2000};

  // On the listener's thread: give the descriptor to the mover of that move, or drop it. Must not
  // take long.
  using Handler = std::function<void(const LinkPreamble&, UniqueFd)>;

  // On the listener's thread, before a byte is read: whether links are taken in at this address of
  // ours ("10.77.1.2"). Must not take long.
  using Admission = std::function<bool(const std::string& local)>;

  // `listener`: bound and listening (listen_tcp).
  LinkListener(UniqueFd listener, Handler handler, Admission admit = {});
  ~LinkListener();

 private:
  struct HalfOpen;
  void serve();
  void accept_one();
  // False: the connection is done with, this way or that.
  bool read_preamble(HalfOpen& connection);

  const UniqueFd listener_;
  const Handler handler_;
  const Admission admit_;
  const UniqueFd wake_;
  std::vector<HalfOpen> half_open_;  // the thread's own; oldest first
  std::jthread thread_;
};

}  // namespace drover::net
