# SPDX-License-Identifier: Apache-2.0
"""README's "Your own two hosts", followed word by word on two lab hosts, from the package.

Each host gets a throw-away copy of this machine's root to install into; what libvirt and Drover own there is the lab host's.
No init runs in it, so the test starts droverd as the unit would.
"""
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import time

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
LAB = REPO / "lab" / "lab"
ROOT = "/srv/root"
PATIENCE = 300.0
SETUP = f"""
set -e
mkdir -p {ROOT}
mount -t tmpfs tmpfs {ROOT}
mkdir {ROOT}/upper {ROOT}/work {ROOT}/root
mount -t overlay overlay -o lowerdir=/,upperdir={ROOT}/upper,workdir={ROOT}/work {ROOT}/root
for folder in /dev /proc /sys /etc/libvirt /etc/hosts /etc/machine-id /etc/drover /var/lib/libvirt /var/lib/drover /run/libvirt \
    /run/drover; do
  mount --rbind $folder {ROOT}/root$folder
done
cp "$0" {ROOT}/root/root/
"""


class Machine:
    """A lab host as README's reader has it in front of him."""

    def __init__(self, environment, name):
        self.environment, self.name = environment, name

    def words(self, *command):
        return [LAB, "exec", self.name, *command]

    def inside(self, command):
        return self.words("chroot", f"{ROOT}/root", "sh", "-c", f"cd /root && exec {command}")

    def run(self, command, check=True):
        """A line of README, in a shell."""
        return finished(self.inside(command), self.environment, check)

    def run_and_say_yes(self, command):
        """The same on a terminal, with y for an answer."""
        master, slave = pty.openpty()
        process = subprocess.Popen(self.inside(command), env=self.environment, stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True)
        os.close(slave)
        said, answered, end = "", False, time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    said += os.read(master, 4096).decode(errors="replace")
                except OSError:  # its end of the terminal is closed
                    break
            if "[y/N]" in said and not answered:
                os.write(master, b"y\n")
                answered = True
        assert process.wait(30) == 0 and answered, said
        return said


def finished(words, environment, check=True):
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def readme_commands():
    section = (REPO / "README.md").read_text().split("## Your own two hosts")[1].split("\n## ")[0]
    steps = section.split("Between the hosts,")[0]
    return re.findall(r"^ {8}(\S.*)$", steps, re.M)


def test_readme_has_five_commands():
    assert [re.match(r"(apt|drover) (install|host|\w+)( invite| add)?", line)[0] for line in readme_commands()] == [
        "apt install", "drover host invite", "drover host add", "drover plan", "drover move"]


@pytest.fixture
def machines(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    programs = pathlib.Path(os.environ.get("DROVER_BIN", REPO / "build/release/bin"))
    if programs != REPO / "build/release/bin" or not (programs / "droverd").exists():
        pytest.skip("needs the release build, which the package is made of")
    environment = {**os.environ, "DROVER_LAB_DIR": "/var/lib/drover-readme-lab"}
    environment.pop("DROVER_BIN", None)
    package = finished([REPO / "package", "--no-build", "--to", tmp_path], environment).stdout.strip()
    finished([LAB, "down"], environment)
    finished([LAB, "up", "--no-drover"], environment)
    both = [Machine(environment, name) for name in ("host1", "host2")]
    try:
        for machine in both:
            done = finished(machine.words("sh", "-c", SETUP, package), environment, check=False)
            if done.returncode != 0:
                pytest.skip(f"needs an overlay of the root: {done.stderr.strip()}")
        finished([LAB, "guest", "host1", "web01", "--memory", "128", "--disk", "64M", "--fill", "8"], environment)
        yield both
    finally:
        finished([LAB, "down"], environment)


def test_the_five_commands_move_a_vm(machines):
    host1, host2 = machines
    install, invite, add, plan, move = readme_commands()
    daemons = []
    try:
        for machine in machines:
            machine.run(install.replace("apt install", "apt-get -y install"))
            machine.run("test -L /etc/systemd/system/multi-user.target.wants/droverd.service")
            # What the unit would do.
            daemons.append(subprocess.Popen(machine.inside("/usr/sbin/droverd"), env=machine.environment,
                                            stdin=subprocess.DEVNULL))
            end = time.monotonic() + PATIENCE
            while machine.run("drover list", check=False).returncode != 0:
                assert time.monotonic() < end, "droverd does not answer"
                time.sleep(0.5)
        printed = re.search(r"^ +drover host add (\S+) (\S+)$", host1.run(invite).stdout, re.M)
        assert printed, "invite prints the line to paste"
        host2.run(add.replace("HOST1-ADDRESS", printed[1]).replace("CODE", printed[2]))
        assert "web01: host1 to host2" in host1.run(plan).stdout
        said = host1.run_and_say_yes(move)
        assert "web01 runs on host2." in said and "kept" in said, said
        verified = finished([LAB, "verify", "web01", "--json"], host1.environment)
        assert json.loads(verified.stdout)["states"] == {"host2": "running"}
        host2.run("drover doctor --fix hook", check=False)
        host2.run("test -x /etc/libvirt/hooks/qemu.d/drover")
        # Removing the package leaves the VM alone and says which disks are kept.
        removed = host1.run("apt-get -y remove drover").stdout
        assert ".drover-" in removed, removed
        host2.run("apt-get -y remove drover")
        finished([LAB, "verify", "web01"], host1.environment)
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait(30)
