#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents say and a program can check: the shapes of the protocol, the status codes, the server's options,
links to files, and names of tests. Usage: documents.py SOURCE_DIR [--shapes]. Prints each problem; exit 1 when there is
any. --shapes prints the shapes as the documents show them."""

import pathlib
import re
import sys
import textwrap

COLUMNS = 118


def blocks(text, keyword):
    """Name and body of each message or enum, nested ones after their owner, which then lacks them."""
    found, at = [], 0
    for head in re.finditer(keyword + r"\s+(\w+)\s*\{", text):
        if head.start() < at:
            continue
        depth, at = 1, head.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        name, body = head.group(1), text[head.end():at - 1]
        inner = [(f"{name}.{n}", b) for n, b in blocks(body, keyword)]
        for nested in ("message", "enum"):
            body = re.sub(nested + r"\s+\w+\s*\{[^{}]*\}", "", body)
        found += [(name, body)] + inner
    return found


def fields(body):
    """'1 uint64 seq' for each field; those of a oneof behind its name."""
    out = []
    for oneof, members, repeated, kind, name, number in re.findall(
            r"oneof\s+(\w+)\s*\{([^}]*)\}|(repeated\s+|optional\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[[^\]]*\])?;", body):
        if oneof:
            out.append(f"oneof {oneof}: " + " | ".join(fields(members)))
        else:
            out.append(f"{number} {repeated and repeated.strip() + ' '}{kind} {name}")
    return out


def shapes(proto):
    text = re.sub(r"//[^\n]*", "", proto)
    messages = [flat(f"{name} {{ {'; '.join(fields(body))} }}") for name, body in blocks(text, "message")]
    enums = []
    for enum in re.finditer(r"^( *)enum\s+(\w+)\s*\{([^}]*)\}", text, re.M):
        indent, name, body = enum.groups()
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() + "_"
        owner = re.findall(r"^message (\w+)", text[:enum.start()], re.M)[-1] + "." if indent else ""
        values = [f"{number} {value.removeprefix(prefix)}" for value, number in re.findall(r"(\w+)\s*=\s*(\d+);", body)]
        enums.append(f"enum {owner}{name} {{ {', '.join(values)} }}")
    return messages + enums


def protocol_text(root):
    return "".join((root / f"src/protocol/{name}.proto").read_text() for name in ("chatsdk", "content", "keys", "groups"))


def flat(text):
    return " ".join(text.split())


def shape_problems(root):
    shown = flat("".join((root / f"docs/{page}.md").read_text() for page in ("protocol", "protocol-rest", "content")))
    for shape in shapes(protocol_text(root)):
        if shape not in shown:
            yield f"docs/protocol.md, protocol-rest.md, content.md: not shown as it is: {shape}"


def code_problems(root):
    codes = re.search(r"enum class Code : .*?^};", (root / "src/base/result.h").read_text(), re.M | re.S)[0]
    numbers = dict(re.findall(r"(k\w+) = (-?\d+),", codes))
    source = (root / "src/base/result.cpp").read_text()
    names = dict(re.findall(r'case Code::(k\w+):\s*return "(\w+)";', source))
    again = set(re.findall(r"case Code::(k\w+):", source.split("bool code_is_retryable")[1]))
    table = (root / "docs/glossary.md").read_text()
    found = re.findall(r"^\| (-?\d+) \| (\w+) \|.*\|([^|]*)\|$", table, re.M)
    rows = {number: (name, last.strip()) for number, name, last in found}
    for code, name in names.items():
        wanted = (name, "yes" if code in again else "" if code == "kOk" else "no")
        if rows.pop(numbers[code], None) != wanted:
            yield f"docs/glossary.md: {numbers[code]} is {wanted[0]}, retry {wanted[1]}"
    for number in rows:
        yield f"docs/glossary.md: there is no code {number}"


def option_problems(root):
    source = (root / "server-reference/options.cpp").read_text()
    text = (root / "docs/server.md").read_text()
    declared = set(re.findall(r'(?:add\(app, |add_flag\(|set_config\()"(--[a-z-]+)"', source))
    for option in sorted(declared):
        if f"| `{option}`" not in text:
            yield f"docs/server.md: {option} is missing"
    for option in sorted(set(re.findall(r"^\| `(--[a-z-]+)`", text, re.M)) - declared):
        yield f"docs/server.md: there is no {option}"


def reference_problems(root):
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("*"))
                    if path.suffix == ".cpp" or path.name == "CMakeLists.txt")
    defined = {f"{suite}.{name}" for suite, name in re.findall(r"\bTEST(?:_F)?\((\w+),\s*(\w+)\)", tests)}
    defined |= set(re.findall(r"add_test\(NAME ([\w.]+?)\.?(?=[\s$])", tests))
    for path in sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")]):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            if not (path.parent / target).exists():
                yield f"{path.relative_to(root)}: there is no {target}"
        for name in re.findall(r"`([A-Z]\w+(?:\.[A-Z]\w+)+)`", text):
            if name not in defined and name.rstrip("0123456789") not in defined:
                yield f"{path.relative_to(root)}: there is no test {name}"


def main():
    root = pathlib.Path(sys.argv[1])
    if "--shapes" in sys.argv:
        for shape in shapes(protocol_text(root)):
            # A field stays on one line: the blanks within it are others while the lines are broken.
            whole = re.sub(r"(\d+) (repeated )?([\w.]+) (\w+)", lambda m: m.group().replace(" ", "~"), shape)
            lines = textwrap.wrap(re.sub(r" }$", "~}", whole), COLUMNS, subsequent_indent="    ", break_long_words=False)
            print("\n".join(lines).replace("~", " "))
        return 0
    problems = [*shape_problems(root), *code_problems(root), *option_problems(root), *reference_problems(root)]
    for line in problems:
        print(line)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
