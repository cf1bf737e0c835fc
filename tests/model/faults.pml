/* SPDX-License-Identifier: Apache-2.0
 * What may go wrong, at any time, as often as the budgets say. What is down comes up again by the
 * steps of its own host.
 */

inline source_droverd_dies() {
  s_step = (s_step == step_over -> step_over : step_down);
  own_call = false; cancel_asked = false; finish_told = false; doubt_told = false
}
inline source_gate_dies() {
#ifdef FENCE_DIES_WITH_THE_GATE
  fence = false;
#endif
  s_gate = NONE; s_answer = NONE; finish_seen = false; fence_asked = false;
  s_connected = false; to_gate = NONE; to_libvirtd = NONE
}
inline source_libvirtd_dies() {
  s_libvirtd = false; s_connected = false; to_libvirtd = NONE
}
inline destination_gate_dies() {
  d_gate = NONE; d_forwarding = false; d_finish = NONE;
  d_connected = false; d_answered = NONE
}
inline destination_libvirtd_dies() {
  d_libvirtd = false; d_connected = false; d_replying = false;
  d_asked = NONE; d_answered = NONE;
  watch_unbroken = false; resumed_event = false; stopped_event = false
}
inline destination_droverd_dies() {
  d_droverd = false; d_known = false; d_removing = false;
  watch_unbroken = false; resumed_seen = false; stopped_seen = false;
  resumed_event = false; stopped_event = false;
#ifdef UNDO_IS_NOT_JOURNALED
  d_undoing = false
#endif
}

active proctype faults() {
  do
  :: d_step { crashes > 0 && s_up && s_step != step_down && s_step != step_over ->
      crashes--; source_droverd_dies() }
  :: d_step { crashes > 0 && GATE_ALIVE -> crashes--; source_gate_dies() }
  :: d_step { crashes > 0 && s_mover -> crashes--; s_mover = false; road_is_gone() }
  :: d_step { crashes > 0 && s_libvirtd -> crashes--; source_libvirtd_dies() }
  :: d_step { crashes > 0 && s_up ->
      crashes--;
      source_droverd_dies(); source_gate_dies(); source_libvirtd_dies();
      s_gate = NONE; s_mover = false; road_is_gone();
      s_power_lost = s_power_lost || (s_qemu != qemu_off);
      s_call = call_none; source_qemu_ends();
      s_up = false }
  :: d_step { !s_up -> s_up = true }

  :: d_step { crashes > 0 && d_droverd && d_reserved -> crashes--; destination_droverd_dies() }
  :: d_step { crashes > 0 && d_gate != NONE && d_gate != dgate_ended ->
      crashes--; destination_gate_dies() }
  :: d_step { crashes > 0 && d_mover -> crashes--; d_mover = false; road_is_gone() }
  :: d_step { crashes > 0 && d_libvirtd -> crashes--; destination_libvirtd_dies() }
  :: d_step { crashes > 0 && (d_qemu == qemu_incoming || d_qemu == qemu_paused) ->
      crashes--; destination_qemu_ends() }
  :: d_step { crashes > 0 && d_up ->
      crashes--;
      destination_droverd_dies(); destination_gate_dies(); destination_libvirtd_dies();
      d_mover = false; road_is_gone();
      if
      :: d_qemu != qemu_off -> destination_qemu_ends(); d_lost = d_lost || ran_there
      :: else
      fi;
      d_up = false }
  :: d_step { !d_up -> d_up = true }

  :: d_step { cuts > 0 && link -> cuts--; link = false }
  :: d_step { !link -> link = true }
  od
}
