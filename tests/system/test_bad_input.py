# SPDX-License-Identifier: Apache-2.0
"""What nobody should ask of Drover, asked: each gets a clear error (or a closed connection and a line in the log), and
changes nothing.

Calls outside the gate's list and changed PREPARE or FINISH definitions need libvirt's own voice: src/gate/*_test.cpp has them.
"""
import concurrent.futures
import contextlib
import grp
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import uuid

import pytest

from product import API_PORT, IMAGES, MOVER_PORT, UnixConnection, ask_https, assert_clean, codes, connect, drop_all, until

BODY_MAX = 4 << 20
NOBODY = 65534


def everything(host):
    """All that a refused request must leave as it was."""
    return {
        "vms": host.virsh("list", "--all", "--uuid", "--name").stdout,
        "definitions": [host.virsh("dumpxml", "--inactive", name, check=False).stdout
                        for name in host.virsh("list", "--all", "--name").stdout.split("\n") if name],
        "files": [host.files(folder) for folder in (IMAGES, "/srv", "/srv/vms", "/var/lib/libvirt/qemu/nvram")],
        "settings": host.get("/v1/settings"),
        "hosts": sorted((peer["name"], peer["public_key"], json.dumps(peer["rights"])) for peer in host.peers()),
        "tokens": host.get("/v1/tokens")["tokens"],
        "moves": [move["id"] for move in host.moves()],
        "quarantine": host.kept(),
        "left": host.leftovers(),
    }


@contextlib.contextmanager
def unchanged(*hosts):
    before = {host.name: everything(host) for host in hosts}
    yield
    for host in hosts:
        after = everything(host)
        for key, value in before[host.name].items():
            assert after[key] == value, f"{key} of {host.name} changed: {value} became {after[key]}"


def refused(done, code, *words):
    """A CLI call that ended with this exit code (or one of these) and a message that holds these words."""
    said = done.stdout + done.stderr
    allowed = code if isinstance(code, tuple) else (code,)
    assert done.returncode in allowed, f"exit code {done.returncode}, not {code}: {said}"
    for word in words:
        assert word in said, f"'{word}' is not in: {said}"
    assert "Traceback" not in said and "terminate called" not in said
    return said


@pytest.fixture(scope="module")
def guest(lab, host1, host2):
    with lab.guest("host1", "target", memory=128, disk="64M", fill=4, dirty=0, disk_rate=0) as made:
        yield made


@pytest.fixture
def still(pair, guest):
    """Both hosts; whatever the test does changes nothing on them."""
    with unchanged(*pair):
        yield pair


# Asked of the CLI.

def test_unknown_vm(still):
    host1, _ = still
    refused(host1.drover("move", "no such vm", "host2", "--yes", check=False), 3, "no such vm")
    refused(host1.drover("plan", "no such vm", "host2", check=False), 3, "no such vm")


def test_unknown_host(still):
    host1, _ = still
    refused(host1.drover("move", "target", "host9", "--yes", check=False), 3, "host9")
    refused(host1.drover("list", "--host", "host9", check=False), 3, "host9")
    refused(host1.drover("settings", "host9", "incoming=off", check=False), 3, "host9")


def test_destination_is_the_source(still):
    host1, _ = still
    refused(host1.drover("move", "target", "host1", "--yes", check=False), 2, "host1")


def test_unknown_move(still):
    host1, _ = still
    for verb in ("show", "watch", "cancel"):
        refused(host1.drover(verb, "zzzzzzzz", check=False), 3, "zzzzzzzz")
        refused(host1.drover(verb, "../../v1/hosts", check=False), 3)


def test_no_terminal_and_no_yes(still):
    host1, _ = still
    refused(host1.drover("move", "target", "host2", check=False), 2, "--yes")


def test_nonsense_words(still):
    host1, _ = still
    for words in (["move"], ["move", "target"], ["fly"], ["move", "target", "host2", "--yes", "--sideways"],
                  ["settings", "colour=red"], ["settings", "incoming=maybe"], ["settings", "default-folder=/etc"]):
        refused(host1.drover(*words, check=False), 2)


@pytest.mark.parametrize("folder, code", [
    ("/srv/elsewhere", "FOLDER_NOT_ALLOWED"), ("/etc", "FOLDER_NOT_ALLOWED"), ("/", "FOLDER_NOT_ALLOWED"),
    (f"{IMAGES}/../../../../etc", None), (f"{IMAGES}/..", None), ("relative/folder", None), (f"{IMAGES}/\nx", None)])
