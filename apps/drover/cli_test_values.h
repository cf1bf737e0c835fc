// SPDX-License-Identifier: Apache-2.0
// Values that the tests of the command line share.
#pragma once

#include <chrono>
#include <cstdlib>
#include <ctime>

#include "model/move.h"
#include "model/plan.h"

namespace drover::cli {

inline std::chrono::system_clock::time_point moment(int seconds) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  return std::chrono::sys_days{std::chrono::year{2026} / 7 / 25} + std::chrono::hours{10} +
         std::chrono::seconds{seconds};
}

inline Plan sample_plan() {
  Plan plan;
  plan.id = "p1";
  plan.vm.name = "web01";
  plan.vm.uuid = "6c1fa1f0-0b32-4a29-8a2c-4f6a5a0b7c11";
  plan.vm.host = "host1";
  plan.vm.state = VmState::kRunning;
  plan.vm.memory = gib(2);
  plan.vm.vcpus = 2;
  plan.request.destination = "host2";
  plan.request.requested_by = "alice";
  plan.placements = {{"vda", "/var/lib/libvirt/images/web01.qcow2",
                      "/var/lib/libvirt/images/web01.qcow2", "qcow2", gib(10), mib(547), kib(64)},
                     {"vdb", "/srv/größe.raw", "/var/lib/libvirt/images/größe.raw", "raw", gib(1),
                      mib(12), ByteCount{}}};
  plan.bytes_expected = mib(1200);
  plan.quarantine_bytes = mib(559);
  return plan;
}

inline Finding finding(FindingLevel level, const char* code) {
  return {code,
          level,
          "web01",
          std::string(code) + " is so.",
          "It would hurt.",
          {"do this", "or that"}};
}

inline Move sample_move() {
  Move move;
  move.id = "k3f9x2qa";
  move.plan = sample_plan();
  move.source = "host1";
  move.destination = "host2";
  move.phase = Phase::kCopyDisks;
  move.progress.percent = 34;
  move.progress.disks = {mib(190), mib(559), BytesPerSecond{mib(112).bytes}, ByteCount{}};
  move.progress.elapsed = std::chrono::milliseconds(2400);
  move.started_at = moment(0);
  move.phases = {{Phase::kReserve, moment(0), moment(1)}, {Phase::kCopyDisks, moment(1), {}}};
  return move;
}

inline Move finished_move() {
  Move move = sample_move();
  move.state = MoveState::kDone;
  move.phase = Phase::kSettle;
  move.runner = Runner::kDestination;
  move.progress.percent = 100;
  move.report = Report{mib(781),
                       std::chrono::milliseconds(11'300),
                       std::chrono::milliseconds(66),
                       mib(210),
                       mib(559),
                       TransferKinds{.untouched = mib(3),
                                     .zero = mib(400),
                                     .same = mib(12),
                                     .cached = {},
                                     .own_disk = mib(100),
                                     .residue = {},
                                     .group = {},
                                     .packed = mib(769),
                                     .wire = mib(190),
                                     .resent = mib(20),
                                     .misses = 2},
                       {},
                       Proof{.level = Verification::kAsSent,
                             .compared = gib(2),
                             .excluded = {},
                             .unproven = {},
                             .duration = std::chrono::milliseconds(800),
                             .text = {},
                             .difference = {}},
                       {}};
  move.phases[1].ended_at = moment(11);
  move.ended_at = moment(12);
  return move;
}

}  // namespace drover::cli
