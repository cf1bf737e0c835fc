// SPDX-License-Identifier: Apache-2.0
// Everything a move may touch, handed in: no globals. All members outlive every move.
#pragma once

#include <memory>
#include <string>

#include "gate/ownership_record.h"
#include "hypervisor/hypervisor.h"
#include "journal/host_book.h"
#include "journal/move_journal.h"
#include "move/carriers.h"
#include "move/plan/forecaster.h"
#include "move/queue/bandwidth.h"
#include "move/queue/slots.h"
#include "move/residue/memory_store.h"
#include "net/peer_transport.h"

namespace drover::move {

struct World {
  Hypervisor& hypervisor;
  journal::MoveJournal& journal;
  journal::HostBook& book;
  net::PeerTransport& peers;
  gate::RecordFolder& records;
  Carriage& carriage;
  Slots& slots;
  Bandwidth& bandwidth;
  std::string host_name;
  std::string public_key;  // hex, ours
  std::shared_ptr<MemoryStore> memories = std::make_shared<MemoryStore>();
  std::shared_ptr<Forecaster> forecaster = std::make_shared<Forecaster>();
};

}  // namespace drover::move