def test_folder_outside_the_allowed_ones(still, folder, code):
    host1, _ = still
    said = refused(host1.drover("move", "target", "host2", "--yes", "--disks-to", folder, check=False), 2)
    if code:
        assert code in said and folder in said
    assert "allowed-folders" in said or "path" in said or "folder" in said, said


def test_folder_that_is_a_link(still):
    host1, host2 = still
    link = host2.path(f"{IMAGES}/link")
    os.symlink("/etc", link)
    try:
        refused(host1.drover("move", "target", "host2", "--yes", "--disks-to", f"{IMAGES}/link", check=False), 2,
                "FOLDER_LINK")
    finally:
        link.unlink()


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"precious"), lambda path: os.symlink("/nowhere", path),
                                  lambda path: path.mkdir()], ids=["file", "dangling link", "folder"])
def test_something_exists_where_a_disk_shall_land(still, make):
    host1, host2 = still
    path = host2.path(f"{IMAGES}/target.qcow2")
    make(path)
    try:
        refused(host1.drover("move", "target", "host2", "--yes", check=False), 2, "DISK_EXISTS")
        assert path.is_symlink() or path.is_dir() or path.read_bytes() == b"precious"
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_vm_that_is_off(pair, lab):
    host1, host2 = pair
    with lab.guest("host1", "sleeper", memory=128, disk="64M", fill=4):
        host1.virsh("destroy", "sleeper")
        with unchanged(*pair):
            refused(host1.drover("move", "sleeper", "host2", "--yes", "--quick", check=False), 2, "VM_OFF")
            assert "drover move sleeper host2 --offline" in host1.drover("plan", "sleeper", "host2", "--quick", check=False).stdout


def test_a_name_too_long_for_a_socket(pair, lab):
    host1, _ = pair
    with lab.guest("host1", "n" * 90, memory=128, disk="64M", fill=4):
        with unchanged(*pair):
            refused(host1.drover("move", "n" * 90, "host2", "--yes", check=False), 2, "NAME_TOO_LONG")


def test_a_vm_that_is_moving_already(pair, lab):
    host1, host2 = pair
    with lab.guest("host1", "mover", memory=192, disk="128M", fill=32):
        lab.run("link", "100mbit")
        move_id = host1.start_move("mover", "host2")
        for phase in ("reserve", "copy-disks", "copy-memory"):
            host1.wait_phase(move_id, phase)
            said = refused(host1.drover("move", "mover", "host2", "--yes", check=False), 1, f"moving already (move {move_id})")
            assert "rm " not in said
            status, answer = host1.start_move("mover", "host2", check=False)
            assert status == 409 and move_id in answer["error"]["message"], (status, answer)
        lab.run("link", "unlimited")
        assert host1.wait_move(move_id)["state"] == "done"
        drop_all(host1)
    assert_clean(*pair)


def test_two_moves_at_once(pair, lab):
    """At the very same time, several times over: one of them is begun."""
    host1, host2 = pair
    with lab.guest("host1", "wanted", memory=128, disk="64M", fill=4):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: host1.start_move("wanted", "host2", check=False), range(6)))
        begun = [answer for status, answer in answers if status < 300]
        assert len(begun) == 1, answers
        assert {status for status, _ in answers if status >= 300} == {409}, answers
        assert host1.wait_move(begun[0]["id"])["state"] == "done"
        assert lab.verify("wanted")["ok"]
        drop_all(host1)
    assert_clean(*pair)


def test_moves_that_are_turned_off(pair, guest):
    host1, host2 = pair
    for host, key in ((host1, "outgoing"), (host2, "incoming")):
        host.drover("settings", f"{key}=off")
        try:
            with unchanged(*pair):
                said = refused(host1.drover("move", "target", "host2", "--yes", check=False), 2, "MIGRATION_DISABLED")
                assert f"{key}=on" in said, said
        finally:
            host.drover("settings", f"{key}=on")


# Asked of the ports.

