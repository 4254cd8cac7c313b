#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the library's size against the ledger. Usage: size_test.py LEDGER BUILD_TYPE LIBRARY"""

import pathlib
import subprocess
import sys
import tempfile


def limits(ledger, build_type):
    for line in pathlib.Path(ledger).read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] == build_type:
            return int(words[1]), int(words[2])
    sys.exit(f"{ledger} has no line for {build_type}")


def sizes(library):
    with tempfile.TemporaryDirectory() as directory:
        stripped = pathlib.Path(directory) / "library"
        subprocess.run(["strip", "-o", stripped, library], check=True)
        sections = subprocess.run(["size", "-A", stripped], check=True, capture_output=True, text=True).stdout
        code = sum(int(words[1]) for words in map(str.split, sections.splitlines())
                   if words and words[0] in (".text", ".plt", ".plt.sec", ".plt.got", ".rodata"))
        return stripped.stat().st_size, code


def main():
    ledger, build_type, library = sys.argv[1:]
    failed = False
    for what, size, limit in zip(("file", "code and constants"), sizes(library), limits(ledger, build_type)):
        print(f"{what}: {size:,} of {limit:,} bytes")
        failed = failed or size > limit
    return failed


if __name__ == "__main__":
    sys.exit(main())
