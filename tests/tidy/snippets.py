#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README and headers show as code is, line by line, a piece of an example that the tests compile and run.
Usage: snippets.py SOURCE_DIR"""

import pathlib
import re
import sys
import textwrap

root = pathlib.Path(sys.argv[1])
example = {name: textwrap.dedent((root / "examples" / name).read_text()) for name in ("minimal.c", "minimal.cpp")}


def code_of_comment(header, mark):
    """The first run of lines that stand three spaces after the comment's mark, without mark and spaces."""
    shown = []
    for line in (root / "include/chatsdk" / header).read_text().splitlines():
        if line.startswith(mark + "   "):
            shown.append(line[len(mark) + 3:])
        elif shown and line.rstrip() == mark:
            shown.append("")
        elif shown:
            break
    return "\n".join(shown).strip("\n") + "\n"


readme = re.findall(r"```c\n(.*?)```", (root / "README.md").read_text(), re.S)
shown = [("README.md", "minimal.c", code) for code in readme]
shown += [("chatsdk.h", "minimal.c", code_of_comment("chatsdk.h", " *")),
          ("chatsdk.hpp", "minimal.cpp", code_of_comment("chatsdk.hpp", "//"))]
problems = 0 if readme else 1
for where, name, code in shown:
    # The examples hold it one level deep, in a function.
    nested = textwrap.indent(code, "  ")
    if code.count("\n") < 10 or nested not in example[name]:
        print(f"{where}: its code is no piece of examples/{name}")
        problems += 1
print(f"{len(shown)} pieces of code, {problems} problems")
sys.exit(1 if problems else 0)
