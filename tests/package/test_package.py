# SPDX-License-Identifier: Apache-2.0
"""The package: what is in it, what installing and removing it does (in a throw-away copy of this machine's root)."""
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("usr/bin/drover", "usr/sbin/droverd", "usr/libexec/drover/drover-gate", "usr/libexec/drover/drover-mover")


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    if not (REPO / "build/release/bin/droverd").exists():
        pytest.skip("needs the release build")
    folder = tmp_path_factory.mktemp("package")
    return pathlib.Path(run(REPO / "package", "--no-build", "--to", folder).stdout.strip())


@pytest.fixture(scope="session")
def content(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("content")
    run("dpkg-deb", "-x", package, folder)
    return folder


def test_everything_is_in_it(content):
    for program in PROGRAMS:
        assert os.access(content / program, os.X_OK), program
    for path in ("lib/systemd/system/droverd.service", "etc/drover/droverd.toml", "usr/share/drover/hooks/qemu",
                 "usr/share/man/man1/drover.1.gz", "usr/share/man/man1/drover-move.1.gz",
                 "usr/share/man/man1/drover-host-invite.1.gz", "usr/share/man/man8/droverd.8.gz",
                 "usr/share/bash-completion/completions/drover", "usr/share/zsh/vendor-completions/_drover",
                 "usr/share/doc/drover/README.md", "usr/share/doc/drover/copyright", "usr/share/doc/drover/changelog.gz",
                 "usr/share/doc/drover/examples/apparmor-libvirt-qemu"):
        assert (content / path).is_file(), path


def test_nothing_else_of_the_system_is_in_it(package):
    lines = run("dpkg-deb", "-c", package).stdout.splitlines()
    for line in lines:
        mode, owner, name = line.split()[0], line.split()[1], line.split()[5]
        assert owner == "root/root", line
        assert "s" not in mode[:10] and mode[8] != "w", line
        assert not name.startswith(("./etc/libvirt", "./etc/apparmor.d", "./var", "./run")), line


def test_control_names_what_the_programs_need(package):
    control = run("dpkg-deb", "-f", package).stdout
    depends = re.search("^Depends: (.*)$", control, re.M)[1]
    for name in ("libvirt0", "libssl3", "libc6", "libsqlite3-0", "qemu-utils"):
        assert re.search(rf"\b{re.escape(name)}\b", depends), depends
    assert run("dpkg-deb", "-I", package, "conffiles").stdout.split() == ["/etc/drover/droverd.toml"]


def test_unit_is_right(content, tmp_path):
    text = (content / "lib/systemd/system/droverd.service").read_text()
    unit = tmp_path / "droverd.service"
    unit.write_text(re.sub("^ExecStart=/usr/sbin/droverd", f"ExecStart={content}/usr/sbin/droverd", text, flags=re.M)
                    .replace("Documentation=", "# "))
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    said = run("systemd-analyze", "verify", unit, check=False)
    assert said.returncode == 0 and "droverd.service" not in said.stderr, said.stderr
    for line in ("Type=notify", "KillMode=process", "RuntimeDirectoryPreserve=yes", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in text, line


def test_configuration_shows_the_defaults(content):
    text = (content / "etc/drover/droverd.toml").read_text()
    assert tomllib.loads(text) == {}, "every line is a comment"
    shown = tomllib.loads(re.sub(r"^#(?=[a-z-]+ = )", "", text, flags=re.M))
    source = (REPO / "apps/droverd/config.cpp").read_text()
    known = set(re.findall(r'\{"([a-z-]+)", \w+_into\(', source))
    assert set(shown) == known, "packaging/droverd.toml and apps/droverd/config.cpp name different settings"


def test_manual_pages_and_completion_can_be_read(content):
    if shutil.which("man"):
        for page in (content / "usr/share/man").glob("man*/*.gz"):
            said = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page, check=False)
            assert not said.stderr, f"{page.name}: {said.stderr}"
    run("bash", "-n", content / "usr/share/bash-completion/completions/drover")
    if shutil.which("zsh"):
        run("zsh", "-n", content / "usr/share/zsh/vendor-completions/_drover")


def test_maintainer_scripts_are_shell(package, tmp_path):
    run("dpkg-deb", "-e", package, tmp_path)
    for script in ("postinst", "prerm", "postrm"):
        run("sh", "-n", tmp_path / script)


SETUP = """
set -e
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$0/upper",workdir="$0/work" "$0/root"
mount --bind /dev "$0/root/dev"
mount -t proc proc "$0/root/proc"
mount -t tmpfs tmpfs "$0/root/run"
# A lab on this machine leaves its empty mount points until it is purged.
rm -rf "$0/root/var/lib/drover" "$0/root/etc/drover"
"""


def test_installing_and_removing_leaves_libvirt_alone(package, tmp_path):
    """The scripts run for real, in a copy of this machine's root that forgets all."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = SETUP + """
cp "$1" "$0/root/tmp/drover.deb"
cat > "$0/root/tmp/steps" <<'END'
set -e
state() { find /etc/libvirt /var/lib/libvirt -type f -exec md5sum {} + 2>/dev/null | sort; }
state > /tmp/before
dpkg --force-depends -i /tmp/drover.deb
getent group drover; getent passwd drover-mover
test "$(stat -c %a /var/lib/drover)" = 700
test -L /etc/systemd/system/multi-user.target.wants/droverd.service
drover version
drover list && exit 1
mkdir -p /var/lib/drover/records
touch /var/lib/drover/records/x.y.source
dpkg -r drover
test ! -e /usr/bin/drover
test -e /etc/drover/droverd.toml
dpkg -P drover
test ! -e /etc/drover/droverd.toml
test -e /var/lib/drover/records/x.y.source
rm -r /var/lib/drover/records
dpkg --force-depends -i /tmp/drover.deb
dpkg -P drover
test ! -e /var/lib/drover
state > /tmp/after
cmp /tmp/before /tmp/after
echo all went well
END
exec chroot "$0/root" sh /tmp/steps
"""
    probe = run("unshare", "--mount", "sh", "-c", SETUP, tmp_path, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs an overlay of the root: {probe.stderr.strip()}")
    done = run("unshare", "--mount", "sh", "-c", script, tmp_path, package, check=False, stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0 and "all went well" in done.stdout, done.stdout + done.stderr
    assert "stays: it has records" in done.stderr, done.stderr
