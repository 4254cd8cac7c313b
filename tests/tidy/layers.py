#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom: a file may include its own layer and those below it, and third-party headers only where
the table says. Usage: layers.py SOURCE_DIR. Prints each violation; exit 1 when there is any."""

import pathlib
import re
import sys

# Each layer with what it may include, itself apart. A client layer is a folder of src/, a server layer of
# server-reference/; the files beside the server's layers put them together and may include each.
CLIENT = {
    "base": [],
    "protocol": ["base"],
    "e2ee": ["base"],
    "transport": ["protocol", "base"],
    "store": ["e2ee", "protocol", "base"],
    "engine": ["store", "transport", "e2ee", "protocol", "base"],
    "capi": ["engine", "store", "transport", "e2ee", "protocol", "base"],
}
SERVER = {
    "store": [],
    "bus": ["store"],
    "services": ["bus", "store"],
    "gateway": ["services", "bus", "store"],
}
SERVER_USES_CLIENT = ["protocol", "base"]  # and the SQLite wrapper of store/
SHARED_WITH_SERVER = {"store/sqlite.h", "store/store_lock.h"}
SERVER_READS_KEYS = "services"  # the one layer of the server that uses e2ee/: it checks what is uploaded

# Third-party headers: prefix -> the places that may include it.
THIRD_PARTY = {
    "sodium": ["src/base/secret.h", "src/base/wipe.h", "src/base/random.cpp", "src/protocol/frames.cpp", "src/e2ee/", "src/store/",
               "src/capi/client_api.cpp", "server-reference/"],
    "sqlite3": ["src/store/", "server-reference/store/"],
    "libwebsockets": ["src/transport/", "server-reference/gateway/"],
    "curl/": ["src/transport/"],
    "openssl/": ["src/transport/", "server-reference/services/", "server-reference/gateway/"],
    "ev": ["server-reference/gateway/"],
    "spdlog/": ["server-reference/"],
    "CLI/": ["server-reference/", "examples/"],
    "nlohmann/": ["server-reference/services/"],
    "google/protobuf/": ["server-reference/"],
}
# Layers whose files include no header of the system, so that they cannot reach past the seams: header -> who may all the
# same.
PURE = ["src/engine/", "src/e2ee/", "src/protocol/", "src/base/", "server-reference/services/"]
ADDRESSES_AS_TEXT = ["server-reference/services/client_address.cpp", "server-reference/services/rate_limiter.cpp"]
SYSTEM_IN_PURE = {
    "pthread.h": ["src/base/executor.cpp"],
    "arpa/inet.h": ["src/base/url.cpp", *ADDRESSES_AS_TEXT],
    "netinet/in.h": ADDRESSES_AS_TEXT,
    "valgrind/memcheck.h": ["src/e2ee/constant_time.h"],  # in one test's build alone
}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+)[>"]', re.M)
C_STANDARD = re.compile(r"(assert|ctype|errno|float|inttypes|limits|math|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|time)\.h")


def violations(root):
    for top in ("src", "server-reference", "include"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".cpp", ".c"):
                continue
            name = path.relative_to(root).as_posix()
            for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
                reason = judge(name, included[1:], included[0] == "<")
                if reason:
                    yield f"{name}: includes {included[1:]}: {REASONS[reason]}"


# Why an include is refused: rule -> words.
REASONS = {
    "third party": "this third-party header has no place here",
    "system": "a pure layer includes no header of the system",
    "public": "a public header includes only its own and the language's",
    "server": "the client knows nothing of the server",
    "whole": "a layer does not include what puts it together",
    "server layer": "that server layer does not stand below this one",
    "shared": "the server shares only base, protocol, the SQLite wrapper and, in services, e2ee with the client",
    "client layer": "that client layer does not stand below this one",
    "c abi": "only capi sees the public headers",
}


def place_of_third_party(included):
    """Who may include this third-party header; None when it is none that the table knows."""
    for prefix, places in THIRD_PARTY.items():
        if included in (prefix, prefix + ".h") or (prefix.endswith("/") and included.startswith(prefix)):
            return places
    return None


def judge(name, included, is_system):
    """The rule that this include violates, or None. is_system: it stands in angle brackets."""
    parts = name.split("/")
    third_party = place_of_third_party(included)
    if third_party is not None:
        return None if name.startswith(tuple(third_party)) else "third party"
    if parts[0] == "include":
        own = included.startswith("chatsdk/")
        standard = "." not in included or C_STANDARD.fullmatch(included)
        return None if own or ("/" not in included and standard) else "public"
    if is_system and name.startswith(tuple(PURE)) and not name.startswith(tuple(SYSTEM_IN_PURE.get(included, ["/"]))):
        return "system" if "/" in included or (included.endswith(".h") and not C_STANDARD.fullmatch(included)) else None
    if included.startswith("server-reference/"):
        return judge_server_include(parts, included)
    layer = included.split("/")[0]
    if layer in CLIENT and "/" in included:
        if parts[0] == "server-reference":
            shared = layer in SERVER_USES_CLIENT or included in SHARED_WITH_SERVER
            return None if shared or (layer == "e2ee" and parts[1] == SERVER_READS_KEYS) else "shared"
        return None if layer == parts[1] or layer in CLIENT[parts[1]] else "client layer"
    if included.startswith("chatsdk/") and parts[:2] != ["src", "capi"]:
        return "c abi"
    return None


def judge_server_include(parts, included):
    target = included.split("/")[1]
    if parts[0] == "src":
        return "server"
    if len(parts) == 2 or target == parts[1]:  # what puts the layers together may include each
        return None
    if "." in target:
        return "whole"
    return None if target in SERVER[parts[1]] else "server layer"


def main():
    root = pathlib.Path(sys.argv[1])
    found = list(violations(root))
    for line in found:
        print(line)
    print(f"{len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
