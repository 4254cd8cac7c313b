#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every exported function has the comment that bindings are generated from: see "Comments and tags" in docs/ABI.md.
Usage: header_comments_test.py SOURCE_DIR. Prints each violation; exit 1 when there is any.

It also holds the conventions of chatsdk.h that a parser can see: the order of parameters, and who has an out_error."""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
LINES = ["Errors", "Completion", "Ownership", "Thread", "Blocks", "Since", "Binding"]
OPTIONAL = {"Completion"}
KINDS = {"constructor", "destructor", "retain", "initializer", "method", "function"}
FUNCTION = re.compile(r"CHATSDK_API\s+(?P<result>[\w\s*]+?)\s*CHATSDK_CALL\s+(?P<name>chatsdk_\w+)\((?P<parameters>[^)]*)\);")
STATUS_NAMES = set(re.findall(r"#define CHATSDK_(\w+) (?:0|\(-\d+\))", (root / "include/chatsdk/status.h").read_text()))
since_of = dict(line.split() for line in (root / "src/capi/symbols.ledger").read_text().splitlines() if line[:1] not in "#")
problems = []


class Comment:
    """A comment's text, its @param and @return, and its fixed lines in order."""

    def __init__(self, text):
        self.text, self.parameters, self.lines, self.result, self.order = "", {}, {}, "", []
        into = None
        for line in re.sub(r"^/\*\*|\*/$", "", text.strip()).splitlines():
            line = re.sub(r"^\s*\* ?", "", line).rstrip()
            parameter = re.match(r"@param(\[out\])? (\w+) (\S.*)", line)
            fixed = re.match(r"- (\w+): (\S.*)", line)
            if parameter:
                self.parameters[parameter[2]] = bool(parameter[1])
                into = "parameter"
            elif re.match(r"\s*@return \S", line):
                self.result, into = line.strip(), "result"
            elif fixed:
                self.lines[fixed[1]] = fixed[2]
                self.order.append(fixed[1])
                into = fixed[1]
            elif into in self.lines and line.startswith("  "):
                self.lines[into] += " " + line.strip()
            elif line.startswith(("@param", "@return", "- ")):
                problems.append(f"not understood: {line}")
            elif into is None:
                self.text += line.strip() + " "


def parameters_of(text):
    """Type and name of each parameter, in order."""
    parts = [part.strip() for part in text.replace("\n", " ").split(",")]
    return [re.match(r"(.*?)(\w+)$", part).groups() for part in parts if part != "void"]


# What every request may complete with: it waits in a queue, crosses the network and writes the store.
OF_EVERY_REQUEST = {"OK", "BUSY", "CANCELLED", "RATE_LIMITED", "UNAVAILABLE", "SERVER", "NETWORK", "TLS", "TIMED_OUT",
                    "PROTOCOL", "STORAGE", "STORAGE_FULL", "CORRUPT", "TAMPERED"}
completions = {}  # of the functions so far, by name


def completion_of(line):
    """The statuses of a Completion line. It may end with those of an earlier function: all, from one on, or but some."""
    reference = re.search(r"those of (\w+)(?: from ([A-Z_]+) on)?(?: but ([A-Z_ and,]+?))?\.", line)
    own = re.findall(r"\b[A-Z][A-Z0-9_]+\b", re.sub(r"\([^)]*\)", "", line[:reference.start()] if reference else line))
    if reference is None:
        return own
    others = completions.get(reference[1], [])
    if reference[2]:
        others = others[others.index(reference[2]):] if reference[2] in others else []
    return own + [s for s in others if s not in re.findall(r"[A-Z_]{2,}", reference[3] or "")]


def check_completion(name, names, lines):
    def problem(text):
        problems.append(f"{name}: {text}")

    if ("Completion" in lines) != ("out_request" in names):
        problem("Completion: belongs to the functions that start a request, and to no other")
    if "Completion" not in lines:
        return
    completions[name] = completion_of(lines["Completion"])
    if missing := OF_EVERY_REQUEST - set(completions[name]):
        problem(f"Completion: lacks {', '.join(sorted(missing))}")
    if "user" in lines["Errors"]:
        problem("Errors: whose store it is, is found out later: it belongs to Completion")


