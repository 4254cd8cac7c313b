#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom: a file may include its own layer and those below it, and third-party headers only where
the table says. Usage: layers.py SOURCE_DIR. Prints each violation; exit 1 when there is any."""

import pathlib
import re
import sys

# Each layer with what it may include, itself apart. A client layer is a folder of src/, a server layer of
# server-reference/.
CLIENT = {
    "base": [],
    "protocol": ["base"],
    "transport": ["protocol", "base"],
    "store": ["protocol", "base"],
    "engine": ["store", "transport", "protocol", "base"],
    "capi": ["engine", "store", "transport", "protocol", "base"],
}
SERVER = {
    "store": [],
    "bus": ["store"],
    "services": ["bus", "store"],
    "gateway": ["services", "bus", "store"],
}
SERVER_TOP = ["gateway", "services", "bus", "store"]  # server.cpp, main.cpp, options.cpp
SERVER_USES_CLIENT = ["protocol", "base"]  # and the SQLite wrapper of store/
SHARED_WITH_SERVER = {"store/sqlite.h", "store/store_lock.h"}

# Third-party headers: prefix -> the places that may include it.
THIRD_PARTY = {
    "sodium": ["src/base/secret.h", "src/base/random.cpp", "src/protocol/frames.cpp", "src/store/", "src/capi/client_api.cpp",
               "server-reference/"],
    "sqlite3": ["src/store/", "server-reference/store/"],
    "libwebsockets": ["src/transport/", "server-reference/gateway/"],
    "curl/": ["src/transport/"],
    "openssl/": ["src/transport/", "server-reference/services/", "server-reference/gateway/"],
    "ev": ["server-reference/gateway/"],
    "spdlog/": ["server-reference/"],
    "CLI/": ["server-reference/", "examples/"],
    "nlohmann/": ["server-reference/services/"],
    "google/protobuf/": ["src/protocol/", "src/store/", "server-reference/"],
}
PURE_HEADERS = ["src/engine/", "src/protocol/", "src/base/"]  # no third-party header but the generated messages

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)


def violations(root):
    for top in ("src", "server-reference", "include"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".cpp", ".c"):
                continue
            name = path.relative_to(root).as_posix()
            for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
                reason = judge(name, included)
                if reason:
                    yield f"{name}: includes {included}: {reason}"


def judge(name, included):
    parts = name.split("/")
    for prefix, places in THIRD_PARTY.items():
        exact = included == prefix or included == prefix + ".h"
        if exact or (prefix.endswith("/") and included.startswith(prefix)):
            if not any(name.startswith(place) for place in places):
                return "this third-party header has no place here"
    if parts[0] == "include":
        return None if included.startswith("chatsdk/") or "/" not in included else "a public header includes only its own"
    if included.startswith("server-reference/"):
        target = included.split("/")[1]
        if parts[0] == "src":
            return "the client knows nothing of the server"
        if len(parts) == 2 or target == parts[1] or "." in target:
            return None if len(parts) == 2 or target == parts[1] else "a layer does not include what puts it together"
        return None if target in SERVER.get(parts[1], []) else f"{target} does not stand below {parts[1]}"
    layer = included.split("/")[0]
    if layer in CLIENT and "/" in included:
        if parts[0] == "server-reference":
            if layer in SERVER_USES_CLIENT or included in SHARED_WITH_SERVER:
                return None
            return "the server shares only base, protocol and the SQLite wrapper with the client"
        if layer == parts[1] or layer in CLIENT[parts[1]]:
            return None
        return f"{layer} does not stand below {parts[1]}"
    if included.startswith("chatsdk/") and parts[:2] != ["src", "capi"]:
        return "only capi sees the public headers"
    return None


def main():
    root = pathlib.Path(sys.argv[1])
    found = list(violations(root))
    for line in found:
        print(line)
    print(f"{len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