GARBAGE = {
    "random": os.urandom(65536),
    "zeros": bytes(65536),
    "half a TLS hello": bytes.fromhex("16030100c8010000c40303") + os.urandom(50),
    "a TLS record too long": bytes.fromhex("160301ffff") + os.urandom(70000),
    "clear HTTP": b"GET /v1/vms HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP without an end": b"GET /" + b"a" * 200000,
    "a preamble of a move nobody knows": b"DROVERML" + b"\0\1" + b"\0\1" + b"zzzzzzzz".ljust(16, b"\0") + os.urandom(2000),
    "a preamble of another version": b"DROVERML" + b"\xff\xff" + b"\0\1" + b"zzzzzzzz".ljust(16, b"\0"),
    "half a preamble": b"DROVERML",
}


def give(link, garbage):
    """Sends, and reads until the other side closes; an error is as good."""
    got = b""
    with contextlib.suppress(OSError), link:
        link.settimeout(30)
        with contextlib.suppress(OSError):
            link.sendall(garbage)
            link.shutdown(socket.SHUT_WR)
        while piece := link.recv(65536):
            got += piece
    return got


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_on_every_port(still, kind):
    host1, host2 = still
    pids = [host2.pids("droverd"), host2.pids("mover"), host2.pids("gate")]
    for _ in range(3):
        for port in (API_PORT, MOVER_PORT):
            give(connect(host1, host2, port), GARBAGE[kind])
        local = socket.socket(socket.AF_UNIX)
        local.connect(str(host2.socket))
        answer = give(local, GARBAGE[kind])
        assert answer == b"" or answer.startswith(b"HTTP/1.1 "), answer[:200]
    assert host2.answers()
    assert [host2.pids("droverd"), host2.pids("mover"), host2.pids("gate")] == pids


def test_silent_connections_do_not_keep_others_out(still):
    host1, host2 = still
    silent = [connect(host1, host2, port) for port in (API_PORT, MOVER_PORT) for _ in range(100)]
    try:
        assert host1.get("/v1/vms?all=1")["unreachable"] == []
        assert host1.plan("target", "host2")["placements"]
    finally:
        for link in silent:
            link.close()


def test_a_silent_connection_is_closed(still):
    host1, host2 = still
    with connect(host1, host2, MOVER_PORT, timeout=60) as link:
        assert link.recv(1) == b""


def test_bodies_that_are_too_large_or_no_json(still):
    host1, _ = still
    for body, most in ((b"{" + b" " * BODY_MAX + b"}", 413), (b"{", 400), (b"[]", 400), (b"\xff\xfe", 400), (b"null", 400),
                       (b'{"vm":"target","destination":"host2","sideways":1}', 400), (b'{"vm":7,"destination":"host2"}', 400),
                       (b'{"vm":' + b"[" * 100000, 400)):
        link = UnixConnection(host1.socket, 30)
        with contextlib.closing(link):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
                link.request("POST", "/v1/plans", body=body, headers={"Content-Type": "application/json"})
            answer = link.getresponse()
            text = json.loads(answer.read())
        assert answer.status == most, (body[:60], answer.status, text)
        assert text["error"]["code"] and text["error"]["message"], text


def test_unknown_paths_and_methods(still):
    host1, _ = still
    for method, path in (("GET", "/"), ("GET", "/v2/vms"), ("GET", "/v1/nothing"), ("DELETE", "/v1/vms"), ("GET", "/v1/peer/vms"),
                         ("POST", "/v1/peer/reserve"), ("GET", "/v1/moves/..%2f..%2fetc%2fpasswd"), ("PUT", "/v1/settings")):
        status, answer = host1.api(method, path, {} if method in ("POST", "PUT") else None)
        assert 400 <= status < 500 and answer["error"]["message"], (method, path, status, answer)


# Who may ask.

def test_a_user_outside_the_group(still):
    host1, _ = still
    done = host1.run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c",
                     "exec drover list", check=False)
    said = refused(done, (4, 5))
    assert ("ermission" in said or "group" in said), said
    # The package makes the group; without it the socket is root's alone.
    groups = [group.gr_name for group in grp.getgrall()]
    assert host1.socket.stat().st_mode & 0o777 == (0o660 if "drover" in groups else 0o600)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_https_without_a_right_token(still):
    host1, host2 = still
    for headers in ({}, bearer("x"), bearer(""), bearer("a" * 60000), {"Authorization": "Basic cm9vdDpyb290"}, {"Drover-User": "root"}):
        with contextlib.suppress(ssl.SSLError, ConnectionError, http.client.HTTPException):
            status, text = ask_https(host1, host2, "GET", "/v1/vms", headers=headers)
            assert status in (400, 401, 403, 431), (headers, status, text)
            assert "target" not in text
            if status in (401, 403):
                assert json.loads(text)["error"]["message"]


