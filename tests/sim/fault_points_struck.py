#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each fault point of tests/sim/fault_point_names.h struck in one of the runs that wrote these files (chatsdk-sim
--points), but for those of encryption, which few of the fixed seeds pass.
Usage: fault_points_struck.py SOURCE_DIR FILE... Prints those that are silent; exit 1 when there is any."""

import pathlib
import re
import sys

header = (pathlib.Path(sys.argv[1]) / "tests/sim/fault_point_names.h").read_text(encoding="utf-8")
listed = re.findall(r'^    "([^"]+)",$', header, re.M)
encrypted = tuple(re.findall(r'starts_with\("([^"]+)"\)', header))
assert listed and encrypted
struck = {name for file in sys.argv[2:] for name in pathlib.Path(file).read_text(encoding="utf-8").split()}
due = [name for name in listed if not name.startswith(encrypted)]
silent = [name for name in due if name not in struck]
findings = [f"{name} never struck" for name in silent] + [f"{name} is not listed" for name in sorted(struck - set(listed))]
print("\n".join(findings + [f"{len(due)} points, {len(silent)} of them silent"]))
sys.exit(1 if findings else 0)
