/* SPDX-License-Identifier: Apache-2.0
 * The source's droverd: the main flow of a move, src/move/live_move*.cpp. A step is what happens
 * between two changes that last.
 */

#define CALL_IS_OVER (own_call && (s_call == call_none || !s_libvirtd))
/* After a restart nobody waits for the call: libvirt's job, the record and the gate are watched. */
#define JOB_IS_OVER (!own_call && s_libvirtd && s_call == call_none && \
    (!GATE_ALIVE || !finish_seen || s_record == record_kept || s_record == record_released))
#define RECORD_IS_FINAL (s_record == record_kept || s_record == record_released)

#ifdef DOUBT_IS_ONLY_AN_EVENT
#define GATE_IS_IN_DOUBT doubt_told
#else
#define GATE_IS_IN_DOUBT (AWAITS_ANSWER && s_gate == sgate_in_doubt)
#endif
/* For an answer that takes long droverd looks itself, without a refusal in the question: the other
 * mover may be gone for ever, and then its gate or its sweep refuses. */
#ifdef A_LATE_ANSWER_IS_AWAITED
#define ANSWER_IS_LATE false
#else
#define ANSWER_IS_LATE (AWAITS_ANSWER && s_gate == sgate_finishing && \
    PEERS && HAS_AN_ANSWER && d_record != decision_reserved)
#endif

/* A gate that is busy with its record and its fence serves a command afterwards. */
#ifdef SILENCE_MEANS_STOPPED
#define GATE_HAS_TIME true
#else
#define GATE_HAS_TIME (s_gate != sgate_fencing)
#endif

/* Refused by a gate that awaits an answer; else it ends, and its mover. */
inline stop_source_carriers() {
  if
  :: s_gate == sgate_waiting || s_gate == sgate_relaying -> source_gate_aborts()
  :: s_gate == sgate_cancelling || s_gate == sgate_settled ->
    s_connected = false; s_gate = sgate_ended
  :: else
  fi;
  if
  :: !GATE_ALIVE -> s_mover = false; road_is_gone()
  :: else
  fi
}

/* A gate that awaits the answer is given it: it records, lifts or keeps the fence, and tells
 * libvirtd. Without one droverd does it all. */
#ifdef THE_GATE_IS_NOT_TOLD
#define TELL_GATE (AWAITS_ANSWER && !CALL_IS_OVER && !JOB_IS_OVER)
#else
#define TELL_GATE AWAITS_ANSWER
#endif
inline act_on_answer() {
  if
  :: TELL_GATE && (answer == answer_refused || answer == answer_gone_ran_no) ->
    s_record = record_kept; s_answer = reply_error; s_step = step_watch
  :: TELL_GATE && answer == answer_runs ->
    s_record = record_released; s_answer = reply_ok; s_step = step_watch
  :: answer == answer_gone -> s_job = job_parked; s_step = step_over
  :: else ->
    if
    :: answer == answer_runs -> s_step = step_has_it
    :: else -> s_step = step_keeps_it
    fi
  fi;
  answer = NONE
}

inline resume_after_restart() {
  if
  :: s_job == job_running && (!migrate_called || refusal_proven) -> s_step = step_undo
  :: s_job == job_running && migrate_called && !refusal_proven ->
    if
    :: s_phase == phase_verify -> s_step = step_verify
    :: s_phase == phase_settle -> s_step = step_undefine
    :: else -> s_step = step_watch
    fi
  :: else -> s_step = (there_is_a_reservation && s_job != job_parked -> step_undo_there : step_over)
  fi
}

