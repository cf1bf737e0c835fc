// SPDX-License-Identifier: Apache-2.0
// Discs that are taken out for a move: what was in a drive, now and at the next boot, is written
// down before.
#include "move/source_road_fixture.h"

namespace drover::move {
namespace {

TEST_F(SourceRoad, BothDiscsOfADriveAreWrittenDownBeforeItIsEmptied) {
  job_.move.plan.kind = MoveKind::kQuick;
  job_.move.plan.request.media = Media::kEject;
  job_.move.plan.placements.clear();
  job_.move.plan.files.clear();
  hypervisor_.kind = RunState::Kind::kRunning;
  hypervisor_.vm = with_drive("/iso/a.iso");
  hypervisor_.vm->persistent = true;
  hypervisor_.vm->state = VmState::kRunning;
  hypervisor_.next_boot = fmt::format(
      "<domain type='kvm'><name>web01</name><uuid>{}</uuid><devices><disk type='file' "
      "device='cdrom'><source file='/iso/b.iso'/><target dev='sda'/></disk></devices></domain>",
      kUuid);
  peer_.says(verb::kPrepare, [](std::string_view) { return "{}"; });
  hypervisor_.never = {"sda="};  // the attempt ends there
  std::vector<std::string> written;
  hypervisor_.on_change_media = [&] {
    const auto job = source_job_from_json(*journal_->job(journal::Side::kSource, kMove));
    ASSERT_TRUE(job);
    for (const KnownFile& disc : job->ejected) written.push_back(disc.path);
    for (const KnownFile& disc : job->ejected_next) written.push_back("then " + disc.path);
  };
  const Move move = run();
  EXPECT_TRUE(why(move).contains("cannot be ejected")) << why(move);
  EXPECT_EQ(written, (std::vector<std::string>{"/iso/a.iso", "then /iso/b.iso"}));
}

}  // namespace
}  // namespace drover::move
