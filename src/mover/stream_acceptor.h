// SPDX-License-Identifier: Apache-2.0
// Source: takes the connections that libvirt and QEMU make to the listeners, in their order. One
// thread.
#pragma once

#include <functional>
#include <thread>

#include "base/unique_fd.h"
#include "mover/frame.h"

namespace drover::mover {

class StreamAcceptor {
 public:
  // On the acceptor's thread; gets each connection.
  using Handler = std::function<void(StreamKind, UniqueFd)>;

  StreamAcceptor(UniqueFd memory, UniqueFd disks, Handler handler);
  ~StreamAcceptor();

 private:
  void accept_all();

  const UniqueFd memory_;
  const UniqueFd disks_;
  const Handler handler_;
  const UniqueFd wake_;
  std::jthread thread_;
};

}  // namespace drover::mover
