// SPDX-License-Identifier: Apache-2.0
#include "explain.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "fit_text.h"

namespace drover::cli {
namespace {

TEST(Explain, SaysWhatThePagesSayWithoutTheirMarks) {
  const auto text = explain("cpu-mismatch");
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_TRUE(text->starts_with("CPU_MISMATCH\nBlocker.")) << *text;
  EXPECT_TRUE(text->contains("drover cpu-compat NAME --for HOST")) << *text;
  for (const char* mark : {"`", "](", "**", "###"}) EXPECT_FALSE(text->contains(mark)) << *text;
}

TEST(Explain, KnowsCodesOfPlansOfTheDoctorAndOfMovesUnderWay) {
  const auto codes = explained_codes();
  EXPECT_GE(codes.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(codes));
  for (const char* code : {"VM_OFF", "STALE_FILES", "LINK_SLOW"}) {
    EXPECT_TRUE(std::ranges::find(codes, code) != codes.end()) << code;
    EXPECT_TRUE(explain(code)) << code;
  }
}

TEST(Explain, OffersWhatIsLikeAnUnknownCode) {
  const auto text = explain("DISK_MISSING");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(text.error().message.contains("DISK_EXISTS")) << text.error().message;
  EXPECT_TRUE(explain("xyz").error().message.contains("--list"));
}

Finding blocker() {
  return {"MEDIA_INSERTED", FindingLevel::kBlocker, "sda", "A disc is in sda.",
          "Why.",           {"Eject it."},          true};
}

TEST(MobilityText, SaysWhereEachVmCanGoAndWhatWouldHelp) {
  VmMobility vm;
  vm.vm_name = "web01";
  vm.host = "host1";
  vm.state = VmState::kRunning;
  vm.hosts_now = {"host2", "host3"};
  vm.places = {{"host2", MoveKind::kLive, true, {"SAME_DEVICE"}, {}, ""},
               {"host4", MoveKind::kLive, false, {}, {blocker(), blocker()}, ""},
               {"host5", MoveKind::kQuick, false, {}, {}, "It is silent."}};
  vm.change = MobilityChange{blocker(), {"host4"}};
  const std::string brief = mobility_text({{vm}, {}}, false);
  EXPECT_TRUE(brief.contains("host2, host3")) << brief;
  EXPECT_TRUE(
      brief.contains("web01 could go to host4 too, if this were not: A disc is in sda.\n"
                     "      Fix: Eject it.\n"
                     "      Drover can: drover plan web01 host4 --fix MEDIA_INSERTED\n"))
      << brief;
  vm.move_id = "k3f9x2qa";
  EXPECT_TRUE(mobility_text({{vm}, {}}, false).contains("moving"));
  vm.move_id.clear();
  const std::string all = mobility_text({{vm}, {}}, true);
  EXPECT_TRUE(all.contains("yes, with --accept SAME_DEVICE")) << all;
  EXPECT_TRUE(all.contains("no: MEDIA_INSERTED\n")) << all;
  EXPECT_TRUE(all.contains("It is silent.")) << all;
  EXPECT_EQ(mobility_text({}, false), "No VMs.\n");
}

TEST(CpuWords, SayWhatItIsAndHowToTakeItBack) {
  CpuCompat cpu{"u",   "web01", {"host1", "host2"}, "host-model", "Haswell", {"+pcid"}, {"avx512f"},
                false, true,    "k3f9x2qa"};
  const std::string written = cpu_text(cpu);
  EXPECT_TRUE(
      written.contains("on host1, host2 a guest can have the CPU model Haswell with +pcid"));
  EXPECT_TRUE(written.contains("without what host1 alone could give: avx512f"));
  EXPECT_TRUE(written.contains("drover fixes undo k3f9x2qa"));
  cpu.fix.clear();
  EXPECT_TRUE(cpu_text(cpu).contains("Nothing was changed."));
}

}  // namespace
}  // namespace drover::cli
