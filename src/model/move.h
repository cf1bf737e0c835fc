// SPDX-License-Identifier: Apache-2.0
// A move under way or done: its durable job, phases, progress, report. Plain values.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "model/after.h"
#include "model/plan.h"

namespace drover {

// In the order of docs/design's move. A kind of move is a list of these (docs/moves.md).
enum class Phase {
  kPlan,
  kAdmit,
  kReserve,
  kPrepare,
  kCopyDisks,
  kCopyMemory,
  kSwitch,
  kVerify,
  kSettle
};
std::string_view phase_name(Phase phase);  // "plan", "copy-disks", ...
std::optional<Phase> phase_from_name(std::string_view name);

enum class MoveState {
  kRunning,    // phases are being worked on, or undone
  kDone,       // the VM runs on the destination, or its disks lie there; all settled
  kFailed,     // undone; the VM is on the source as before
  kCancelled,  // the same, because a user asked
  kParked,     // needs an operator; `explanation` says what and why
  kRehearsed,  // all up to the copy worked, and was undone; the VM is on the source as before
};
std::string_view move_state_name(MoveState state);
std::optional<MoveState> move_state_from_name(std::string_view name);

// Who may run the VM, as the journal knows it.
enum class Runner { kSource, kDestination, kUnknown };
std::string_view runner_name(Runner runner);
std::optional<Runner> runner_from_name(std::string_view name);

struct PhaseTimes {
  Phase phase = Phase::kPlan;
  std::chrono::system_clock::time_point started_at;
  std::optional<std::chrono::system_clock::time_point> ended_at;
};

struct TransferProgress {
  ByteCount done;
  ByteCount total;
  BytesPerSecond rate;
  ByteCount redirtied;  // memory: sent more than once
};

// One round of QEMU over the guest's memory, as it was seen from outside: rounds that are shorter
// than the time between two looks count as one.
struct MemoryPass {
  std::uint64_t number = 0;  // QEMU's, from 1; of several in one: the last's
  std::chrono::milliseconds duration{0};
  ByteCount left;          // to be sent, when the pass was first seen
  ByteCount sent;          // by QEMU
  BytesPerSecond dirtied;  // what the guest changed meanwhile, as QEMU measured it last; 0: not yet
  // Of 4 KiB, as the mover described them; 0 where it carries bytes as they are.
  std::uint64_t pages = 0;            // all, zero pages too
  std::uint64_t resent_pages = 0;     // of these, not the first time; no zero pages
  std::uint64_t unchanged_pages = 0;  // of these, sent again although unchanged: dropped
};

struct Progress {
  Phase phase = Phase::kPlan;
  int percent = 0;  // never runs backwards; disks are 0-50, memory 50-99, 100 is settled
  TransferProgress disks;
  TransferProgress memory;
  std::chrono::milliseconds elapsed{0};
  // A range, absent while nothing is known.
  std::optional<std::chrono::milliseconds> left_least;
  std::optional<std::chrono::milliseconds> left_most;
  std::vector<MemoryPass> passes;  // so far, in order; the last one goes on
  std::optional<Finding> warning;  // what keeps the move from its end: docs/convergence.md
};

// How what memory and disks said travelled; all but `wire` as QEMU gave it.
struct TransferKinds {
  ByteCount untouched;       // as it was
  ByteCount zero;            // pages of zeroes, as marks
  ByteCount same;            // pages sent again although unchanged: dropped
  ByteCount cached;          // pages that the destination had received before, as references
  ByteCount own_disk;        // pages that the destination has on this VM's disks, as references
  ByteCount residue;         // of disks and memory, that the destination has of an earlier move
  ByteCount group;           // likewise, that VMs of its group have on their disks there
  ByteCount packed;          // described, with all of the above but `untouched`, and compressed
  ByteCount wire;            // what `packed` became
  ByteCount resent;          // pages that were sent before, with other or the same content
  std::uint64_t misses = 0;  // references that were not good, and were sent again as bytes
};

// What was compared before the source let go (docs/proof.md).
struct Proof {
  Verification level = Verification::kNone;  // that ran: not more than was asked for
  ByteCount compared;                        // of the disks, equal
  ByteCount excluded;  // read back: the guest wrote there since, so it may well differ
  ByteCount unproven;  // of which the destination cannot say what it was given
  std::chrono::milliseconds duration{0};
  std::string text;        // why something is not proven; else empty
  std::string difference;  // what is not equal: then nothing was released; else empty
};

// What went over one of the plan's networks.
struct NetworkTraffic {
  std::string network;  // as in the plan
  ByteCount wire;       // both directions, TLS included
};

struct Report {
  ByteCount bytes_on_wire;  // both directions, counted by the movers, TLS included
  std::chrono::milliseconds duration{0};
  std::optional<std::chrono::milliseconds> pause;  // as the hypervisor measured it
  ByteCount memory_sent;
  ByteCount disks_sent;
  std::optional<TransferKinds> kinds;
  std::vector<MemoryPass> passes;  // the last one's end is the end of the pause
  std::optional<Proof> proof;
  std::vector<NetworkTraffic> networks;
};

// Of a move that waits for its turn (docs/queue.md).
struct QueuePlace {
  int priority = 0;
  bool held = false;      // does not start until it is released
  unsigned position = 0;  // from 1; 0: not known yet
  std::string waits_for;  // one sentence; empty: not looked at yet
  std::chrono::system_clock::time_point since;
  // Its turn does not come earlier.
  std::optional<std::chrono::system_clock::time_point> not_before = std::nullopt;
  // When its turn is thought to come; nothing: nobody can tell.
  std::optional<std::chrono::system_clock::time_point> expected_at = std::nullopt;
};

struct Move {
  std::string id;  // 8 characters of random_name
  Plan plan;
  std::string source;
  std::string destination;
  // The ownership records' and the destination's name of this attempt, 8 characters like the id,
  // which is the first attempt's.
  std::string epoch;
  Phase phase = Phase::kPlan;
  MoveState state = MoveState::kRunning;
  Runner runner = Runner::kSource;
  std::string explanation;  // for people: what happened, what to do
  std::optional<Error> error;
  std::vector<PhaseTimes> phases;
  Progress progress;
  std::optional<Report> report;
  std::optional<QueuePlace> queue;  // only while it waits: nothing was touched
  bool cancel_asked = false;
  std::vector<Attempt> attempts;         // that failed before this one
  std::optional<Resolution> resolution;  // that is followed
  std::optional<Health> health;          // once the VM has arrived
  Convergence convergence;      // in force; the request's, or the settings', until it is changed
  bool may_slow_guest = false;  // libvirt was told so at the start, and does
  std::chrono::system_clock::time_point started_at;
  std::optional<std::chrono::system_clock::time_point> ended_at;
};

// A disk of the source, kept after its VM left.
struct QuarantinedDisk {
  std::string move_id;
  std::string vm_uuid;
  std::string vm_name;
  std::string original_path;
  std::string kept_path;  // NAME.drover-MOVE beside it
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  ByteCount allocated;
  std::chrono::system_clock::time_point since;
  std::optional<std::chrono::system_clock::time_point> until;  // nothing: --keep-source
  // With these the file is known again although a reboot gave its device another number
  // (hypervisor/file_identity.h).
  std::uint64_t born_ns = 0;  // since 1970; 0: the file system does not say
  std::string boot = {};      // the boot in which it was looked at; empty: not known
};

}  // namespace drover
