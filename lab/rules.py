# SPDX-License-Identifier: Apache-2.0
"""What a relay does at which libvirt call: `finish:reply:before` and `hold`, `drop`, `close`, `cut`, `kill:mover@host1`…"""
import processes
from base import UsageError

CALLS = {"close": 2, "open": 1, "feature": 60, "auth": 66, "prepare": 303, "finish": 306, "register": 360, "unregister": 361}
CALL, REPLY = 0, 1
PLAIN = ("hold", "drop", "close", "cut")
SIGNALS = {"kill": "SIGKILL", "stop": "SIGSTOP", "continue": "SIGCONT"}


def parse_action(text):
    """(verb, role, host); the latter two are None but for signals."""
    verb, colon, whom = text.partition(":")
    if verb in PLAIN and not colon:
        return [verb, None, None]
    role, at, host = whom.partition("@")
    if verb in SIGNALS and role in processes.ROLES and at and host:
        return [verb, role, host]
    raise UsageError(f"'{text}' is nothing a relay can do: say {', '.join(PLAIN)}, or kill:ROLE@HOST with a role of "
                     f"{', '.join(sorted(processes.ROLES))}.")


def parse(at, do):
    words = at.split(":")
    if len(words) == 3 and words[1] in ("request", "reply") and words[2] in ("before", "after"):
        call = CALLS.get(words[0]) or (int(words[0]) if words[0].isdigit() else None)
        if call:
            actions = [parse_action(word) for word in do.split(",")]
            if words[2] == "after" and "drop" in [action[0] for action in actions]:
                raise UsageError("A message cannot be dropped after it was passed on: say 'before'.")
            return {"text": f"{at} {do}", "proc": call, "type": CALL if words[1] == "request" else REPLY, "when": words[2],
                    "actions": actions}
    raise UsageError(f"'{at}' is no place to act: say CALL:request|reply:before|after with a CALL of {', '.join(CALLS)} "
                     "or a number.")
