#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ledger, the headers, the built library and the C tests speak of the same functions.
Usage: ledger_test.py SOURCE_DIR LIBRARY"""

import pathlib
import re
import subprocess
import sys

root, library = pathlib.Path(sys.argv[1]), sys.argv[2]
ledger = [line.split()[0] for line in (root / "src/capi/symbols.ledger").read_text().splitlines() if line[:1] not in "#"]
headers = "\n".join(p.read_text() for p in sorted((root / "include/chatsdk").glob("*.h")))
declared = set(re.findall(r"CHATSDK_API[^;{]*?CHATSDK_CALL\s+(chatsdk_\w+)\s*\(", headers))
table = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
exported = {line.split()[2].split("@")[0] for line in table.splitlines() if line.split()[1] in "TDBRVWi"}
tested = "\n".join(p.read_text() for p in sorted((root / "tests/capi").glob("*.c")))

problems = []
if ledger != sorted(set(ledger)):
    problems.append("the ledger is not sorted or names a function twice")
for what, names in (("declared", declared), ("exported", exported)):
    problems += [f"{name} is {what} and not in the ledger" for name in sorted(names - set(ledger))]
    problems += [f"{name} is in the ledger and not {what}" for name in sorted(set(ledger) - names)]
problems += [f"{name} has no test through C" for name in ledger if not re.search(rf"\b{name}\s*\(", tested)]

constants = set(re.findall(r"#define (CHATSDK_[A-Z0-9_]+) \(?-?\d+\)?(?=\s|$)", headers)) - {"CHATSDK_ABI_VERSION"}
table = set(re.findall(r"CONSTANT\((CHATSDK_\w+)\)", (root / "src/capi/constants.cpp").read_text()))
problems += [f"{name} is not in chatsdk_constant's table" for name in sorted(constants - table)]

for problem in problems:
    print(problem)
print(f"{len(ledger)} functions, {len(problems)} problems")
sys.exit(1 if problems else 0)
