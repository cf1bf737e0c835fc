#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every C++ source is named in a CMakeLists.txt, so no test is left out of the build; and each
source file carries the licence line."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LICENCE = "SPDX-License-Identifier: Apache-2.0"


def listed():
    """Every file that a CMakeLists.txt names, by its path from there."""
    found = set()
    for lists in [ROOT / "CMakeLists.txt", *(path for top in ("src", "apps", "bench", "tests")
                                             for path in (ROOT / top).rglob("CMakeLists.txt"))]:
        words = lists.read_text().replace("(", " ").replace(")", " ").split()
        found |= {(lists.parent / word).resolve() for word in words if word.endswith(".cpp")}
    return found


def tracked():
    try:
        said = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], check=True,
                              capture_output=True, text=True).stdout
        paths = [ROOT / name for name in said.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive has no git
        paths = [path for path in ROOT.rglob("*") if "build" not in path.relative_to(ROOT).parts]
    return sorted(path for path in paths if path.is_file())


def main():
    faults, built = [], listed()
    for path in tracked():
        name = path.relative_to(ROOT)
        if path.suffix == ".cpp" and name.parts[0] in ("src", "apps") and path not in built:
            faults.append(f"{name}: no CMakeLists.txt names it")
        if path.suffix in (".cpp", ".h", ".py"):
            with open(path, encoding="utf-8") as file:
                if LICENCE not in file.read(400):
                    faults.append(f"{name}: has no line '{LICENCE}'")
    print("\n".join(faults) or "Every source file is built and licensed.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
