# SPDX-License-Identifier: Apache-2.0
"""UEFI variables and an emulated TPM travel: a guest seals a secret with its TPM, keeps the sealed bytes in a variable of its
firmware, and opens it again after each move. Who has lost either has lost the secret."""
import os
import secrets
import shutil

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, codes, drop_all, lab_hosts, until

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
TPM_STATE = "/var/lib/libvirt/swtpm"
SHARED = lab_hosts.SHARED
GUEST = {"memory": 256, "disk": "64M", "fill": 4, "dirty": 1, "disk_rate": 0.1, "uefi": True, "tpm": True}


@pytest.fixture(scope="module", autouse=True)
def needs():
    if not os.path.exists(FIRMWARE):
        pytest.skip("needs the package ovmf")
    if not shutil.which("swtpm_setup"):
        pytest.skip("needs the packages swtpm and swtpm-tools")


def sealed(lab, name):
    secret = secrets.token_hex(16)
    said = lab.run("ask", name, "seal", secret).stdout.strip()
    assert said == "sealed", said
    return secret


def opened(lab, name):
    return lab.run("ask", name, "unseal").stdout.strip()


def boot_again(lab, host, name):
    host.virsh("destroy", name)
    host.virsh("start", name)
    until(lambda: lab.verify(name, "--reboot-allowed")["ok"], "the guest answers again", patience=120, pause=1)


def assert_moved(source, name):
    move = source.moves()[0]
    assert (move["state"], move["plan"]["vm"]["name"]) == ("done", name), brief(move)


def test_a_sealed_secret_travels_live_and_rests_there(lab, pair):
    """Shared-nothing there, a boot from what lies there, the disks elsewhere, and back home."""
    host1, host2 = pair
    other = f"{IMAGES}/other"
    host2.run("mkdir", "-p", "-m", "711", other)
    with lab.guest("host1", "sealer", **GUEST) as guest:
        secret = sealed(lab, "sealer")
        plan = host1.plan("sealer", "host2")
        assert "TPM_TRAVELS" in codes(plan, "note") and not codes(plan, "blocker"), plan
        host1.drover("move", "sealer", "host2", "--yes")
        assert_moved(host1, "sealer")
        assert lab.verify("sealer")["ok"] and opened(lab, "sealer") == secret
        assert not host1.path(plan["vm"]["nvram_path"]).exists(), "the source's variables are still in their place"

        # From the files that lie there: what the source's QEMU had in its memory helps no more.
        boot_again(lab, host2, "sealer")
        assert opened(lab, "sealer") == secret

        done = host2.drover("move", "sealer", "--to-storage", other, "--yes", "--accept", "SAME_DEVICE")
        assert "sealer" in done.stdout and opened(lab, "sealer") == secret
        assert host2.path(f"{other}/{os.path.basename(guest['disk'])}").exists()

        host2.drover("move", "sealer", "host1", "--yes", "--disks-to", IMAGES)
        assert_moved(host2, "sealer")
        assert opened(lab, "sealer") == secret
        drop_all(*pair)
    assert_clean(*pair)
    host2.run("rm", "-rf", other)


@LONG
def test_only_the_vm_moves_and_its_secret_with_it(lab, pair):
    """Disks on shared storage stay; variables and TPM are each host's own, and travel."""
    for host in pair:
        host.drover("settings", f"allowed-folders+={SHARED}")
    try:
        with lab.guest("host1", "shared-sealer", folder=SHARED, **GUEST):
            secret = sealed(lab, "shared-sealer")
            for source, destination in (pair, pair[::-1]):
                source.drover("move", "shared-sealer", destination.name, "--yes")
                assert_moved(source, "shared-sealer")
                assert opened(lab, "shared-sealer") == secret
            drop_all(*pair)
    finally:
        for host in pair:
            host.drover("settings", f"allowed-folders-={SHARED}")
    assert_clean(*pair)


@LONG
def test_a_sealed_secret_travels_with_a_vm_that_is_off(lab, pair):
    """There, and back over what was put aside here; nothing of a TPM stays in its place."""
    host1, host2 = pair
    with lab.guest("host1", "off-sealer", **GUEST) as guest:
        secret = sealed(lab, "off-sealer")
        state = f"{TPM_STATE}/{guest['uuid']}/tpm2/tpm2-00.permall"
        for source, destination in (pair, pair[::-1]):
            source.virsh("destroy", "off-sealer")
            plan = source.plan("off-sealer", destination.name)
            assert plan["kind"] == "offline" and not codes(plan, "blocker"), plan["findings"]
            assert "TPM_TRAVELS" in codes(plan, "note")
            before = source.path(state).read_bytes()
            source.drover("move", "off-sealer", destination.name, "--yes")
            assert_moved(source, "off-sealer")
            assert destination.path(state).read_bytes() == before and not source.path(state).exists()
            destination.virsh("start", "off-sealer")
            until(lambda: lab.verify("off-sealer", "--reboot-allowed")["ok"], "the guest answers again", patience=120, pause=1)
            assert opened(lab, "off-sealer") == secret
        host1.virsh("destroy", "off-sealer")
        host2.path(state).write_bytes(b"another")
        plan = host1.plan("off-sealer", "host2")
        assert codes(plan, "blocker") == ["TPM_STAYS"], plan["findings"]
        host2.path(state).unlink()
        drop_all(*pair)
    assert_clean(*pair)


@LONG
def test_a_sealed_secret_travels_within_a_saved_state(lab, pair):
    host1, host2 = pair
    with lab.guest("host1", "quick-sealer", **GUEST):
        secret = sealed(lab, "quick-sealer")
        host1.drover("move", "quick-sealer", "host2", "--yes", "--quick")
        assert_moved(host1, "quick-sealer")
        assert lab.verify("quick-sealer")["ok"] and opened(lab, "quick-sealer") == secret
        boot_again(lab, host2, "quick-sealer")
        assert opened(lab, "quick-sealer") == secret
        drop_all(*pair)
    assert_clean(*pair)


@LONG
def test_a_tpm_that_lost_its_state_opens_nothing(lab, pair):
    """The control: without the state there is no secret, so the tests above can fail."""
    host1, _ = pair
    with lab.guest("host1", "forgetful", **GUEST) as guest:
        secret = sealed(lab, "forgetful")
        host1.virsh("destroy", "forgetful")
        shutil.rmtree(host1.path(f"{TPM_STATE}/{guest['uuid']}"))
        host1.virsh("start", "forgetful")
        until(lambda: lab.verify("forgetful", "--reboot-allowed")["ok"], "the guest answers again", patience=120, pause=1)
        assert opened(lab, "forgetful").startswith("error:") and secret not in opened(lab, "forgetful")
