// SPDX-License-Identifier: Apache-2.0
#include <sstream>
#include <utility>

#include <gtest/gtest.h>

#include "cli_test_values.h"
#include "display_width.h"
#include "exit_code.h"
#include "host_text.h"
#include "list_text.h"
#include "move_text.h"
#include "plan_text.h"
#include "progress_text.h"
#include "table.h"
#include "time_words.h"
#include "vm_choice.h"

namespace drover::cli {
namespace {

using std::chrono::milliseconds;

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("größe"), 5u);
  EXPECT_EQ(display_width("東京"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(padded("東", 4) + "|", "東  |");
  EXPECT_EQ(padded_left("12", 4), "  12");
}

TEST(DisplayWidth, ShowsWhatCouldDriveATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(printable("bad \xff utf"), "bad \\xff utf");
  EXPECT_EQ(printable("größe 東"), "größe 東");
}

TEST(DisplayWidth, CutsBetweenLetters) {
  EXPECT_EQ(cut("größe", 5), "größe");
  EXPECT_EQ(cut("größer", 5), "größ…");
  EXPECT_EQ(cut("東京都", 4), "東…");
  EXPECT_EQ(cut("abc", 0), "");
}

TEST(Table, AlignsNamesOfAllKinds) {
  Table table({{"VM"}, {"SIZE", Table::Align::kRight}, {"MOVE"}});
  table.add({"web01", "2 GiB", ""});
  table.add({"größe 東", "512 MiB", "k3f9x2qa"});
  EXPECT_EQ(table.text(),
            "VM           SIZE  MOVE\n"
            "web01       2 GiB\n"
            "größe 東  512 MiB  k3f9x2qa\n");
}

TEST(TimeWords, SpansAreShort) {
  EXPECT_EQ(span_words(milliseconds(66)), "66 ms");
  EXPECT_EQ(span_words(milliseconds(11'300)), "11.3 s");
  EXPECT_EQ(span_words(milliseconds(19'960)), "20 s");
  EXPECT_EQ(span_words(milliseconds(200'000)), "3 min 20 s");
  EXPECT_EQ(span_words(milliseconds(7'500'000)), "2 h 5 min");
}

TEST(TimeWords, ForecastsAreRanges) {
  EXPECT_EQ(left_words({}, {}), "");
  EXPECT_EQ(left_words(milliseconds(20'000), milliseconds(40'000)), "20 to 40 s left");
  EXPECT_EQ(left_words(milliseconds(50'000), milliseconds(90'000)), "50 s to 1.5 min left");
  EXPECT_EQ(left_words(milliseconds(100), milliseconds(900)), "about 1 s left");
  EXPECT_EQ(left_words({}, milliseconds(40'000)), "at most 40 s left");
}

TEST(PlanText, SaysWhatBecomesOfAVmThatOutrunsTheLink) {
  Plan plan = sample_plan();
  EXPECT_EQ(plan_text(plan).find("outruns"), std::string::npos);
  plan.request.convergence = Convergence{ConvergencePolicy::kSlowGuest};
  EXPECT_NE(plan_text(plan).find("QEMU slows it. libvirt takes that only at the start"),
            std::string::npos);
  plan.request.convergence = Convergence{ConvergencePolicy::kPause, std::chrono::seconds(12)};
  EXPECT_NE(plan_text(plan).find("may stand still for 12 s"), std::string::npos);
}

TEST(PlanText, SaysWhatMovesWhere) {
  EXPECT_EQ(plan_text(sample_plan()),
            R"(web01: host1 to host2 (running, 2.0 GiB of memory, 2 CPUs)

  DISK  FROM                                 TO                                 FORMAT     SIZE   IN USE
  vda   /var/lib/libvirt/images/web01.qcow2  the same path                      qcow2    10 GiB  547 MiB
  vdb   /srv/größe.raw                       /var/lib/libvirt/images/größe.raw  raw     1.0 GiB   12 MiB

  About 1.2 GiB to copy, and what changes meanwhile.
  Once it runs there, 559 MiB of the old disks are read and compared with what was sent.
  host1 keeps the old disks for a while (559 MiB); drover quarantine list shows them.
)");
}

TEST(PlanText, SharedDisksStayAndAreNotCompared) {
  Plan plan = sample_plan();
  plan.placements[1].shared = true;
  EXPECT_NE(plan_text(plan).find("/var/lib/libvirt/images/größe.raw (shared, stays)"),
            std::string::npos);
  EXPECT_NE(plan_text(plan).find("547 MiB of the old disks are read"), std::string::npos);
  plan.placements[0].shared = true;
  EXPECT_NE(plan_text(plan).find("the same path (shared, stays)"), std::string::npos);
  EXPECT_EQ(plan_text(plan).find("old disks"), std::string::npos) << "there are none";
}

TEST(PlanText, NamesTheNetworks) {
  Plan plan = sample_plan();
  plan.networks = {{"any", "10.77.0.1", "host2.example"}};
  EXPECT_NE(plan_text(plan).find("  It goes to host2.example.\n"), std::string::npos);
  plan.networks = {{"10.77.1.0/24", "10.77.1.1", "10.77.1.2"}, {"fd00::/64", "fd00::1", "fd00::2"}};
  EXPECT_NE(plan_text(plan).find("  It goes to 10.77.1.2 in 10.77.1.0/24 and fd00::2 in "
                                 "fd00::/64.\n"),
            std::string::npos);
}

TEST(PlanText, FindingsComeGravestFirstWithTheirFixes) {
  EXPECT_EQ(findings_text({finding(FindingLevel::kNote, "PLACED_ELSEWHERE"),
                           finding(FindingLevel::kWarning, "CDROM_LEFT"),
                           finding(FindingLevel::kBlocker, "DISK_EXISTS")}),
            R"(
Blockers (nothing moves until these are gone):
  DISK_EXISTS: DISK_EXISTS is so.
      It would hurt.
      Fix: do this
      Fix: or that

Warnings (each has to be accepted):
  CDROM_LEFT: CDROM_LEFT is so.
      It would hurt.
      Fix: do this
      Fix: or that

Notes:
  PLACED_ELSEWHERE: PLACED_ELSEWHERE is so.
      It would hurt.
      Fix: do this
      Fix: or that
)");
  EXPECT_EQ(findings_text({}), "");
}

TEST(ProgressText, OneLineHasAllThatIsKnown) {
  Move move = sample_move();
  EXPECT_EQ(progress_line(move, 200),
            "web01  34 %  copying disks  disks 190 of 559 MiB, 112 MiB/s");
  EXPECT_EQ(progress_log_line(move),
            "web01:  34 %; copying disks; disks 190 of 559 MiB, 112 MiB/s; 2.4 s so far");
  move.phase = Phase::kCopyMemory;
  move.progress.memory = {gib(1), gib(2), BytesPerSecond{mib(90).bytes}, mib(70)};
  move.progress.left_least = milliseconds(11'000);
  move.progress.left_most = milliseconds(25'000);
  EXPECT_EQ(progress_line(move, 200),
            "web01  34 %  copying memory  disks 190 of 559 MiB, 112 MiB/s  memory 1.0 of 2.0 GiB, "
            "90 MiB/s, 70 MiB again  11 to 25 s left");
  EXPECT_EQ(display_width(progress_line(move, 40)), 40u);
  move.cancel_asked = true;
  EXPECT_NE(progress_line(move, 200).find("being cancelled"), std::string::npos);
}

TEST(MoveText, ReportHasBytesSecondsPauseAndTheWayBack) {
  const QuarantinedDisk kept{
      "k3f9x2qa", "", "web01",  "/i/web01.qcow2", "/i/web01.qcow2.drover-k3f9x2qa",
      0,          0,  mib(547), moment(12),       moment(86412)};
  QuarantinedDisk other = kept;
  other.move_id = "other";
  EXPECT_EQ(report_text(finished_move(), {kept, other}),
            R"(web01 runs on host2.
  sent      781 MiB on the wire (memory 210 MiB, disks 559 MiB)
  not sent  400 MiB of zeroes, 12 MiB sent before and unchanged, 100 MiB known from its disks
  packed    769 MiB as 190 MiB; 2 ranges sent twice
  took      11.3 s
  pause     66 ms
  proof     2.0 GiB of the disks compared as sent, all equal (800 ms)
  kept      /i/web01.qcow2.drover-k3f9x2qa on host1 (547 MiB), until 2026-07-26 10:00:12
  undo      drover move web01 host1
)");
}

TEST(MoveText, ReportSaysWhatWentOverEachOfSeveralNetworks) {
  Move move = finished_move();
  move.report->networks = {{"10.77.1.0/24", mib(500)}};
  EXPECT_EQ(report_text(move, {}).find("  over "), std::string::npos) << "it is all of it";
  move.report->networks.push_back({"10.77.2.0/24", mib(281)});
  const std::string text = report_text(move, {});
  EXPECT_NE(text.find("  over 10.77.1.0/24  500 MiB\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  over 10.77.2.0/24  281 MiB\n"), std::string::npos) << text;
}

TEST(MoveText, FailureSaysWhereTheVmIsAndWhy) {
  Move move = sample_move();
  move.state = MoveState::kFailed;
  move.error = Error{ErrorCode::kHypervisor,
                     Retry::kLater,
                     "libvirt on host2 gave up.",
                     {"operation failed: domain is not running", "errno 5"}};
  EXPECT_EQ(report_text(move, {}),
            "web01 did not move; it is on host1 as before.\n"
            "  libvirt on host2 gave up.\n"
            "    because: operation failed: domain is not running\n"
            "      because: errno 5\n");
  move.state = MoveState::kParked;
  move.runner = Runner::kUnknown;
  move.error.reset();
  move.explanation = "host2 does not answer.";
  EXPECT_EQ(report_text(move, {}),
            "The move of web01 needs a person. It runs on: not known yet; start it nowhere.\n"
            "  host2 does not answer.\n");
}

TEST(MoveText, ShowListsPhasesWithTheirTimes) {
  EXPECT_EQ(show_text(sample_move(), {}),
            R"(Move k3f9x2qa: web01 from host1 to host2
  state        moving
  runs on      host1
  asked by     alice
  convergence  pause:5
  started      2026-07-25 10:00:00

  PHASE           STARTED                   TOOK
  reserving room  2026-07-25 10:00:00      1.0 s
  copying disks   2026-07-25 10:00:01  under way

web01:  34 %; copying disks; disks 190 of 559 MiB, 112 MiB/s; 2.4 s so far
)");
}

TEST(MoveText, ShowListsThePassesOverMemory) {
  Move move = sample_move();
  move.progress.passes = {
      {1, milliseconds(5200), gib(2), mib(465), {}, 262'144, 0, 0},
      {4, milliseconds(1200), mib(64), mib(60), {mib(12).bytes}, 16'384, 15'000, 10'650}};
  const std::string table =
      R"(
  MEMORY PASS   TOOK     SENT   PAGES  AGAIN  UNCHANGED  GUEST CHANGES
            1  5.2 s  465 MiB  262144      0          0
            4  1.2 s   60 MiB   16384  15000      10650       12 MiB/s
)";
  EXPECT_NE(show_text(move, {}).find(table), std::string::npos) << show_text(move, {});
  Move done = finished_move();
  done.report->passes = std::exchange(move.progress.passes, {});
  EXPECT_NE(show_text(done, {}).find(table), std::string::npos) << show_text(done, {});
}

TEST(MoveText, ShowTellsThatAMoveDoesNotConverge) {
  Move move = sample_move();
  move.progress.warning = Finding{"WILL_NOT_CONVERGE",
                                  FindingLevel::kWarning,
                                  "web01",
                                  "web01 writes too much.",
                                  "It waits.",
                                  {"End the move: drover cancel k3f9x2qa"}};
  const std::string text = show_text(move, {});
  EXPECT_TRUE(
      text.ends_with("so far\nWarning: web01 writes too much.\n  It waits.\n  Choices:\n"
                     "    End the move: drover cancel k3f9x2qa\n"))
      << text;
}

TEST(MoveText, ShowTellsADoubtWhileTheMoveGoesOn) {
  Move move = sample_move();
  move.runner = Runner::kUnknown;
  move.explanation = "The copy on host1 must not be started.";
  const std::string text = show_text(move, {});
  EXPECT_NE(text.find("runs on      not known yet; start it nowhere\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\n  The copy on host1 must not be started.\n")) << text;
}

TEST(MoveText, TablesOfMovesAndKeptDisks) {
  EXPECT_EQ(
      moves_text({sample_move(), finished_move()}),
      R"(MOVE      VM     FROM   TO     STATE   PHASE           DONE  STARTED              ASKED BY
k3f9x2qa  web01  host1  host2  moving  copying disks   34 %  2026-07-25 10:00:00  alice
k3f9x2qa  web01  host1  host2  done                   100 %  2026-07-25 10:00:00  alice
)");
  EXPECT_EQ(quarantine_text({}), "No disks are kept.\n");
}

TEST(MoveText, WordsForTheShellAreQuotedWhereNeeded) {
  EXPECT_EQ(shell_word("web-01.b"), "web-01.b");
  EXPECT_EQ(shell_word("größe"), "größe");
  EXPECT_EQ(shell_word("it's 2"), "'it'\\''s 2'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(ExitCodes, TellScriptsWhatHappened) {
  EXPECT_EQ(exit_code(ErrorCode::kBlocked), ExitCode::kNotDone);
  EXPECT_EQ(exit_code(ErrorCode::kNotFound), ExitCode::kNotFound);
  EXPECT_EQ(exit_code(ErrorCode::kUnavailable), ExitCode::kUnreachable);
  EXPECT_EQ(exit_code(ErrorCode::kUnauthenticated), ExitCode::kNotAllowed);
  EXPECT_EQ(exit_code(ErrorCode::kHypervisor), ExitCode::kFailed);
  EXPECT_EQ(exit_code(MoveState::kParked), ExitCode::kParked);
  EXPECT_EQ(exit_code(MoveState::kCancelled), ExitCode::kFailed);
}

Vm vm(const char* name, const char* host, VmState state = VmState::kRunning) {
  Vm made;
  made.name = name;
  made.host = host;
  made.uuid = "6c1fa1f0-0b32-4a29-8a2c-4f6a5a0b7c11";
  made.state = state;
  made.memory = gib(2);
  return made;
}

TEST(ChooseVm, TakesNameUuidAndHostWithName) {
  const VmListing listing{{vm("web01", "host1"), vm("a/b c", "host2")}, {}};
  EXPECT_EQ(choose_vm(listing, "web01")->host, "host1");
  EXPECT_EQ(choose_vm(listing, "host2/a/b c")->host, "host2");
  const VmListing one{{vm("web01", "host1")}, {}};
  EXPECT_EQ(choose_vm(one, "6C1FA1F0-0B32-4A29-8A2C-4F6A5A0B7C11")->name, "web01");
}

TEST(ChooseVm, AmbiguousNamesListWhatToSay) {
  const VmListing listing{{vm("my vm", "host1"), vm("my vm", "host2", VmState::kOff)}, {}};
  const auto chosen = choose_vm(listing, "my vm");
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(chosen.error().message,
            "2 VMs are called my vm. Fix: say 'host1/my vm' or 'host2/my vm'.");
  EXPECT_EQ(unique_names(listing), (std::vector<std::string>{"host1/my vm", "host2/my vm"}));
}

TEST(ChooseVm, TheCopyThatIsArrivingIsNotMeant) {
  const VmListing listing{{vm("web01", "host2", VmState::kIncoming), vm("web01", "host1")}, {}};
  EXPECT_EQ(choose_vm(listing, "web01")->host, "host1");
  EXPECT_EQ(unique_names(listing), (std::vector<std::string>{"web01"}));
}

TEST(ChooseVm, APatternMeansWhatRunsAndFits) {
  const VmListing listing{{vm("web01", "host1"), vm("web02", "host2"), vm("db01", "host1"),
                           vm("web03", "host1", VmState::kOff), vm("w*", "host1")},
                          {}};
  using Names = std::vector<std::string>;
  EXPECT_EQ(matching_names(listing, "web*").value(), (Names{"host1/web01", "host2/web02"}));
  EXPECT_EQ(matching_names(listing, "host1/*01").value(), (Names{"host1/web01", "host1/db01"}));
  EXPECT_EQ(matching_names(listing, "[d]b??").value(), Names{"host1/db01"});
  EXPECT_EQ(matching_names(listing, "w*").value(), Names{"w*"}) << "a VM is called so";
  EXPECT_EQ(matching_names(listing, "no-such").value(), Names{"no-such"}) << "no pattern";
  EXPECT_EQ(matching_names(listing, "x*").error().code, ErrorCode::kNotFound);
}

TEST(ChooseVm, LabelsMeanWhatRunsAndHasEachOfThem) {
  VmListing listing{{vm("web01", "host1"), vm("web02", "host2"), vm("db01", "host1"),
                     vm("web03", "host1", VmState::kOff)},
                    {}};
  for (Vm& one : listing.vms) one.labels = {"prod", "web"};
  listing.vms[1].labels = {"web"};
  listing.vms[2].labels = {"prod"};
  using Names = std::vector<std::string>;
  EXPECT_EQ(labelled_names(listing, {"web"}).value(), (Names{"host1/web01", "host2/web02"}));
  EXPECT_EQ(labelled_names(listing, {"web", "prod"}).value(), Names{"host1/web01"});
  const auto none = labelled_names(listing, {"we"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_NE(none.error().message.find("has the label we"), std::string::npos);
  EXPECT_TRUE(has_labels(listing.vms[3], {})) << "of all, none is missing";
}

TEST(ChooseVm, AMissingVmTellsWhichHostsWereNotAsked) {
  const VmListing listing{{}, {{"host3", Error{ErrorCode::kUnavailable, {}, "down", {}}}}};
  EXPECT_EQ(choose_vm(listing, "web01").error().message,
            "No VM is called web01. But host3 did not answer: drover host list says why.");
}

TEST(ListText, ShowsVmsAndTheirTroubles) {
  Vm moving = vm("web01", "host1");
  moving.move_id = "k3f9x2qa";
  moving.disks.push_back(Disk{"vda",
                              DiskKind::kFile,
                              DiskDevice::kDisk,
                              "/x",
                              "qcow2",
                              gib(10),
                              mib(547),
                              {},
                              false,
                              false,
                              {}});
  const VmListing listing{
      {moving, vm("größe 2", "host2", VmState::kOff)},
      {{"host3", Error{ErrorCode::kUnavailable, {}, "No answer.", {"refused"}}}}};
  EXPECT_EQ(list_text(listing),
            "VM       HOST   STATE     MEMORY  DISKS        MOVE\n"
            "web01    host1  running  2.0 GiB  1 (547 MiB)  k3f9x2qa\n"
            "größe 2  host2  off      2.0 GiB  none\n");
  EXPECT_EQ(list_troubles(listing), "host3: No answer.\n  because: refused\n");
}

TEST(ListText, OneVmOnTwoHostsIsAnAlarm) {
  const VmListing listing{{vm("web01", "host1"), vm("web01", "host2")}, {}};
  EXPECT_NE(list_troubles(listing).find("runs on host1 and host2 at once"), std::string::npos);
}

TEST(HostText, RightsAndSettingsAreReadStrictly) {
  EXPECT_EQ(rights_words(PeerRights{}), "send, receive");
  EXPECT_EQ(rights_words(*rights_from_words({"none"})), "none");
  EXPECT_TRUE(rights_from_words({"send", "command"})->command);
  EXPECT_FALSE(rights_from_words({"root"}));
  EXPECT_EQ(rights_words(*rights_from_words({"+command"}, PeerRights{})), "send, receive, command");
  EXPECT_EQ(rights_words(*rights_from_words({"command"}, PeerRights{})), "command");
  const auto change = *setting_change("allowed-folders+=/srv/a=b");
  EXPECT_EQ(change.key, "allowed-folders");
  EXPECT_EQ(change.op, SettingChange::Op::kAdd);
  EXPECT_EQ(change.value, "/srv/a=b");
  EXPECT_EQ(setting_change("x-=1")->op, SettingChange::Op::kRemove);
  EXPECT_FALSE(setting_change("=on"));
  EXPECT_FALSE(setting_change("incoming"));
}

}  // namespace
}  // namespace drover::cli
