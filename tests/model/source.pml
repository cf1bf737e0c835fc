/* SPDX-License-Identifier: Apache-2.0
 * The source without droverd: libvirtd with its QEMU, drover-gate (src/gate/source_machine.cpp),
 * drover-mover.
 */

/* `cont`, by whomever: QEMU refuses while the images are locked. */
inline resume_source() {
  if
  :: s_qemu == qemu_paused && !fence -> run_at_source()
  :: else
  fi
}
inline source_qemu_ends() {
  s_qemu = qemu_off;
  fence = false
}
/* What it returns is not read by anybody. */
inline call_ends() {
  s_call = call_none;
  s_connected = false;
  to_libvirtd = NONE
}
inline copy_fails() {
  resume_source();
  s_call = call_cancel;
  to_gate = finish_cancelled
}

#ifdef NO_HOOK
#define HOOK_AGREES true
#else
#define HOOK_AGREES (s_record == NONE || s_record == record_held || s_record == record_kept)
#endif

active proctype source_libvirtd() {
  do
  /* Disks, then memory, then the guest stands still, then FINISH. */
  :: d_step { s_libvirtd && s_connected && s_call == call_disks && ROAD && d_qemu == qemu_incoming ->
      s_call = call_memory }
  :: d_step { s_libvirtd && s_connected && s_call == call_memory && ROAD && d_qemu == qemu_incoming ->
      s_call = call_standstill; s_qemu = qemu_paused }
  :: d_step { s_libvirtd && s_connected && s_call == call_standstill && ROAD &&
              d_qemu == qemu_incoming ->
      s_call = call_finish; to_gate = finish }
  :: d_step { s_libvirtd && s_connected && COPYING &&
              (!s_mover || !d_mover || d_qemu != qemu_incoming) ->
      copy_fails() }
  /* libvirt's rollback, whatever became of FINISH: here it splits the brain, but for the fence. */
  :: d_step { s_libvirtd && s_call != call_none && !s_connected -> resume_source(); call_ends() }
  :: d_step { s_libvirtd && s_call == call_finish && to_libvirtd == reply_error ->
      resume_source(); call_ends() }
  :: d_step { s_libvirtd && s_call == call_finish && to_libvirtd == reply_ok ->
      source_qemu_ends(); call_ends() }
  :: d_step { s_libvirtd && s_call == call_cancel && to_libvirtd != NONE -> call_ends() }
  /* Started again: a job before FINISH is cancelled; after it the guest stays as it stands. */
  :: d_step { s_up && !s_libvirtd ->
      s_libvirtd = true;
      if
      :: s_call != call_none && s_call != call_finish -> resume_source()
      :: else
      fi;
      call_ends();
      if
      :: s_qemu == qemu_off && s_defined && s_autostart -> run_at_source()
      :: else
      fi }
  /* A person starts it after a loss of power; the hook asks the record (rule 6). */
  :: d_step { s_libvirtd && s_qemu == qemu_off && s_defined && s_call == call_none && HOOK_AGREES ->
      run_at_source() }
  od
}

/* FINISH(0) was never forwarded, and after this it never will be. */
inline source_gate_aborts() {
  if
  :: s_record != NONE -> s_record = record_kept
  :: else
  fi;
  s_connected = false;
  s_gate = sgate_ended
}
inline source_gate_doubts() {
  s_gate = sgate_in_doubt;
  doubt_told = (s_step != step_down)
}
#define AWAITS_ANSWER ((s_gate == sgate_finishing || s_gate == sgate_in_doubt) && s_answer == NONE)

active proctype source_gate() {
  do
  :: d_step { s_gate == sgate_waiting && s_connected -> s_gate = sgate_relaying }
  /* Memory opened. */
  :: d_step { s_gate == sgate_relaying && s_record == record_held && s_call == call_memory ->
      s_record = record_switching }
  :: d_step { s_gate == sgate_relaying && to_gate == finish_cancelled && s_mover ->
      to_gate = NONE; s_record = record_kept; s_gate = sgate_cancelling;
      to_destination = finish_cancelled }
  /* FINISH(0): the record, then the fence, then it goes out. */
  :: d_step { s_gate == sgate_relaying && to_gate == finish &&
              (s_record == record_held || s_record == record_switching) ->
      to_gate = NONE; s_record = record_switching; finish_seen = true; s_gate = sgate_fencing }
  :: d_step { s_gate == sgate_fencing && !fence_asked ->
#ifndef NO_FENCE
      fence = (s_qemu == qemu_paused);
      /* A QEMU that writes cannot be fenced: FINISH is answered with an error here. */
      s_answer = (s_qemu == qemu_running -> reply_error : NONE);
#endif
      fence_asked = true }
  :: d_step { s_gate == sgate_fencing && fence_asked && s_answer == NONE ->
      s_gate = sgate_finishing;
      fence_asked = false;
      finish_told = (s_step != step_down);
      if
      :: s_mover -> to_destination = finish
      :: else
      fi }
  /* The answers: recorded first; then the fence is lifted, or not, and libvirtd hears it. */
  :: d_step { AWAITS_ANSWER && s_gate == sgate_finishing && ROAD && to_source == reply_ok ->
      to_source = NONE; s_record = record_released; s_answer = reply_ok }
  :: d_step { AWAITS_ANSWER && ROAD && to_source == note_refused ->
      to_source = NONE; s_record = record_kept; s_answer = reply_error }
  :: d_step { AWAITS_ANSWER && s_gate == sgate_finishing && ROAD &&
              (to_source == reply_error || to_source == note_undecided ||
               to_source == note_libvirt_closed) ->
      to_source = NONE; source_gate_doubts() }
  :: d_step { s_answer != NONE ->
      if
      :: s_answer == reply_error -> fence = false
      :: else
      fi;
      if
      :: s_connected -> to_libvirtd = s_answer; s_gate = sgate_settled
      :: else -> s_gate = sgate_ended
      fi;
      fence_asked = false; s_answer = NONE }
  :: d_step { s_gate == sgate_cancelling && ROAD && to_source != NONE ->
      to_source = NONE; to_libvirtd = reply_ok; s_gate = sgate_settled }
  /* The road is gone: our mover, or their gate, whose end their mover passes on. */
  :: d_step { AWAITS_ANSWER && s_gate == sgate_finishing &&
              (!s_mover || (ROAD && to_source == NONE && to_destination == NONE &&
                            (d_gate == NONE || d_gate == dgate_ended))) ->
#ifdef LOST_REPLY_MEANS_RESUME
      s_record = record_kept; s_answer = reply_error
#else
      source_gate_doubts()
#endif
    }
  :: d_step { s_gate == sgate_cancelling && !s_mover -> s_connected = false; s_gate = sgate_ended }
  :: d_step { (s_gate == sgate_waiting || s_gate == sgate_relaying) && !s_mover ->
      source_gate_aborts() }
  /* libvirtd has left. */
  :: d_step { s_gate == sgate_relaying && !s_connected -> source_gate_aborts() }
  :: d_step { (s_gate == sgate_cancelling || s_gate == sgate_settled) && !s_connected ->
      s_gate = sgate_ended }
  od
}

active proctype source_mover() {
  do
  /* Patience is over. After FINISH(0) was forwarded there is no giving up. */
  :: d_step { s_mover && (!link || !d_mover) && s_gate != sgate_finishing &&
              s_gate != sgate_in_doubt ->
      s_mover = false; road_is_gone() }
  :: d_step { s_mover && !GATE_ALIVE && s_step != step_carriers && to_destination == NONE ->
      s_mover = false; road_is_gone() }
  od
}