active proctype source_droverd() {
  do
  :: d_step { s_up && s_step == step_down -> resume_after_restart() }

  /* reserve, prepare: a call that fails, or whose answer is lost, is undone. */
  :: d_step { s_step == step_reserve ->
      s_phase = phase_reserve; s_record = record_held; there_is_a_reservation = true;
      if
      :: PEERS -> reserve_there(); s_step = step_prepare
      :: else -> s_step = step_undo
      fi }
  :: d_step { s_step == step_prepare ->
      s_phase = phase_prepare;
      if
      :: PEERS -> prepare_there(); s_step = step_carriers
      :: else -> s_step = step_undo
      fi }
  :: d_step { s_step == step_prepare && PEERS && losses > 0 ->
      losses--; s_phase = phase_prepare; prepare_there(); s_step = step_undo }
  :: d_step { s_step == step_carriers ->
      s_gate = sgate_waiting; s_mover = true; s_step = step_autostart }
  :: d_step { s_step == step_autostart && s_libvirtd ->
#ifndef AUTOSTART_IS_LEFT
      s_autostart = false;
#endif
      s_step = step_migrate }
  :: d_step { s_step == step_autostart && !s_libvirtd -> s_step = step_undo }

  /* copy: the one call. PREPARE passes, or the call fails. */
  :: d_step { s_step == step_migrate && !migrate_called ->
      s_phase = phase_copy_disks; migrate_called = true; own_call = true }
  :: d_step { s_step == step_migrate && migrate_called ->
      if
      :: ROAD && s_libvirtd && d_libvirtd && d_gate == dgate_idle && s_gate == sgate_waiting ->
        s_call = call_disks; s_connected = true;
        d_gate = dgate_relaying; d_connected = true; d_qemu = qemu_incoming
      :: else
      fi;
      s_step = step_watch }
  :: d_step { s_step == step_watch && s_call == call_memory && s_phase == phase_copy_disks ->
      s_phase = phase_copy_memory }
  :: d_step { s_step == step_watch && finish_told -> finish_told = false; s_phase = phase_switch }
  :: d_step { s_step == step_watch && (CALL_IS_OVER || JOB_IS_OVER) ->
#ifdef CANCEL_BEFORE_RECORD
      s_step = (cancel_asked && BEFORE_SWITCH -> step_undo : step_settle_switch)
#else
      s_step = step_settle_switch
#endif
    }
  :: d_step { s_step == step_watch && (GATE_IS_IN_DOUBT || ANSWER_IS_LATE) &&
              !(CALL_IS_OVER || JOB_IS_OVER) ->
      doubt_told = false; s_step = step_find_truth }

  /* A person cancels, until droverd knows of the switch. */
  :: d_step { cancels > 0 && s_step == step_watch && !cancel_asked && BEFORE_SWITCH ->
      cancels--; cancel_asked = true }
  :: d_step { s_step == step_watch && cancel_asked && BEFORE_SWITCH && s_libvirtd && COPYING &&
              s_connected ->
      copy_fails() }

  /* settle_switch: our own record, then our own gate, then the destination's word. */
  :: d_step { s_step == step_settle_switch && s_gate != sgate_fencing ->
      if
      :: s_record == record_released -> s_step = step_has_it
      :: s_record == record_kept -> s_step = step_keeps_it
      :: s_record == NONE -> s_job = job_parked; s_step = step_over
      :: else -> s_step = (GATE_ALIVE && !finish_seen -> step_stop_gate : step_find_truth)
      fi }
  /* A gate that let nothing pass until it was stopped has recorded that it never will. */
  :: d_step { s_step == step_stop_gate && s_gate != sgate_fencing ->
      stop_source_carriers();
      s_step = (s_record == record_kept -> step_keeps_it : step_find_truth) }
  /* One that is busy does not answer in time. */
  :: d_step { s_step == step_stop_gate && s_gate == sgate_fencing ->
#ifdef SILENCE_MEANS_STOPPED
      s_step = step_keeps_it
#else
      s_step = step_find_truth
#endif
    }
  :: d_step { s_step == step_find_truth && PEERS && HAS_AN_ANSWER ->
      answer_there(); act_on_answer() }
  :: d_step { s_step == step_find_truth && PEERS && HAS_AN_ANSWER && losses > 0 ->
      losses--; answer_there(); answer = NONE }
  :: d_step { s_step == step_find_truth && RECORD_IS_FINAL ->
      s_step = (CALL_IS_OVER || JOB_IS_OVER -> step_settle_switch : step_watch) }

  /* The source keeps it. */
  :: d_step { s_step == step_keeps_it ->
      s_record = record_kept;
#ifndef PROOF_IS_FORGOTTEN
      refusal_proven = true;
#endif
      s_step = step_undo }
  /* A gate that let FINISH pass meanwhile is told of the refusal that we know. */
  :: d_step { s_step == step_undo && AWAITS_ANSWER -> s_record = record_kept; s_answer = reply_error }
  :: d_step { s_step == step_undo && GATE_HAS_TIME && s_answer == NONE && !AWAITS_ANSWER ->
      if
      :: s_libvirtd && COPYING && s_connected -> copy_fails()
      :: else
      fi;
      stop_source_carriers();
      s_step = step_lift_fence }
  :: d_step { s_step == step_lift_fence -> fence = false; s_step = step_take_back }
  :: d_step { s_step == step_take_back && s_libvirtd && s_call == call_none ->
      resume_source(); s_autostart = true; s_step = step_undo_there }
  :: d_step { s_step == step_undo_there && PEERS && there_is_a_reservation && MAY_BE_UNDONE &&
              d_reserved ->
      begin_undo_there() }
  :: d_step { s_step == step_undo_there &&
              (!there_is_a_reservation || (PEERS && (d_undone || !d_reserved))) ->
      s_step = step_forget }
  /* It cannot be told now; it is told later. */
  :: d_step { s_step == step_undo_there && there_is_a_reservation && !PEERS &&
              s_job == job_running ->
      s_job = (cancel_asked -> job_cancelled : job_failed) }
  :: d_step { s_step == step_forget && s_record != NONE -> s_record = NONE }
  :: d_step { s_step == step_forget && s_record == NONE ->
      there_is_a_reservation = false;
      if
      :: s_job == job_running -> s_job = (cancel_asked -> job_cancelled : job_failed)
      :: else
      fi;
      s_step = step_over }

  /* The destination has it. */
  :: d_step { s_step == step_has_it -> s_record = record_released; s_step = step_end_here }
  :: d_step { s_step == step_end_here && s_libvirtd && s_call == call_none ->
      source_qemu_ends(); s_step = step_verify }
  :: d_step { s_step == step_verify && s_phase != phase_verify -> s_phase = phase_verify }
#ifdef JOURNAL_ERROR_MEANS_UNDO
  :: d_step { s_step == step_verify && s_phase != phase_verify && losses > 0 ->
      losses--; s_step = step_undo }
#endif
  :: d_step { s_step == step_verify && s_phase == phase_verify && PEERS && d_libvirtd ->
      if
      :: d_qemu == qemu_running -> s_phase = phase_settle; s_step = step_undefine
      :: else -> s_job = job_parked; s_step = step_over
      fi }
  :: d_step { s_step == step_undefine && s_libvirtd ->
      stop_source_carriers(); s_defined = false; s_step = step_settle }
  :: d_step { s_step == step_settle && PEERS && !d_settled ->
      d_connected = false; d_gate = (d_gate == NONE -> NONE : dgate_ended);
      d_mover = false; road_is_gone();
#ifdef SETTLED_BEFORE_FORGOTTEN
      d_settled = true; d_removing = true
#else
      if
      :: d_record != NONE -> d_record = NONE
      :: else -> d_settled = true
      fi
#endif
    }
  :: d_step { s_step == step_settle && PEERS && d_settled ->
      s_record = NONE; there_is_a_reservation = false; s_job = job_done; s_step = step_over }
  od
}
