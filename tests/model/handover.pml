/* SPDX-License-Identifier: Apache-2.0
 *
 * The handover of a VM between two hosts: docs/model.md says what is in it and what is left out,
 * check.py runs it. This file: names, state, and what must hold. source.pml,
 * source_droverd.pml and destination.pml are the two hosts, one guarded command for each step after
 * which a crash may come; faults.pml is what may go wrong.
 *
 * With HELD the guest stands still after FINISH until its writes are watched (docs/proof.md).
 *
 * Names with a prefix are the code's; tests/lint/model_names.py compares them:
 *   record_    SourceState         src/gate/ownership_record.cpp
 *   decision_  what the destination's record says: reserved, and Decision, same file
 *   sgate_     SourceMachine       src/gate/source_machine.cpp, state_name()
 *   dgate_     DestinationMachine  src/gate/destination_machine.cpp, state_name()
 *   phase_     Phase               src/model/names.cpp
 *   job_       MoveState           src/model/names.cpp
 *   answer_    Answer::Kind        src/move/peer_messages.cpp; gone is told apart by whether it ran
 */

/* How often each fault may come in one run. */
#ifndef CRASHES
#define CRASHES 1 /* a process or a host dies */
#endif
#ifndef LOSSES
#define LOSSES 1 /* the answer of a droverd is lost; a decision is written and reported as failed */
#endif
#ifndef CUTS
#define CUTS 1 /* the network is cut; it comes back */
#endif
#ifndef CANCELS
#define CANCELS 1 /* a person cancels the move */
#endif

mtype:record = {record_held, record_switching, record_kept, record_released};
mtype:decision = {decision_reserved, decision_accepted, decision_refused};
mtype:sgate = {sgate_waiting, sgate_relaying, sgate_fencing, sgate_finishing, sgate_in_doubt,
               sgate_cancelling, sgate_settled, sgate_ended};
mtype:dgate = {dgate_idle, dgate_connecting, dgate_relaying, dgate_deciding, dgate_finishing,
               dgate_watching, dgate_cancelling, dgate_answered, dgate_refused, dgate_ended};
mtype:phase = {phase_plan, phase_admit, phase_reserve, phase_prepare, phase_copy_disks,
               phase_copy_memory, phase_switch, phase_verify, phase_settle};
/* A rehearsal is a move that cancels itself before memory: to this model it is job_cancelled. */
mtype:job = {job_running, job_done, job_failed, job_cancelled, job_parked, job_rehearsed};
mtype:answer = {answer_refused, answer_pending, answer_runs, answer_gone_ran_no, answer_gone};

/* A QEMU. While incoming or paused it executes nothing. */
mtype:qemu = {qemu_off, qemu_incoming, qemu_paused, qemu_running};
/* How far the migration is in the source's libvirtd. */
mtype:call = {call_none, call_disks, call_memory, call_standstill, call_finish, call_cancel};
/* Between the gates, and between a gate and its libvirtd. */
mtype:message = {finish, finish_cancelled, let_run, reply_ok, reply_error, note_refused, note_undecided,
                 note_libvirt_closed};
/* Where the source's droverd is in live_move*.cpp. */
mtype:step = {step_down, step_reserve, step_prepare, step_carriers, step_autostart, step_migrate,
              step_watch, step_settle_switch, step_stop_gate, step_find_truth, step_keeps_it,
              step_undo, step_lift_fence, step_take_back, step_undo_there, step_forget, step_has_it,
              step_end_here, step_verify, step_undefine, step_settle, step_over};

#define NONE 0

/* The source. What is durable first; a loss of power takes the rest. */
mtype:record s_record = NONE;
mtype:phase s_phase = phase_plan;
mtype:job s_job = job_running;
bool migrate_called, refusal_proven, there_is_a_reservation;
bool s_defined = true, s_autostart = true;

bool s_up = true, s_libvirtd = true;
mtype:qemu s_qemu = qemu_running;
bool fence; /* the lock on the images, held by copies of one description, also in QEMU */
mtype:step s_step = step_reserve;
bool cancel_asked;
bool own_call; /* who made libvirt's call still waits for it */
bool finish_told, doubt_told; /* events of the gate that droverd has not taken yet */
mtype:call s_call = call_none;
bool s_connected; /* libvirtd with its gate */
mtype:message to_gate = NONE, to_libvirtd = NONE;
mtype:sgate s_gate = NONE; /* NONE: no such process */
bool finish_seen, fence_asked; /* of the gate */
mtype:message s_answer = NONE; /* recorded by the gate, about to be acted on */
bool s_mover;

