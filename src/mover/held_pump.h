// SPDX-License-Identifier: Apache-2.0
// The two loops of a stream of held content, each the body of a thread: the destination names what
// its files hold, the source learns it (docs/mover_protocol.md, "Held content"). No local socket.
#pragma once

#include "content/source_content.h"
#include "mover/held_files.h"
#include "mover/stream_pump.h"

namespace drover::mover {

// Destination, in place of the reading loop: reads all files once, at a low priority, by threads of
// its own too, and says the names. Until all is said or reserve() says that nobody wants more.
void name_held(StreamOwner& owner, Stream& stream, const HeldFiles& files,
               const content::ContentKey& key);

// Source, in place of the writing loop. From the guest's stop on nothing more is wanted.
void learn_held(StreamOwner& owner, Stream& stream, content::SourceContent& content);

// The other direction of either side: nothing is said, nothing is taken.
void say_nothing(StreamOwner& owner, Stream& stream);
void take_nothing(StreamOwner& owner, Stream& stream);

}  // namespace drover::mover
