/* SPDX-License-Identifier: Apache-2.0
 * The destination: libvirtd with its QEMU, drover-gate (src/gate/destination_machine.cpp),
 * drover-mover, and droverd (src/move/destination_*.cpp).
 */

/* RecordFolder::decide(): the first one ever asked for stands. */
inline decide_refused() {
#ifdef REFUSED_WITHOUT_COMPARE
  if
  :: d_record != NONE -> d_record = decision_refused
  :: else
  fi
#else
  if
  :: d_record == decision_reserved -> d_record = decision_refused
  :: else
  fi
#endif
}

inline destination_qemu_ends() {
  d_qemu = qemu_off;
  stopped_event = d_droverd && d_libvirtd
}

active proctype destination_libvirtd() {
  do
  :: d_step { d_libvirtd && d_asked == finish && d_qemu == qemu_incoming ->
      d_asked = NONE;
      d_defined = true;
#ifdef HELD
      d_qemu = qemu_paused;
#else
      run_at_destination();
      resumed_event = d_droverd;
#endif
      d_replying = true }
#ifdef HELD
  :: d_step { d_libvirtd && d_asked == let_run && d_qemu == qemu_paused ->
      d_asked = NONE; run_at_destination(); resumed_event = d_droverd; d_replying = true }
  :: d_step { d_libvirtd && d_asked == let_run && d_qemu != qemu_paused ->
      d_asked = NONE; d_answered = reply_error }
#endif
  :: d_step { d_libvirtd && d_replying ->
      d_replying = false;
      if
      :: d_connected -> d_answered = reply_ok
      :: else
      fi }
  :: d_step { d_libvirtd && d_asked == finish && d_qemu == qemu_off ->
      d_asked = NONE; d_answered = reply_error }
  :: d_step { d_libvirtd && d_asked == finish_cancelled ->
      if
      :: d_qemu == qemu_incoming -> destination_qemu_ends()
      :: else
      fi;
      d_asked = NONE; d_answered = reply_ok }
  /* An incoming QEMU ends with the connection that prepared it, unless FINISH was quicker. */
  :: d_step { d_libvirtd && !d_connected && d_qemu == qemu_incoming ->
      destination_qemu_ends(); d_asked = NONE }
  :: d_step { d_up && !d_libvirtd ->
      d_libvirtd = true;
      if
      :: d_qemu == qemu_incoming -> destination_qemu_ends()
      :: else
      fi }
  od
}

inline destination_gate_gives_up(next) {
  d_connected = false;
  decide_refused();
  d_gate = next
}

#define FROM_SOURCE (ROAD && to_destination != NONE)
inline tell_source(words) {
  to_source = (d_mover -> words : NONE)
}
inline accept() {
  d_record = decision_accepted; d_forwarding = true; d_gate = dgate_finishing
}
inline do_not_forward(words) {
  d_connected = false; tell_source(words); d_gate = dgate_refused
}

#ifdef HELD
#define ENDS_WITH_FINISH (d_answered != reply_ok)
#else
#define ENDS_WITH_FINISH true
#endif

active proctype destination_gate() {
  do
  :: d_step { d_gate == dgate_relaying && FROM_SOURCE ->
      d_finish = to_destination; to_destination = NONE; d_gate = dgate_deciding }
  :: d_step { d_gate == dgate_deciding && d_finish == finish_cancelled ->
      d_finish = NONE; decide_refused(); d_forwarding = true; d_gate = dgate_cancelling }
  :: d_step { d_gate == dgate_deciding && d_finish == finish ->
      d_finish = NONE;
      if
      :: d_record == decision_reserved -> accept()
      :: d_record == decision_refused ->
#ifdef ACCEPTED_WITHOUT_COMPARE
        accept()
#else
        do_not_forward(note_refused)
#endif
      :: else -> do_not_forward(note_undecided)
      fi }
  /* Written, and reported as failed: nothing is forwarded. */
  :: d_step { d_gate == dgate_deciding && d_finish == finish && d_record == decision_reserved &&
              losses > 0 ->
      losses--; d_finish = NONE; d_record = decision_accepted; do_not_forward(note_undecided) }
  :: d_step { d_forwarding && (d_gate == dgate_finishing || d_gate == dgate_cancelling) ->
      d_forwarding = false;
      d_asked = (!d_connected -> NONE : (d_gate == dgate_finishing -> finish : finish_cancelled)) }
#ifdef HELD
  :: d_step { d_gate == dgate_finishing && d_answered == reply_ok ->
      d_answered = NONE; d_gate = dgate_watching; d_asked = (d_connected -> let_run : NONE) }
#endif
  /* The outcome is recorded before it is passed on. */
  :: d_step { (d_gate == dgate_watching || (d_gate == dgate_finishing && ENDS_WITH_FINISH)) &&
              d_answered != NONE ->
      d_outcome = d_answered; tell_source(d_answered); d_answered = NONE; d_gate = dgate_answered }
  :: d_step { (d_gate == dgate_finishing || d_gate == dgate_watching) && !d_forwarding &&
              !d_connected && d_answered == NONE ->
      tell_source(note_libvirt_closed); d_gate = dgate_answered }
  :: d_step { d_gate == dgate_cancelling && !d_forwarding && (d_answered != NONE || !d_connected) ->
      tell_source(reply_ok); d_answered = NONE; d_connected = false; d_gate = dgate_refused }
  /* FINISH comes to what was taken back. */
  :: d_step { d_gate == dgate_refused && FROM_SOURCE && to_source == NONE ->
      to_destination = NONE; decide_refused();
      to_source = (d_record == decision_refused -> note_refused : note_undecided) }
  :: d_step { d_gate == dgate_relaying && !d_connected -> destination_gate_gives_up(dgate_refused) }
  :: d_step { (d_gate == dgate_idle || d_gate == dgate_relaying || d_gate == dgate_refused) &&
              !d_mover ->
      destination_gate_gives_up(dgate_ended) }
  /* Nothing more is owed; it lingers for a while, whether its last word was heard or not. */
  :: d_step { d_gate == dgate_answered || d_gate == dgate_refused ->
      d_connected = false; d_gate = dgate_ended; d_mover = false; road_is_gone() }
  od
}

