// SPDX-License-Identifier: Apache-2.0
// The seam between what daemons say to each other (move/, which owns verbs and bodies) and how it
// travels (mutually authenticated HTTPS on pinned keys; api/ and client/). Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"

namespace drover::net {

// Asks a paired host. `verb` is the last part of /v1/peer/VERB; body and answer are JSON texts.
class PeerTransport {
 public:
  virtual ~PeerTransport() = default;
  // kNotFound: no such peer. kUnavailable (retry later): it does not answer; the message says
  // address, port and the likely cause. Any other error is the peer's own, its text kept.
  virtual Result<std::string> call(std::string_view peer_name, std::string_view verb,
                                   std::string_view body, Deadline deadline) = 0;
  // The same at another of the peer's addresses than the one it was paired by; empty: at that.
  virtual Result<std::string> call_at(std::string_view peer_name, const std::string& /*address*/,
                                      std::string_view verb, std::string_view body,
                                      Deadline deadline) {
    return call(peer_name, verb, body, deadline);
  }
};

// Answers a paired host. The caller is authenticated; the handler checks its rights for the verb.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  virtual Result<std::string> handle(std::string_view peer_name, std::string_view verb,
                                     std::string_view body) = 0;
};

}  // namespace drover::net
