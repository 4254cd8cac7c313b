#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A seed has the same history in every build: runs a few in this one and in that of another preset, and compares the
hashes. Says why it was skipped (77) where the other was not built, or either is older than the sources.

Usage: same_history.py SOURCE_DIRECTORY CHATSDK_SIM OTHER_CHATSDK_SIM SEED..."""

import pathlib
import re
import subprocess
import sys

SKIPPED = 77
PARTS = ("src", "server-reference", "tests/sim")


def newest_source(top):
    files = (file for part in PARTS for file in (top / part).rglob("*") if file.suffix in (".h", ".cpp", ".inc", ".proto"))
    return max(files, key=lambda file: file.stat().st_mtime)


def history(program, seed):
    run = subprocess.run([program, "--seed", seed, "--twice-every", "0", "--no-shrink"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, check=False)
    found = re.search(r"^hash ([0-9a-f]{16}), (\d+) records$", run.stdout, re.MULTILINE)
    if run.returncode != 0 or found is None:
        sys.exit(f"{program} --seed {seed} failed:\n{run.stdout[-4000:]}")
    return f"{found[1]}, {found[2]} records"


def main():
    top, programs, seeds = pathlib.Path(sys.argv[1]), [pathlib.Path(name) for name in sys.argv[2:4]], sys.argv[4:]
    newest = newest_source(top)
    for program in programs:
        if not program.exists():
            print(f"{program} is not built")
            return SKIPPED
        if program.stat().st_mtime < newest.stat().st_mtime:
            print(f"{program} is older than {newest}")
            return SKIPPED
    failed = False
    for seed in seeds:
        one, other = (history(program, seed) for program in programs)
        print(f"seed {seed}: {one}" + ("" if one == other else f", but {other} in {programs[1]}"))
        failed = failed or one != other
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
