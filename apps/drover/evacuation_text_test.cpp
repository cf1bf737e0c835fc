// SPDX-License-Identifier: Apache-2.0
#include "evacuation_text.h"

#include <gtest/gtest.h>

#include "destination_options.h"

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

Evacuee vm(const std::string& name, EvacueeState state) {
  Evacuee one;
  one.name = name;
  one.source = "host1";
  one.state = state;
  return one;
}

Evacuation planned() {
  Evacuation job;
  job.host = "host1";
  Evacuee web = vm("web01", EvacueeState::kWaits);
  web.destination = "host2";
  web.bytes = mib(512);
  web.starts_in = 0ms;
  web.ends_in = 12s;
  Evacuee db = vm("db\x1b[2J", EvacueeState::kWaits);
  db.destination = "host3";
  db.bytes = gib(4);
  db.starts_in = 12s;
  db.ends_in = 60s;
  Evacuee old = vm("old", EvacueeState::kStays);
  old.why = "VM_OFF: old is off.";
  old.fixes = {"Start it."};
  job.vms = {web, db, old};
  job.troubles = {"host4: It does not answer."};
  return job;
}

TEST(TimetableText, ShowsWhatGoesWhenAndWhatStaysAndWhy) {
  EXPECT_EQ(timetable_text(planned()),
            R"(Evacuation of host1: 2 of 3 VMs can leave.

  VM         FROM   TO     BEGINS      TAKES    SENDS
  web01      host1  host2  at once    12.0 s  512 MiB
  db\x1b[2J  host1  host3  in 12.0 s    48 s  4.0 GiB

  All together about 1 min; a forecast, made anew as it goes on.

Cannot move:
  old: VM_OFF: old is off.
      Fix: Start it.

Hosts that could not be asked:
  host4: It does not answer.
)");
}

TEST(OutcomeText, NamesWhatHasStayed) {
  Evacuation job = planned();
  job.explanation = "2 of 3 VMs have left host1; 1 have not.";
  EXPECT_EQ(outcome_text(job),
            "2 of 3 VMs have left host1; 1 have not.\n\nNot moved:\n  old: VM_OFF: old is off.\n"
            "      Fix: Start it.\n");
}

TEST(ChoiceText, SaysWhyAndWhyNot) {
  BestChoice choice;
  choice.hosts.resize(2);
  choice.hosts[0] = {"host3", true, 20, 9s, "loaded by 20 % with the VM", {}};
  choice.hosts[1] = {"host2",
                     false,
                     0,
                     0s,
                     "",
                     {{"MEMORY_SHORT",
                       FindingLevel::kBlocker,
                       "host2",
                       "Too little memory.",
                       "",
                       {"Free some."}}}};
  EXPECT_EQ(choice_text("web01", choice),
            "Where web01 can go:\n  host3: best: loaded by 20 % with the VM.\n  host2: not "
            "possible.\n      MEMORY_SHORT: Too little memory.\n      Fix: Free some.\n");
  EXPECT_EQ(choice_text("web01", {}), "Where web01 can go:\n  There is no other host.\n");
}

TEST(HostList, TakesNamesSeparatedByCommas) {
  EXPECT_EQ(host_list("host2").value(), std::vector<std::string>{"host2"});
  EXPECT_EQ(host_list("host2,host3").value(), (std::vector<std::string>{"host2", "host3"}));
  for (const char* wrong : {"", "host2,", ",host2", "host2,,host3", "host2,host2"})
    EXPECT_FALSE(host_list(wrong)) << wrong;
}

}  // namespace
}  // namespace drover::cli
