// SPDX-License-Identifier: Apache-2.0
// Which class does which kind of move.
#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/live/live_move.h"
#include "move/storage/storage_move.h"

namespace drover::move {

std::unique_ptr<MoveWork> make_move_work(World& world, SourceJob job, MoveListener changed) {
  if (job.move.plan.kind == MoveKind::kStorage)
    return std::make_unique<StorageMove>(world, std::move(job), std::move(changed));
  if (is_cold(job.move.plan))
    return std::make_unique<ColdMove>(world, std::move(job), std::move(changed));
  return std::make_unique<LiveMove>(world, std::move(job), std::move(changed));
}

}  // namespace drover::move
