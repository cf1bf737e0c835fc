// SPDX-License-Identifier: Apache-2.0
// Who may reach a host and how that is changed: invites, tokens, changes of settings, as the API
// speaks of them. Plain values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/host.h"
#include "model/vm.h"

namespace drover {

// One change of HostSettings. Keys: incoming, outgoing, default-folder, allowed-folders,
// performance, bandwidth, convergence, networks.
struct SettingChange {
  enum class Op { kSet, kAdd, kRemove };  // "=", "+=", "-="; the latter two for lists only
  std::string key;
  Op op = Op::kSet;
  std::string value;  // lists: folders separated by commas
};

// A paired host with what is known of it now.
struct HostEntry {
  Peer peer;
  bool reachable = false;
  std::string trouble;        // why it is not reachable, for people; empty when it is
  std::string introduced_by;  // our name of the host that introduced it; empty: paired by hand
};

struct InviteRequest {
  PeerRights rights;  // what the newcomer may do here
  std::chrono::milliseconds valid{std::chrono::minutes(10)};
  std::string name;           // our name for the newcomer; empty: the name it gives itself
  bool enable_moves = false;  // turn `incoming` and `outgoing` on here once it has joined
};

struct Invite {
  std::string address;
  std::string code;  // secret, for one use
  std::chrono::system_clock::time_point expires_at;
  std::string line;  // "drover host add ADDRESS CODE"
};

struct HostAddition {
  std::string address;  // "host1", "host1:7430", "[fe80::1]:7430"
  std::string code;
  std::string name;           // our name for it; empty: the name it gives itself
  PeerRights rights;          // what it may do here
  bool enable_moves = false;  // turn `incoming` and `outgoing` on here
};

struct Token {
  std::string id;
  std::string name;
  std::chrono::system_clock::time_point created_at;
};

// Shown once. The text names the host's public key, so a client knows whom to talk to: nothing else
// is needed.
struct NewToken {
  std::string id;
  std::string token;
};

struct UnreachableHost {
  std::string host;
  Error error;
};

// A VM of a user's own libvirt session: seen, and not managed.
struct SessionVm {
  std::string host;
  std::string name;
  std::string user;
  bool running = false;
};

struct VmListing {
  std::vector<Vm> vms;
  std::vector<UnreachableHost> unreachable;
  std::vector<SessionVm> sessions = {};
};

struct ServerVersion {
  std::string version;
  int api = 1;
  std::string host;
};

}  // namespace drover
