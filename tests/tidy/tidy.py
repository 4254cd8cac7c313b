#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the rules of style that a machine can check. Usage: tidy.py SOURCE_DIR. Prints each violation; exit 1 when
there is any. A line may excuse itself with `// tidy: <rule>: <reason>`."""

import pathlib
import re
import subprocess
import sys

# Rule, pattern, where it holds (prefixes), where it does not.
BANNED = [
    ("clock", r"\b(steady_clock|system_clock|high_resolution_clock)::now|\bgettimeofday\b|\bclock_gettime\b|(?<![\w.>])time\((NULL|nullptr|0)\)",
     ["src/", "server-reference/"], ["src/base/clock.cpp"]),
    ("sleep", r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<!\w)sleep\(", ["src/", "server-reference/", "tests/", "examples/"], []),
    ("random", r"\brandom_device\b|\bmt19937|(?<!\w)s?rand\(|\brandombytes_(buf|random|uniform)\b",
     ["src/", "server-reference/"], ["src/base/random.cpp"]),
    ("thread", r"\bstd::thread\b|\bstd::jthread\b|\bpthread_create\b|\bstd::async\b",
     ["src/", "server-reference/"],
     ["src/base/executor", "src/transport/", "src/capi/", "server-reference/gateway/lws_", "server-reference/server.", "server-reference/main.cpp"]),
    # The system's functions, with or without the colons before them; a method of ours has a name or a dot before its own.
    ("socket", r"(?<![\w:])::(socket|connect|accept4?|bind|listen|getaddrinfo|recv(from|msg)?|send(to|msg))\("
     r"|(?<![\w:.>])(socket|connect|accept4?|bind|listen|recv|send)\((AF_|\w*fd\b|sock)|(?<![\w:.>])getaddrinfo\(",
     ["src/", "server-reference/"], ["src/transport/", "server-reference/gateway/lws_"]),
    ("string-built SQL", r"\"[^\"]*\b(SELECT|INSERT|UPDATE|DELETE)\b[^\"]*\"\s*\+", ["src/", "server-reference/"], []),
    ("using namespace", r"^using namespace (?!chatsdk|std::chrono_literals)", ["src/", "server-reference/", "include/"], []),
    ("printf", r"(?<!\w)(printf|fprintf)\(|std::c(out|err)\b", ["src/", "server-reference/"],
     ["src/base/result.cpp", "server-reference/main.cpp", "server-reference/options.cpp"]),
    ("unfinished", r"\b(FIXME|XXX)\b|\bTODO\b(?!\((security|perf|port|test)\))|[Nn]ot implemented|\bstub\b", ["src/", "server-reference/", "include/"], []),
    ("switched off", r"\bDISABLED_|GTEST_SKIP\(", ["tests/"], []),
    ("#if 0", r"^\s*#if 0", ["src/", "server-reference/", "include/", "tests/", "examples/"], []),
]
CODE = (".h", ".hpp", ".cpp", ".c")
COLUMNS_MAX = 120
LINES_MAX = 900


def tracked(root):
    out = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if out.returncode == 0:
        return sorted(set(out.stdout.split("\n")) - {""})
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and "build" not in p.parts)


def violations(root):
    for name in tracked(root):
        path = root / name
        if path.suffix in CODE and path.is_file():
            yield from judge(name, path.read_text(encoding="utf-8"))


def judge(name, text):
    """What a file of this name and text violates: name, line (0: the file as a whole), rule, words."""
    lines = text.split("\n")
    if "SPDX-License-Identifier: Apache-2.0" not in lines[0] + (lines[1] if len(lines) > 1 else ""):
        yield name, 1, "licence", "licence line is missing"
    if name.endswith(".h") and "#pragma once" not in text and "#ifndef" not in text:
        yield name, 1, "guard", "no include guard"
    if len(lines) > LINES_MAX:
        yield name, 0, "length", f"{len(lines)} lines, limit {LINES_MAX}: does it hold one idea?"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX and "http" not in line:
            yield name, number, "width", f"{len(line)} columns, limit {COLUMNS_MAX}"
        if line.rstrip() != line or "\t" in line:
            yield name, number, "blank", "tab or trailing space"
        for rule, pattern, places, excused in BANNED:
            if f"tidy: {rule}:" in line or not any(name.startswith(p) for p in places):
                continue
            if any(name.startswith(p) for p in excused) or not re.search(pattern, line):
                continue
            yield name, number, rule, line.strip()[:90]


def main():
    found = list(violations(pathlib.Path(sys.argv[1])))
    for name, number, rule, words in found:
        print(f"{name}:{number}: {rule}: {words}")
    print(f"{len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
