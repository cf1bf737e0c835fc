#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All C++ is as clang-format-19 writes it. `tests/lint/formatting.py --fix` writes it."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    files = sorted(str(path) for top in ("src", "apps", "bench") for path in (ROOT / top).rglob("*")
                   if path.suffix in (".h", ".cpp"))
    mode = ["-i"] if "--fix" in sys.argv[1:] else ["--dry-run", "-Werror"]
    done = subprocess.run(["clang-format-19", *mode, *files], capture_output=True, text=True)
    wrong = sorted({line.split(":", 1)[0] for line in done.stderr.splitlines() if "-Wclang-format-violations" in line})
    if wrong:
        print("Not formatted (fix: tests/lint/formatting.py --fix):", *wrong, sep="\n")
    elif done.returncode:
        print(done.stderr)
    else:
        print(f"{len(files)} files are formatted.")
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