/* The road. */
bool link = true;
mtype:message to_destination = NONE, to_source = NONE;

/* The destination. */
mtype:decision d_record = NONE;
mtype:message d_outcome = NONE;
bool d_reserved, d_prepared, d_undoing, d_undone, d_settled; /* its job, in its journal */
bool never_ran; /* told once, true for ever */
bool d_defined;

bool d_up = true, d_libvirtd = true, d_droverd = true;
mtype:qemu d_qemu = qemu_off;
bool d_known; /* the job is in droverd's memory */
bool watch_unbroken, resumed_seen, stopped_seen;
bool resumed_event, stopped_event; /* under way from libvirtd to droverd, in this order */
mtype:dgate d_gate = NONE;
bool d_connected; /* the gate with its libvirtd */
bool d_forwarding; /* decided, and not yet forwarded */
bool d_replying; /* libvirtd has run the guest and not yet said so */
bool d_removing; /* settled, and its record about to be removed */
mtype:message d_finish = NONE; /* with the gate, while it decides */
mtype:message d_asked = NONE, d_answered = NONE; /* gate to libvirtd, and back */
bool d_mover;

mtype:answer answer = NONE; /* of one question, within one step */

/* For what must hold; no step of the hosts reads these. */
bool ran_there, s_power_lost, d_lost;

byte crashes = CRASHES, losses = LOSSES, cuts = CUTS, cancels = CANCELS;

/* Safety: never two runners. And more: what ran at the destination never runs at the source again,
 * whose disks are older. */
bool two_runners, older_disks;

inline run_at_source() {
  two_runners = (d_qemu == qemu_running);
  older_disks = ran_there;
  assert(!two_runners);
  assert(!older_disks);
  s_qemu = qemu_running
}
inline run_at_destination() {
  two_runners = (s_qemu == qemu_running);
  assert(!two_runners);
  d_qemu = qemu_running;
  ran_there = true
}

#define ROAD (link && s_mover && d_mover)
#define PEERS (link && s_up && d_up && d_droverd)
#define GATE_ALIVE (s_gate != NONE && s_gate != sgate_ended)
#define BEFORE_SWITCH (s_phase != phase_switch && s_phase != phase_verify && s_phase != phase_settle)
#define COPYING (s_call == call_disks || s_call == call_memory || s_call == call_standstill)

/* Nothing of a session survives its processes. */
inline road_is_gone() {
  to_destination = NONE;
  to_source = NONE
}

#include "destination.pml"
#include "source.pml"
#include "source_droverd.pml"
#include "faults.pml"

/* Liveness. Faults are counted and nothing else can go on for ever (the search for cycles proves
 * it), so each run stops by itself once both hosts and the road are back: and then this holds. */
#ifndef ONLY_SAFETY
active proctype the_end() {
  timeout ->
  d_step {
    assert(s_up && d_up && link && s_libvirtd && d_libvirtd && d_droverd && s_step == step_over);
    if
    :: s_job == job_done ->
      /* Later the guest may have ended with that host's power: then it is started there. */
      assert(ran_there && d_defined && (d_qemu == qemu_running || d_lost));
      assert(s_qemu == qemu_off && !s_defined && !s_autostart);
      assert(s_record == NONE && d_record == NONE && d_settled);
      assert(!GATE_ALIVE && !s_mover && !d_mover)
    :: s_job == job_failed || s_job == job_cancelled || s_job == job_rehearsed ->
      assert(!ran_there && d_qemu == qemu_off && !d_defined);
      assert(s_qemu == qemu_running || s_power_lost);
      assert(s_defined && s_autostart && !fence);
      assert(s_record == NONE && d_record == NONE && !there_is_a_reservation);
      assert(!GATE_ALIVE && !s_mover && !d_mover)
    :: s_job == job_parked ->
      /* Accepted, and lost there: people are told that it belongs to the destination. */
      assert(d_record == decision_accepted && d_qemu == qemu_off);
      assert(s_qemu == qemu_off || (s_qemu == qemu_paused && fence));
      assert(!s_autostart)
    :: else -> assert(s_job != job_running)
    fi
  };
progress:
  false
}
#endif
