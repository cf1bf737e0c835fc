// SPDX-License-Identifier: Apache-2.0
// Whether a move that failed, and was undone, is tried again, and when (docs/retry.md). Pure
// functions; any thread.
#pragma once

#include <chrono>
#include <optional>

#include "model/host.h"
#include "model/move.h"

namespace drover::move {

// What libvirt's call had done when the attempt ended.
enum class Copied { kNothing, kSomething };

// The reason may be gone by itself in a while. docs/errors.md has the same table.
bool is_passing(const Error& error, Copied copied);

// Nobody answered in time, or the answer was lost: what was asked may be done or not.
bool is_unanswered(const Error& error);

// From the end of the failed attempt to the next: 5 s, 20 s, 80 s, then 5 min. `failed`: attempts
// that have failed, at least 1.
std::chrono::seconds back_off(std::size_t failed);

// How often it may be tried again in all: the request's word, else the settings'. Nothing while the
// move has another destination to go to.
unsigned retries_of(const Move& move, const HostSettings& settings);

// When the next attempt of a move begins whose last one ended so, at `now`; nothing: it is over.
// REQUIRES: the VM is on the source as before, and nobody asked for an end.
std::optional<std::chrono::system_clock::time_point> next_attempt(
    const Move& move, const Error& error, const HostSettings& settings,
    std::chrono::system_clock::time_point now);

}  // namespace drover::move
