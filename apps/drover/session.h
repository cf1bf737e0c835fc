// SPDX-License-Identifier: Apache-2.0
// One run of `drover`: the global options, what the chosen command will do, and the ways to a
// daemon. One thread.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "client/api_client.h"
#include "exit_code.h"
#include "model/move.h"
#include "model/vm.h"

namespace drover::cli {

class Session {
 public:
  using Action = std::function<Result<ExitCode>(Session&)>;

  // Bound to the global options.
  std::string url;         // --host: a daemon elsewhere
  std::string token_file;  // --token-file
  std::string at;          // --at: a paired host that shall answer instead
  bool json = false;       // --json

  Action action;  // set by the command that was chosen

  // A client of the daemon. `carried_to`: a paired host that the daemon asks for us.
  Result<client::ApiClient> connect(const std::string& carried_to = "") const;

  // Is there a person to ask, and a terminal to redraw a line on?
  bool can_ask() const;
  bool draws() const;
};

// A VM, and the client to speak about it with: of the host that it is on.
struct FoundVm {
  Vm vm;
  client::ApiClient client;
};
Result<FoundVm> find_vm(const Session& session, const std::string& word);
// Likewise for several, by one look at all hosts; the first that is not found is the error.
Result<std::vector<FoundVm>> find_vms(const Session& session,
                                      const std::vector<std::string>& words);

// A move known to the daemon, else to any paired host.
struct FoundMove {
  Move move;
  client::ApiClient client;
};
Result<FoundMove> find_move(const Session& session, const std::string& id);

// Prints an answer of the API as it came; for --json.
Result<ExitCode> print_json(const Result<std::string>& answer);
// A part of a path, percent-encoded.
std::string path_part(const std::string& text);
// Asks on the terminal. Return alone means `otherwise`; anything but y or yes means no.
enum class Otherwise { kNo, kYes };
bool ask(const std::string& question, Otherwise otherwise);
// Of a command that changes something, unless --yes was said: an error means that nothing may be
// done.
Status confirm(const Session& session, bool yes, const std::string& question);

}  // namespace drover::cli