def test_a_revoked_token(pair, guest):
    host1, host2 = pair
    with unchanged(*pair):
        token = json.loads(host2.drover("--json", "token", "create", "for-the-test").stdout)
        status, _ = ask_https(host1, host2, "GET", "/v1/vms", headers=bearer(token["token"]))
        assert status == 200
        for wrong in (token["token"][:-1], token["token"] + "x", token["id"]):
            assert ask_https(host1, host2, "GET", "/v1/vms", headers=bearer(wrong))[0] == 401
        # A user's token is no peer's key.
        assert ask_https(host1, host2, "POST", "/v1/peer/vms", "{}", {**bearer(token["token"]),
                                                                    "Content-Type": "application/json"})[0] in (401, 403)
        file = host1.path("/srv/token")
        file.write_text(token["token"])
        file.chmod(0o600)
        words = ["--host", f"https://host2:{API_PORT}", "--token-file", "/srv/token", "list"]
        host1.drover(*words)
        host2.drover("token", "revoke", token["id"])
        assert ask_https(host1, host2, "GET", "/v1/vms", headers=bearer(token["token"]))[0] in (401, 403)
        refused(host1.drover(*words, check=False), 5)
        file.unlink()
    # The only hash of it that was kept is gone, and the token itself was never written down.
    assert token["token"] not in host2.log().read_text(errors="replace")


@pytest.fixture
def stranger(tmp_path):
    """A certificate over an Ed25519 key that no host has pinned."""
    return certificate_of(tmp_path, None)


def certificate_of(folder, key):
    made = folder / "certificate.pem"
    new = ["-key", str(key)] if key else ["-newkey", "ed25519", "-noenc", "-keyout", str(folder / "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-subj", "/CN=drover", "-days", "1", "-out", made, *new], check=True,
                   capture_output=True)
    return made, key or folder / "key.pem"


def peer_verb(client, server, verb, body, certificate):
    """(status, text), or (0, why) where the server ended the connection."""
    try:
        return ask_https(client, server, "POST", f"/v1/peer/{verb}", json.dumps(body), {"Content-Type": "application/json"},
                         certificate)
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def test_a_wrong_certificate(still, stranger, tmp_path):
    host1, host2 = still
    rsa = tmp_path / "rsa"
    rsa.mkdir()
    subprocess.run(["openssl", "genrsa", "-out", rsa / "key.pem", "2048"], check=True, capture_output=True)
    for certificate in (stranger, certificate_of(rsa, rsa / "key.pem"), None):
        for verb in ("vms", "facts", "preflight", "reserve", "pair", "undo"):
            status, text = peer_verb(host1, host2, verb, {"move": "aaaaaaaa"}, certificate)
            assert status in (0, 401, 403), (verb, status, text)
            assert "target" not in text


@pytest.fixture
def key_of_host1(pair, tmp_path):
    """What somebody who took host1 over can show host2."""
    host1, _ = pair
    return certificate_of(tmp_path, host1.path("/var/lib/drover/identity.key"))


def test_a_peer_without_the_right(pair, guest, key_of_host1):
    host1, host2 = pair
    host2.drover("host", "rights", "host1", "receive")
    try:
        with unchanged(*pair):
            said = refused(host1.drover("move", "target", "host2", "--yes", check=False), 5, "send")
            assert "host2" in said
            for verb in ("preflight", "reserve", "prepare", "undo"):
                status, text = peer_verb(host1, host2, verb, {"move": "aaaaaaaa"}, key_of_host1)
                assert status == 403 and "send" in text, (verb, status, text)
    finally:
        host2.drover("host", "rights", "host1", "send,receive")


def test_a_peer_may_not_command(still, key_of_host1):
    """Users' paths need the right to command, and a name for the user."""
    host1, host2 = still
    for method, path in (("GET", "/v1/vms"), ("GET", "/v1/moves"), ("GET", "/v1/tokens"), ("GET", "/v1/settings")):
        status, text = ask_https(host1, host2, method, path, headers={"Drover-User": "root"}, certificate=key_of_host1)
        assert status == 403 and "command" in text, (path, status, text)
    refused(host1.drover("settings", "host2", "incoming=off", check=False), 5, "command")