active proctype destination_mover() {
  do
  :: d_step { d_mover && (!link || !s_mover) && d_gate != dgate_finishing &&
              d_gate != dgate_watching && d_gate != dgate_answered ->
      d_mover = false; road_is_gone() }
  :: d_step { d_mover && (d_gate == NONE || d_gate == dgate_ended) && to_source == NONE ->
      d_mover = false; road_is_gone() }
  od
}

/* The verbs of the source's droverd (docs/peer_verbs.md). Each is run within the caller's step. */
inline reserve_there() {
  d_reserved = true; d_known = true; watch_unbroken = d_libvirtd
}
inline prepare_there() {
  d_prepared = true; d_record = decision_reserved; d_gate = dgate_idle; d_mover = true
}

#define RAN (d_outcome == reply_ok || resumed_seen)
#define ACCEPTED_IS_ANSWERED (d_libvirtd && (d_qemu == qemu_running || \
    (d_qemu == qemu_off && (RAN || !watch_unbroken || stopped_seen || never_ran))))
#define NEVER_RAN (never_ran || \
    (d_libvirtd && d_qemu == qemu_off && !RAN && watch_unbroken && stopped_seen))
#ifdef ENDED_JOBS_ARE_FORGOTTEN
#define IN_ITS_JOURNAL (d_known && !d_settled)
#else
#define IN_ITS_JOURNAL (d_reserved && !d_settled)
#endif
/* Not `pending`. */
#define HAS_AN_ANSWER (IN_ITS_JOURNAL && (d_undone || d_undoing || d_record == decision_reserved || \
    d_record == decision_refused || (d_record == decision_accepted && ACCEPTED_IS_ANSWERED)))

/* Rules 2 and 3. REQUIRES: HAS_AN_ANSWER. */
inline answer_there() {
  if
  :: d_undone || d_undoing -> answer = answer_refused
  :: else ->
    decide_refused();
    if
    :: d_record == decision_refused -> answer = answer_refused
    :: else ->
      if
      :: d_qemu == qemu_running -> answer = answer_runs
      :: else ->
        answer = (NEVER_RAN -> answer_gone_ran_no : answer_gone);
#ifndef PROOF_THERE_IS_FORGOTTEN
        never_ran = NEVER_RAN
#endif
      fi
    fi
  fi
}

#define MAY_BE_UNDONE (!d_undone && !d_undoing && !d_settled && \
    (d_record != decision_accepted || NEVER_RAN))

inline begin_undo_there() {
  decide_refused();
  d_undoing = true
}

active proctype destination_droverd() {
  do
  :: d_step { d_up && !d_droverd ->
      d_droverd = true; d_known = d_reserved && !d_undone && !d_settled }
  :: d_step { d_droverd && resumed_event -> resumed_event = false; resumed_seen = true }
  :: d_step { d_droverd && stopped_event && !resumed_event ->
      stopped_event = false; stopped_seen = true }
#ifdef HELD
#ifndef THE_HELD_WAIT_FOR_THEIR_GATE
  /* Its gate ended before it let the guest run, or cannot reach libvirtd any more. */
  :: d_step { d_droverd && d_libvirtd && d_known && d_prepared && !d_undone && !d_undoing &&
              !d_settled && d_record == decision_accepted && d_outcome != reply_ok &&
              !resumed_seen && d_qemu == qemu_paused &&
              (d_gate == NONE || d_gate == dgate_ended || d_gate == dgate_answered) ->
      run_at_destination(); resumed_event = true }
#endif
#endif
  /* The sweep of what a silent source left. */
  :: d_step { d_droverd && d_known && d_prepared && (d_gate == NONE || d_gate == dgate_ended) &&
              (d_record == decision_reserved || d_record == decision_refused) && MAY_BE_UNDONE ->
      begin_undo_there() }
  /* The undo, which is journaled before it begins. */
  :: d_step { d_droverd && d_undoing && d_gate != NONE && d_gate != dgate_ended ->
      d_connected = false; d_gate = dgate_ended; d_mover = false; road_is_gone() }
  :: d_step { d_droverd && d_undoing && d_libvirtd && d_qemu == qemu_incoming &&
              (d_gate == NONE || d_gate == dgate_ended) ->
      destination_qemu_ends() }
  :: d_step { d_droverd && d_undoing && d_libvirtd && d_record != NONE && d_qemu != qemu_incoming &&
              (d_gate == NONE || d_gate == dgate_ended) ->
      assert(!ran_there); /* images go here */
      d_defined = false;
      d_record = NONE }
  :: d_step { d_droverd && d_undoing && d_record == NONE ->
      d_undoing = false; d_undone = true }
  :: d_step { d_droverd && d_removing -> d_removing = false; d_record = NONE }
  od
}