def check(name, result, parameters, own, group):
    def problem(text):
        problems.append(f"{name}: {text}")

    names = [parameter for _, parameter in parameters]
    described = {**group.parameters, **own.parameters}
    lines = {**group.lines, **own.lines}
    if not own.text.strip() and not own.result:
        problem("says nothing about itself")
    for parameter in names:
        if parameter not in described:
            problem(f"@param {parameter} is missing")
        elif described[parameter] != parameter.startswith("out_"):
            problem(f"@param {parameter}: [out] belongs to the parameters named out_, and to no other")
    if list(own.parameters) != [n for n in names if n in own.parameters]:
        problem(f"its @param lines are {list(own.parameters)}, its parameters {names}")
    for comment in (own, group):
        if comment.order != [line for line in LINES if line in comment.order]:
            problem(f"its lines stand in the order {comment.order}, not {LINES}")
    for line in LINES:
        if line not in lines and line not in OPTIONAL:
            problem(f"{line}: is missing")
    if not set(LINES) <= {*lines, *OPTIONAL}:
        return
    if lines["Since"] != since_of.get(name):
        problem(f"Since: {lines['Since']}, the ledger says {since_of.get(name)}")
    for line in ("Errors", "Completion", "Ownership", "Thread", "Blocks"):
        if line in lines and not lines[line].endswith("."):
            problem(f"{line}: ends without a full stop")
    for word in re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", lines["Errors"] + lines.get("Completion", "")):
        if word not in STATUS_NAMES:
            problem(f"{word} is no status")

    check_completion(name, names, lines)

    fails = lines["Errors"] != "none."
    if fails and result != "int32_t":
        problem("returns no status, but names errors")
    if not fails and result != "void" and not (own.result or group.result):
        problem("@return is missing")
    if fails and own.result:
        problem("@return of a function that returns a status")

    # The order: the object, inputs, outputs with out_error as the last of them, a callback and what belongs to it.
    has_error = "out_error" in names
    if (fails and re.match(r"chatsdk_(client|config)_", name) is not None) != has_error:
        problem("out_error belongs to the functions of a client or a configuration that may fail, and to no other")
    callbacks = [i for i, (kind, _) in enumerate(parameters) if re.match(r"chatsdk_\w+_(hook|handler) ", kind)]
    first_callback = callbacks[0] if callbacks else len(names)
    if has_error and names.index("out_error") != first_callback - 1:
        problem("out_error is not the last of the outputs, just before a callback")
    if callbacks and (names[first_callback + 1] != "user" or any(n.startswith("out_") for n in names[first_callback:])):
        problem("a callback, its user pointer and its destroy hook are the last parameters")
    outputs = [i for i, n in enumerate(names) if n.startswith("out_")]
    inputs = [i for i, n in enumerate(names) if not n.startswith("out_") and i < first_callback and n not in ("max", "capacity")]
    if outputs and inputs and min(outputs) < max(inputs):
        problem("an input stands after an output")

    kind, _, type_name = lines["Binding"].partition(" ")
    if kind not in KINDS or (kind == "function") != (type_name == ""):
        return problem(f"Binding: {lines['Binding']} is none of {sorted(KINDS)} with its type")
    if kind == "function":
        return None
    if not name.startswith(type_name + "_"):
        problem(f"is no {kind} of {type_name} by its name")
    if kind == "constructor":
        if not any(re.fullmatch(rf"{type_name}\*\* out_\w+", k + n) for k, n in parameters):
            problem(f"gives no {type_name}")
    elif not re.fullmatch(rf"(const )?{type_name}\* ", parameters[0][0]):
        problem(f"its first parameter is no {type_name}")
    if kind == "retain" and result != f"{type_name}*":
        problem(f"gives no {type_name}")
    return None


functions = 0
for header in sorted((root / "include/chatsdk").glob("*.h")):
    text = header.read_text()
    groups = [(m.start(), m.end(), Comment(m[0].replace("@{", "").replace("@name", "")))
              for m in re.finditer(r"/\*\*(?:(?!\*/).)*@\{\s*\*/", text, re.S)]
    ends = [m.start() for m in re.finditer(r"/\*\* @\} \*/", text)]
    if len(groups) != len(ends):
        problems.append(f"{header.name}: {len(groups)} groups begin, {len(ends)} end")
    used = [set() for _ in groups]
    for match in FUNCTION.finditer(text):
        functions += 1
        name, parameters = match["name"], parameters_of(match["parameters"])
        result = re.sub(r"\s+", " ", match["result"]).strip()
        group = Comment("")
        for i, (_, begin, comment) in enumerate(groups):
            if begin <= match.start() < min((e for e in ends if e > begin), default=0):
                group = comment
                used[i] |= {n for _, n in parameters}
        before = re.search(r"(/\*\*(?:(?!\*/).)*\*/)\n$", text[:match.start()], re.S)
        if before is None or "@{" in before[1] or "@}" in before[1]:
            problems.append(f"{name}: has no comment of its own")
            continue
        check(name, result, parameters, Comment(before[1]), group)
    for (_, _, comment), names in zip(groups, used):
        problems += [f"{header.name}: no function of its group has the parameter {n}" for n in set(comment.parameters) - names]

if functions != len(since_of):
    problems.append(f"{functions} functions were understood, the ledger has {len(since_of)}")
for line in problems:
    print(line)
print(f"{functions} functions, {len(problems)} problems")
sys.exit(1 if problems else 0)
