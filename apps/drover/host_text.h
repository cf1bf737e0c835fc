// SPDX-License-Identifier: Apache-2.0
// Paired hosts, their rights and settings, in words. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "model/access.h"
#include "model/host.h"

namespace drover::cli {

// `drover host list`.
std::string hosts_text(const std::vector<HostEntry>& hosts);

// The invite as the API gives it.
std::string invite_json(const Invite& invite);

// "send, receive, command"; "none".
std::string rights_words(const PeerRights& rights);

// "send,command": exactly these rights; "+command": these besides `now`. kInvalidArgument names the
// word that is none.
Result<PeerRights> rights_from_words(const std::vector<std::string>& words,
                                     const PeerRights& now = {false, false, false, false});

// `drover settings`.
std::string settings_text(const HostSettings& settings);

// "outgoing=on", "allowed-folders+=/srv/vms"; nothing: not of this form.
Result<SettingChange> setting_change(const std::string& word);

}  // namespace drover::cli
