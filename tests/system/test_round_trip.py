# SPDX-License-Identifier: Apache-2.0
"""One VM by every road: exported and copied three times, then live to the other host, to another folder there, quick back, and
off there again. Its records, and a secret that its TPM and its firmware's variables keep together, hold at every step."""
import os
import secrets
import shutil

import pytest

from marks import LONG
from product import IMAGES, assert_clean, brief, drop_all, until

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
NAME = "traveller"
GUEST = {"memory": 256, "disk": "64M", "fill": 4, "dirty": 1, "disk_rate": 0.1, "uefi": True, "tpm": True}
EXPORT = f"{IMAGES}/exports/{NAME}"
COPIES = f"{IMAGES}/copies"
OTHER = f"{IMAGES}/other"


def opens(lab, secret):
    assert lab.run("ask", NAME, "unseal").stdout.strip() == secret


def holds(lab, secret, *words):
    """The guest's records are whole, and it opens its secret."""
    until(lambda: lab.verify(NAME, *words)["ok"], lambda: f"its records hold: {lab.verify(NAME, *words)}", patience=120, pause=1)
    opens(lab, secret)


def boots(lab, host, name, secret):
    """The guest, or a copy of it, which has its address, and another MAC address."""
    lab.run("client", "ip", "neigh", "flush", "all")
    host.virsh("start", name)
    seen = lambda: lab.json("verify", NAME, "--reboot-allowed", check=False)  # noqa: E731
    found = until(lambda: (said := seen()).get("boot") and said, lambda: f"{name} answers: {seen()}", patience=120, pause=1)
    assert all(found[part]["bad"] == 0 for part in ("memory", "disk", "adopted")) and found["adopted"]["records"] > 0, (name, found)
    opens(lab, secret)


def moves(source, destination, *words):
    source.drover("move", NAME, *words, "--yes")
    move = source.moves()[0]
    assert (move["state"], move["plan"]["vm"]["name"]) == ("done", NAME), brief(move)
    assert destination.domstate(NAME), f"{destination.name} does not know it"
    return move["plan"]["kind"]


@LONG
def test_a_vm_by_every_road(lab, pair):
    if not os.path.exists(FIRMWARE) or not shutil.which("swtpm_setup"):
        pytest.skip("needs the packages ovmf, swtpm and swtpm-tools")
    host1, host2 = pair
    host1.run("mkdir", "-p", "-m", "711", os.path.dirname(EXPORT), COPIES)
    host2.run("mkdir", "-p", "-m", "711", OTHER)
    with lab.guest("host1", NAME, **GUEST) as guest:
        secret = secrets.token_hex(16)
        assert lab.run("ask", NAME, "seal", secret).stdout.strip() == "sealed"

        said = host1.drover("export", NAME, EXPORT, "--yes").stdout
        assert f"{NAME} is exported to {EXPORT}." in said, said
        holds(lab, secret)
        host1.virsh("destroy", NAME)
        copies = ["copy1", "copy2", "copy3"]
        for copy in copies:
            host1.drover("import", EXPORT, "--copy", "--name", copy, "--to", COPIES, "--yes")
        assert len({host1.virsh("domuuid", name).stdout.strip() for name in [NAME, *copies]}) == 4
        for copy in copies:
            boots(lab, host1, copy, secret)
            host1.virsh("destroy", copy)
        for copy in copies:
            host1.virsh("undefine", copy, "--nvram", "--tpm")
        boots(lab, host1, NAME, secret)

        assert moves(host1, host2, "host2") == "live"
        holds(lab, secret, "--reboot-allowed")
        assert moves(host2, host2, "--to-storage", OTHER, "--accept", "SAME_DEVICE") == "storage"
        holds(lab, secret, "--reboot-allowed")
        assert host2.path(f"{OTHER}/{os.path.basename(guest['disk'])}").exists()
        assert moves(host2, host1, "host1", "--quick", "--disks-to", IMAGES) == "quick"
        holds(lab, secret, "--reboot-allowed")
        host1.virsh("destroy", NAME)
        assert moves(host1, host2, "host2") == "offline"
        boots(lab, host2, NAME, secret)
        drop_all(*pair)
    assert_clean(*pair)
    host1.run("rm", "-rf", os.path.dirname(EXPORT), COPIES)
    host2.run("rm", "-rf", OTHER)
