# SPDX-License-Identifier: Apache-2.0
"""The libvirt hook: a VM that may belong to another host is not started here; all others are."""
import pathlib
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
UUID = "6c1fa1f0-0b32-4a29-8a2c-4f6a5a0b7c11"
XML = f"""<domain type='kvm'>
  <name>web &lt;01&gt;</name>
  <uuid>{UUID.upper()}</uuid>
  <metadata><x><uuid>00000000-0000-0000-0000-000000000000</uuid></x></metadata>
</domain>
"""
RECORD = """drover-record 1
kind {kind}
instance 7f3a09c2
vm {uuid}
move k3f9x2qa
epoch k3f9x2qa-1
state {state}
time 2026-11-20T23:30:00Z
note 
crc32 5a3c09d1
"""


@pytest.fixture
def hook(tmp_path):
    """The hook with its records in a folder of the test's own."""
    records = tmp_path / "records"
    records.mkdir()
    text = (REPO / "packaging/hooks/qemu").read_text()
    assert "\nrecords=/var/lib/drover/records\n" in text
    program = tmp_path / "qemu"
    program.write_text(text.replace("records=/var/lib/drover/records", f"records='{records}'"))
    program.chmod(0o755)

    def call(*words, xml=XML):
        return subprocess.run([program, "web <01>", *words], input=xml, capture_output=True, text=True)

    call.records = records
    return call


def put(hook, kind, state, uuid=UUID, epoch="k3f9x2qa-1"):
    (hook.records / f"{uuid}.{epoch}.{kind}").write_text(RECORD.format(kind=kind, uuid=uuid, state=state))


def starts(hook):
    done = hook("prepare", "begin", "-")
    assert done.returncode == 0 or "must not be started here" in done.stderr, done.stderr
    return done.returncode == 0


def test_without_a_record_it_starts(hook):
    put(hook, "source", "released", uuid="11111111-1111-1111-1111-111111111111")
    assert starts(hook)


@pytest.mark.parametrize("state", ["held", "kept"])
def test_a_vm_that_is_ours_starts(hook, state):
    put(hook, "source", state)
    assert starts(hook)


@pytest.mark.parametrize("state", ["switching", "released", "of the future"])
def test_a_vm_that_may_be_elsewhere_does_not_start(hook, state):
    put(hook, "source", state)
    done = hook("prepare", "begin", "-")
    assert done.returncode == 1 and "drover show k3f9x2qa" in done.stderr


def test_one_bad_record_among_good_ones_is_enough(hook):
    put(hook, "source", "kept", epoch="a-1")
    put(hook, "source", "switching", epoch="b-1")
    put(hook, "source", "kept", epoch="c-1")
    assert not starts(hook)


def test_a_record_cut_short_is_not_believed(hook):
    put(hook, "source", "held")
    path = next(hook.records.iterdir())
    path.write_text(path.read_text()[:-20])
    assert not starts(hook)


def test_a_vm_that_is_arriving_starts(hook):
    put(hook, "source", "released", epoch="a-1")
    put(hook, "reserved", "reserved", epoch="b-1")
    assert starts(hook)
    put(hook, "decision", "accepted", epoch="b-1")
    assert starts(hook)


def test_an_arrival_that_was_refused_does_not_help(hook):
    put(hook, "source", "switching", epoch="a-1")
    put(hook, "reserved", "reserved", epoch="b-1")
    put(hook, "decision", "refused", epoch="b-1")
    assert not starts(hook)


@pytest.mark.parametrize("words", [("stopped", "end", "-"), ("release", "end", "-"), ("migrate", "begin", "-"),
                                   ("reconnect", "begin", "-"), ("started", "begin", "-")])
def test_other_events_pass(hook, words):
    put(hook, "source", "switching")
    assert hook(*words).returncode == 0
    assert hook(*words).stdout == "", "libvirt would take it as a changed definition"
