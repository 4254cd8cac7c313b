#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The fault points that tests/sim/fault_point_names.h lists are those of the code, each once there and each in order.
Usage: fault_point_names.py SOURCE_DIR. Prints what is found; exit 1 when there is any."""

import pathlib
import re
import sys

MACRO = re.compile(r'CHATSDK_FAULT(?:_BRANCH)?\("([^"]+)"\)')

source = pathlib.Path(sys.argv[1])
used = set()
for folder in ("src", "server-reference"):
    for path in sorted((source / folder).rglob("*.[hci]*")):
        # There they are examples.
        if not path.name.startswith("fault"):
            used.update(MACRO.findall(path.read_text(encoding="utf-8")))
listed = re.findall(r'^    "([^"]+)",$', (source / "tests/sim/fault_point_names.h").read_text(encoding="utf-8"), re.M)
assert used and listed
findings = [f"{name} is not listed" for name in sorted(used - set(listed))]
findings += [f"{name} is listed and not in the code" for name in sorted(set(listed) - used)]
if listed != sorted(set(listed)):
    findings.append("the list is not in order, or names one twice")
print("\n".join(findings + [f"{len(used)} points, {len(findings)} findings"]))
sys.exit(1 if findings else 0)