def test_verbs_of_moves_that_are_not_theirs(still, key_of_host1):
    host1, host2 = still
    for verb in ("prepare", "answer", "verify", "settle", "undo", "nothing"):
        for name in ("aaaaaaaa", "../../../etc", "", "A" * 100000):
            status, text = peer_verb(host1, host2, verb, {"move": name, "autostart": False}, key_of_host1)
            assert 400 <= status < 500, (verb, name[:20], status, text)


# Forged proposals: a paired host's own key, and a plan that asks for what no plan may.

@pytest.fixture
def proposal(pair, guest):
    """An honest reservation, as host1 would send it."""
    host1, host2 = pair
    plan = host1.plan("target", "host2")
    assert not codes(plan, "blocker"), plan
    xml = host1.virsh("dumpxml", "--migratable", "--security-info", "target").stdout
    move = "".join(secrets.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(8))
    return {"move": move, "epoch": move, "plan": plan, "destination_xml": xml, "persistent_xml": xml,
            "link_key": "00" * 32, "link_identity": f"drover-move {move} {'11' * 32}"}


def test_control_an_honest_reservation_is_taken(pair, proposal, key_of_host1):
    host1, host2 = pair
    with unchanged(*pair):
        status, text = peer_verb(host1, host2, "reserve", proposal, key_of_host1)
        assert status == 200, text
        status, text = peer_verb(host1, host2, "prepare", {"move": proposal["move"]}, key_of_host1)
        assert status == 200, text
        assert "target.qcow2" in host2.files() and host2.pids("gate") and host2.pids("mover")
        status, text = peer_verb(host1, host2, "undo", {"move": proposal["move"]}, key_of_host1)
        assert status == 200, text
        until(lambda: not host2.leftovers(), lambda: host2.leftovers())


def device(xml, text):
    return xml.replace("</devices>", f"{text}</devices>")


def at_path(proposal, path):
    proposal["plan"]["placements"][0]["destination_path"] = path
    for key in ("destination_xml", "persistent_xml"):
        proposal[key] = re.sub(r"<source file='[^']*target.qcow2'", f"<source file='{path}'", proposal[key])


def in_xml(change):
    def forge(proposal):
        for key in ("destination_xml", "persistent_xml"):
            before = proposal[key]
            proposal[key] = change(before)
            assert proposal[key] != before, "the forgery changed nothing"
    return forge


COMMANDLINE = ("<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-S'/>"
               "</qemu:commandline>")
