#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which folder may include which: the table below is the rule, every other include is an error.

Folders stand lowest first. A folder names the folders that it may include and the third-party headers
that only it and its like may include. Files of tests (with test, fuzz, fixture or conformance in their
names) may also include what their folder may not be linked with in the product: gtest, the fakes, and
the other end of their protocol.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The order of src/CMakeLists.txt. Peers (same rank) never include each other.
BASE = {"base"}
MODEL = BASE | {"model"}
JSON_NET = MODEL | {"json", "net"}
ADAPTERS = JSON_NET | {"journal", "gate", "content", "mover", "hypervisor"}
LAYERS = {
    #  folder                 may include                          third party
    "base":               (BASE,                                  {"spdlog", "fmt"}),
    "model":              (MODEL,                                 set()),
    "fleet":              (MODEL | {"fleet"},                     set()),
    "forecast":           (MODEL | {"forecast"},                  set()),
    "json":               (MODEL | {"json"},                      {"nlohmann"}),
    "net":                (BASE | {"net"},                        {"openssl", "httplib", "nlohmann"}),
    "journal":            (JSON_NET | {"journal"},               {"sqlite3"}),
    "gate":               (JSON_NET | {"gate"},                   {"pugixml", "nlohmann"}),
    "content":            (BASE | {"content"},                    {"openssl", "zstd", "lz4"}),
    "mover":              (JSON_NET | {"content", "mover"},       {"openssl", "seccomp", "nlohmann"}),
    "hypervisor":         (MODEL | {"json", "hypervisor"},        {"pugixml", "nlohmann"}),
    "hypervisor/libvirt": (MODEL | {"hypervisor", "hypervisor/libvirt"}, {"libvirt", "pugixml", "nlohmann"}),
    "hypervisor/fake":    (MODEL | {"hypervisor", "hypervisor/fake"},    set()),
    "preflight":          (MODEL | {"hypervisor", "preflight"},   {"pugixml"}),
    "move":               (ADAPTERS | {"forecast", "preflight", "move"}, {"nlohmann"}),
    "archive":            (ADAPTERS | {"forecast", "preflight", "move", "archive"}, {"nlohmann"}),
    "place":              (ADAPTERS | {"fleet", "forecast", "preflight", "move", "place"}, {"nlohmann"}),
    "fit":                (ADAPTERS | {"forecast", "preflight", "move", "place", "fit"}, {"nlohmann"}),
    "client":             (JSON_NET | {"client"},                 {"httplib", "nlohmann"}),
    "api":                (ADAPTERS | {"forecast", "preflight", "move", "api"}, {"httplib", "nlohmann"}),
}
# Programs wire everything together; each has its own options library.
APPS = {
    "apps/drover":        (JSON_NET | {"forecast", "client"},                 {"CLI", "nlohmann"}),
    "apps/droverd":       (set(LAYERS),                           {"CLI", "systemd", "tomlplusplus"}),
    "apps/drover_gate":   (JSON_NET | {"gate"},                   {"CLI"}),
    "apps/drover_mover":  (JSON_NET | {"content", "mover"},       {"CLI"}),
}
EVERYWHERE = {"fmt"}  # base/error.h shows it
IN_TESTS_OF = {"api": {"client"}, "client": {"api"}}
IN_TESTS = {"gtest", "gmock", "benchmark", "nlohmann"}

# How an include names a third-party library.
THIRD_PARTY = [
    (r"spdlog/", "spdlog"), (r"fmt/", "fmt"), (r"nlohmann/", "nlohmann"), (r"openssl/", "openssl"),
    (r"httplib\.h$", "httplib"), (r"sqlite3\.h$", "sqlite3"), (r"libvirt/", "libvirt"), (r"pugixml\.hpp$", "pugixml"),
    (r"zstd\.h$|zstd_errors\.h$", "zstd"), (r"lz4.*\.h$", "lz4"), (r"seccomp\.h$", "seccomp"), (r"libnbd\.h$", "libnbd"),
    (r"systemd/", "systemd"), (r"CLI/", "CLI"), (r"toml\+\+/", "tomlplusplus"), (r"gtest/", "gtest"), (r"gmock/", "gmock"),
    (r"benchmark/", "benchmark"),
]
# The C library and the kernel: not for model/, fleet/ and forecast/, which do no I/O.
SYSTEM = re.compile(r"^(sys|linux|netinet|arpa|net|asm|bits)/|^[a-z_0-9]+\.h$")
STANDARD = re.compile(r"^[a-z_0-9]+$")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def folder_of(path, table):
    """The longest folder of the table that holds a path written from src/ or from the root."""
    parts = pathlib.PurePosixPath(path).parts
    for length in range(len(parts) - 1, 0, -1):
        if "/".join(parts[:length]) in table:
            return "/".join(parts[:length])
    return None


def is_test(path):
    return bool(re.search(r"(^|_)(test|fuzz|benchmark|fixture|conformance)(_|\.)", path.name))


def fault(path, own, may, libraries, quote, name):
    """What is wrong with one include, or None."""
    test = is_test(path)
    if quote == '"':
        if own.startswith("apps/") and (path.parent / name).exists():
            return None
        folder = folder_of(name, LAYERS)
        if folder is None and own.startswith("apps/") and (ROOT / "apps" / name).exists():
            folder = folder_of("apps/" + name, APPS)
            return None if folder == own else f"a program may not include another's {name}"
        if folder is None:
            return f'"{name}" lies in no folder of the table'
        if folder in may or test and folder in IN_TESTS_OF.get(own, set()) | {"hypervisor/fake"}:
            return None
        return f"{own} may not include {folder} ({name})"
    for pattern, library in THIRD_PARTY:
        if re.match(pattern, name):
            if library in libraries or library in EVERYWHERE or test and library in IN_TESTS:
                return None
            return f"{own} may not use {library} (<{name}>)"
    if STANDARD.match(name):
        return None
    if SYSTEM.match(name):
        return f"{own} does no I/O, so no <{name}>" if own in ("model", "fleet", "forecast") else None
    return f"<{name}> is of no library that the table knows"


def main():
    faults = []
    tables = [("src", LAYERS), ("apps", APPS)]
    for top, table in tables:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            relative = path.relative_to(ROOT / "src" if top == "src" else ROOT)
            own = folder_of(relative, table)
            if own is None:
                faults.append(f"{path.relative_to(ROOT)}: lies in no folder of the table in tests/lint/layers.py")
                continue
            may, libraries = table[own]
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = INCLUDE.match(line)
                said = found and fault(path, own, may, libraries, *found.groups())
                if said:
                    faults.append(f"{path.relative_to(ROOT)}:{number}: {said}")
    print("\n".join(faults) or "Every include is allowed.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
