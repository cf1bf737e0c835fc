# SPDX-License-Identifier: Apache-2.0
"""docs/hyper-v.md: every command line of the page is typed on a host of the lab, and does what the page says."""
import re
import shlex

from marks import LONG
from product import IMAGES, REPO, assert_clean, drop_all, until

PAGE = REPO / "docs" / "hyper-v.md"
# What a lab of two hosts has instead of the page's names.
NAMES = {"vdb=/srv/fast": f"vda={IMAGES}/vms", "/srv/vms": f"{IMAGES}/vms", "/srv/fast": f"{IMAGES}/fast",
         "host2,host3": "host2", "10.77.1.0/24": "10.77.0.0/24", "networks=A,B": "networks=any", "lan=prod": "br0=br0",
         "networks-=10.77.1.0/24": "networks+=10.99.0.0/24 && drover settings networks-=10.99.0.0/24"}
# Lines that need what only a move under way, a plan with something to mend, a third host or an empty folder has; tests of their own
# type them.
ELSEWHERE = re.compile(r"\b(MOVE|FIX|CODE)\b|drover return|drover evacuate|drover export|drover import|host invite")


def lines():
    """The commands of the page's second column, in its order."""
    found = []
    for row in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
        if len(cells) >= 4 and cells[1].startswith("`"):
            found += [code.replace(r"\|", "|") for code in re.findall(r"`([^`]+)`", cells[2]) if code.startswith("drover ")]
    return found


def programs(line):
    """The words of each `drover` in a pipeline."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    parts = [[]]
    for word in lexer:
        parts.append([]) if word == "|" else parts[-1].append(word)
    return [part[1:] for part in parts if part[0] == "drover"]


def here(line):
    for name, instead in sorted(NAMES.items(), key=lambda it: -len(it[0])):
        line = line.replace(name, instead)
    return line


def test_every_line_is_one_that_the_program_takes(pair):
    """Wrong use has an exit code of its own: options and commands are there."""
    host1, _ = pair
    assert len(lines()) >= 30
    for line in lines():
        for words in programs(line):
            named = [word for word in words if word.startswith("--")]
            verbs = [word for word in words if re.fullmatch(r"[a-z][a-z-]+", word)][:1]
            said = host1.drover(*verbs, "--help").stdout + host1.drover("--help").stdout
            assert all(option in said for option in named), (line, said)


@LONG
def test_every_line_does_what_the_page_says(lab, pair):
    host1, host2 = pair
    for host in pair:
        host.run("mkdir", "-p", "-m", "711", f"{IMAGES}/vms", f"{IMAGES}/fast")
    with lab.guest("host1", "web01", memory=128, disk="64M", fill=8):
        for line in map(here, lines()):
            if ELSEWHERE.search(line):
                continue
            moves = re.search(r"drover move\b", line) and "--to-storage" not in line and ("--item" not in line or "host2" in line)
            consent = " --yes --accept SAME_DEVICE" if re.search(r"drover move\b", line) and "--yes" not in line else ""
            if "live-moves" in line or "storage-moves" in line or "settings" in line:
                consent = ""
            if "incoming=off" in line or "drover settings bandwidth" in line:
                restore = ["settings", "incoming=on", "outgoing=on", "bandwidth=off"]
            else:
                restore = None
            done = host1.run("bash", "-c", line + consent, check=False)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            if restore:
                host1.drover(*restore)
            if moves:
                until(lambda: host2.domstate("web01") == "running", f"{line}: it runs there")
                assert lab.verify("web01")["ok"], line
                host2.drover("move", "web01", "host1", "--yes")
                drop_all(host1, host2)
    host1.drover("settings", "networks=any", "performance=compress", "live-moves=2", "storage-moves=2",
                 f"default-folder={IMAGES}", "bandwidth=off")
    assert_clean(host1, host2)
