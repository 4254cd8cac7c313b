#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is built without CHATSDK_FAULTS holds no name of a fault point and none of its symbols, and the sources reach
them through the macros alone, which are empty then.
Usage: no_fault_points.py [--present] SOURCE_DIR BINARY... Prints what is found; exit 1 when there is any. --present turns the
search in the binaries round: each must hold some name, which shows that the search finds what is there."""

import pathlib
import re
import sys

MACRO = re.compile(r'CHATSDK_FAULT(?:_BRANCH)?\("([^"]+)"\)')
BEHIND_THEM = re.compile(r"\b(?:fault_point|is_planted|FaultHooks|FaultScope)\b")
SYMBOLS = [b"fault_point", b"is_planted", b"FaultHooks", b"FaultScope"]

present = sys.argv[1] == "--present"
arguments = sys.argv[2:] if present else sys.argv[1:]
source, binaries = pathlib.Path(arguments[0]), [pathlib.Path(each) for each in arguments[1:]]
names = set()
findings = []
for folder in ("src", "server-reference"):
    for path in sorted((source / folder).rglob("*.[hci]*")):
        text = path.read_text(encoding="utf-8")
        names.update(MACRO.findall(text))
        if not path.name.startswith("fault") and BEHIND_THEM.search(text):
            findings.append(f"{path.relative_to(source)} does without the macros")
assert names, "no fault points in the sources"
for binary in binaries:
    content = binary.read_bytes()
    found = [name for name in sorted(names) if name.encode() in content]
    found += [symbol.decode() for symbol in SYMBOLS if symbol in content]
    if present:
        findings += [] if found else [f"{binary.name} was built with fault points and shows none"]
    else:
        findings += [f"{binary.name} holds {name}" for name in found]
print("\n".join(findings + [f"{len(names)} names, {len(binaries)} binaries, {len(findings)} findings"]))
sys.exit(1 if findings else 0)