FORGERIES = {
    "a disk at /dev/sda": lambda proposal: at_path(proposal, "/dev/sda"),
    "a disk in /etc": lambda proposal: at_path(proposal, "/etc/target.qcow2"),
    "a path with ..": lambda proposal: at_path(proposal, f"{IMAGES}/../../../../etc/target.qcow2"),
    "a block device": in_xml(lambda xml: device(xml, "<disk type='block' device='disk'><source dev='/dev/sda'/>"
                                                     "<target dev='vdx' bus='virtio'/></disk>")),
    "a second disk": in_xml(lambda xml: device(xml, "<disk type='file' device='disk'><source file='/etc/shadow'/>"
                                                    "<target dev='vdx' bus='virtio'/></disk>")),
    "a serial file in /etc": in_xml(lambda xml: device(xml, "<serial type='file'><source path='/etc/cron.d/x'/></serial>")),
    "a log file in /etc": in_xml(lambda xml: device(xml, "<serial type='pty'><log file='/etc/cron.d/x'/></serial>")),
    "a kernel": in_xml(lambda xml: xml.replace("</os>", "<kernel>/etc/shadow</kernel></os>")),
    "an own emulator": in_xml(lambda xml: re.sub("<emulator>.*</emulator>", "<emulator>/tmp/qemu</emulator>", xml)),
    "words for QEMU": in_xml(lambda xml: xml.replace("</domain>", COMMANDLINE + "</domain>")),
    "a host device": in_xml(lambda xml: device(
        xml, "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='0' slot='2' function='0'/></source></hostdev>")),
    "a folder of the host": in_xml(lambda xml: device(
        xml, "<filesystem type='mount'><source dir='/'/><target dir='root'/></filesystem>")),
    "another UUID in the definition": in_xml(lambda xml: re.sub("<uuid>.*</uuid>", f"<uuid>{uuid.uuid4()}</uuid>", xml)),
    "another name in the definition": in_xml(lambda xml: re.sub("<name>.*</name>", "<name>other</name>", xml)),
    "no XML": in_xml(lambda xml: xml[:200]),
    "an entity": in_xml(lambda xml: "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/shadow'>]>" + xml),
    "an id that is a path": lambda proposal: proposal.update(move="../../xx", epoch="../../xx"),
    "a key that is none": lambda proposal: proposal.update(link_key="no key"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_proposal(still, proposal, key_of_host1, forgery):
    host1, host2 = still
    FORGERIES[forgery](proposal)
    status, text = peer_verb(host1, host2, "reserve", proposal, key_of_host1)
    if status == 200:
        # What a reservation does not show may come out at its use; it must then leave nothing.
        status, text = peer_verb(host1, host2, "prepare", {"move": proposal["move"]}, key_of_host1)
        peer_verb(host1, host2, "undo", {"move": proposal["move"]}, key_of_host1)
    error = json.loads(text)["error"]
    assert 400 <= status < 500 or error["code"] == "PROTOCOL", (status, text)
    assert error["message"], text


def test_a_vm_that_the_destination_knows(pair, proposal, key_of_host1, lab):
    """A peer cannot move something over a VM that is there."""
    host1, host2 = pair
    xml = f"<domain type='qemu'><name>target</name><uuid>{uuid.uuid4()}</uuid><memory>65536</memory><os><type>hvm</type></os></domain>"
    host2.define(xml)
    try:
        with unchanged(*pair):
            status, text = peer_verb(host1, host2, "reserve", proposal, key_of_host1)
            assert status == 409 and "target" in text, (status, text)
            refused(host1.drover("move", "target", "host2", "--yes", check=False), 2, "2 VMs are called target")
            refused(host1.drover("move", "host1/target", "host2", "--yes", check=False), 2, "NAME_TAKEN")
    finally:
        host2.virsh("undefine", "target")


# Pairing.

def test_codes_that_are_wrong_or_used(still):
    host1, host2 = still
    line = host1.drover("host", "invite").stdout
    address, code = re.search(r"drover host add (\S+) (\S+)", line).groups()
    mistyped = code[:-1] + ("0" if code[-1] != "0" else "1")
    refused(host2.drover("host", "add", address, mistyped, "--name", "again", check=False), 2)
    unknown = host2.drover("host", "invite").stdout
    other = re.search(r"drover host add (\S+) (\S+)", unknown)[2]
    refused(host2.drover("host", "add", address, other, "--name", "again", check=False), 5)


def test_a_used_code_and_an_expired_one(pair, lab, guest):
    """A host that is removed gets nothing more; it comes back by a new code, and by that once."""
    host1, host2 = pair
    expired = host1.api("POST", "/v1/hosts/invite", {"valid_ms": 10_000})[1]
    host2.drover("host", "remove", "host1")
    # host1 was told, so it may not know any such host by now.
    refused(host1.drover("move", "target", "host2", "--yes", check=False), (3, 5), "host2")
    until(lambda: expired["expires_at"] < now(), "the code expires")
    refused(host2.drover("host", "add", expired["address"], expired["code"], "--name", "host1", check=False), 5)
    address, code = pair_again(host1, host2)
    assert codes(host1.plan("target", "host2"), "blocker") == []
    with unchanged(*pair):
        refused(host2.drover("host", "add", address, code, "--name", "second", check=False), 5)


def pair_again(inviting, joining):
    """Makes two hosts know each other again; (address, code) that was used."""
    for host, other in ((inviting, joining), (joining, inviting)):
        if any(peer["name"] == other.name for peer in host.peers()):
            host.drover("host", "remove", other.name)
    line = inviting.drover("host", "invite", "--name", joining.name).stdout
    address, code = re.search(r"drover host add (\S+) (\S+)", line).groups()
    joining.drover("host", "add", address, code, "--name", inviting.name)
    return address, code


def now():
    return subprocess.run(["date", "-u", "+%Y-%m-%dT%H:%M:%S.%3NZ"], capture_output=True, text=True, check=True).stdout.strip()


def test_a_removed_peer_gets_nothing(pair, guest, key_of_host1):
    host1, host2 = pair
    host2.drover("host", "remove", "host1")
    for verb in ("vms", "facts", "preflight", "reserve", "undo"):
        status, text = peer_verb(host1, host2, verb, {"move": "aaaaaaaa"}, key_of_host1)
        assert status in (0, 401, 403) and "target" not in text, (verb, status, text)
    pair_again(host1, host2)
