#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that each rule of tidy.py and layers.py can fire: every one is fed what it must refuse, and what looks much
like it and is right. A rule without a bad example fails, and so does an exception that no file of the tree needs.
Usage: self_test.py SOURCE_DIR"""

import pathlib
import sys

sys.dont_write_bytecode = True  # the sources stay as they are

import layers  # noqa: E402
import tidy  # noqa: E402

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"

# Rule -> (file, line) that must be refused by it, and only by it.
BAD_LINES = {
    "clock": [("src/engine/a.cpp", "const auto now = std::chrono::steady_clock::now();"),
              ("server-reference/services/a.cpp", "std::chrono::system_clock::now();"),
              ("src/store/a.cpp", "  ::clock_gettime(CLOCK_MONOTONIC, &time);"),
              ("src/store/a.cpp", "gettimeofday(&now, nullptr);"),
              ("src/store/a.cpp", "time(nullptr);"),
              ("src/store/a.cpp", "const auto now = std::time(nullptr);")],
    "sleep": [("src/transport/a.cpp", "std::this_thread::sleep_for(1s);"),
              ("tests/unit/a.cpp", "  sleep(1);"),
              ("tests/capi/a.c", "usleep(10);"),
              ("examples/a.c", "sleep(1);")],
    "random": [("src/engine/a.cpp", "std::random_device device;"),
               ("src/engine/a.cpp", "std::mt19937_64 dice(seed);"),
               ("server-reference/services/a.cpp", "randombytes_buf(key, sizeof key);"),
               ("src/store/a.cpp", "rand();"),
               ("src/store/a.cpp", "const int n = std::rand() % 6;")],
    "thread": [("src/engine/a.cpp", "std::thread worker(run);"),
               ("server-reference/services/a.cpp", "auto later = std::async(run);"),
               ("src/store/a.cpp", "pthread_create(&thread, nullptr, run, nullptr);")],
    "socket": [("src/engine/a.cpp", "const int fd = ::socket(AF_INET, SOCK_STREAM, 0);"),
               ("src/engine/a.cpp", "const int fd = socket(AF_INET6, SOCK_STREAM, 0);"),
               ("server-reference/services/a.cpp", "if (::connect(fd, address, size) != 0) return;"),
               ("server-reference/server.cpp", "::bind(fd_, address, size);"),
               ("src/capi/a.cpp", "return ::listen(listener_fd, 8);"),
               ("src/capi/a.cpp", "bind(listen_fd, address, size);"),
               ("src/base/a.cpp", "::accept4(fd, nullptr, nullptr, 0);"),
               ("src/base/a.cpp", "::sendto(fd, data, size, 0, address, length);"),
               ("src/engine/a.cpp", "if (getaddrinfo(host, port, &hints, &found) != 0) return;")],
    "string-built SQL": [("src/store/a.cpp", 'db.run("SELECT text FROM message WHERE id = " + id);')],
    "using namespace": [("src/engine/a.h", "using namespace std;"), ("include/chatsdk/a.hpp", "using namespace std;")],
    "printf": [("src/engine/a.cpp", 'std::printf("%d", n);'),
               ("src/engine/a.cpp", 'fprintf(stderr, "x");'),
               ("server-reference/services/a.cpp", "std::cerr << text;")],
    "unfinished": [("src/engine/a.cpp", "// TODO: the rest"), ("src/engine/a.cpp", "// FIXME"),
                   ("include/chatsdk/a.h", "/* Not implemented. */"), ("server-reference/a.cpp", "// a stub")],
    "switched off": [("tests/unit/a.cpp", "TEST(Outbox, DISABLED_KeepsOrder) {}"), ("tests/unit/a.cpp", "GTEST_SKIP();")],
    "#if 0": [("examples/a.c", "#if 0"), ("src/engine/a.cpp", "  #if 0")],
    "width": [("src/engine/a.cpp", "x" * 121)],
    "blank": [("src/engine/a.cpp", "int a; "), ("src/engine/a.cpp", "\tint a;")],
}
BAD_FILES = {
    "licence": ("src/engine/a.cpp", "int a;\n"),
    "guard": ("src/engine/a.h", LICENCE + "int a;\n"),
    "length": ("src/engine/a.cpp", LICENCE + "int a;\n" * tidy.LINES_MAX),
}
GOOD_LINES = [
    ("src/base/clock.cpp", "return std::chrono::steady_clock::now();"),
    ("src/engine/a.cpp", "const MonotonicTime now = clock.monotonic_now();"),
    ("src/engine/a.cpp", "runtime(0);"),
    ("src/engine/a.cpp", "transport_.connect(fd_of(url));"),
    ("src/engine/a.cpp", "Result<ConnectionId> Link::connect(const Url& url) {"),
    ("src/store/a.cpp", "statement.bind(1, id).bind(2, fd);"),
    ("src/engine/a.cpp", "const auto call = std::bind(run, this);"),
    ("src/transport/a.cpp", "::socket(AF_INET, SOCK_STREAM, 0);"),
    ("src/store/a.cpp", 'db.prepare("SELECT text FROM message WHERE id = ?1");'),
    ("src/engine/a.cpp", "using namespace std::chrono_literals;"),
    ("src/engine/a.cpp", "// TODO(perf): one look-up would do"),
    ("src/engine/a.cpp", "snprintf(text, sizeof text, format, n);"),
    ("src/engine/a.cpp", "// http://" + "x" * 121),
    ("src/store/a.cpp", "rand();  // tidy: random: no more than an example"),
]

# Rule -> (file, header, in angle brackets) that must be refused by it.
BAD_INCLUDES = {
    "third party": [("src/engine/a.cpp", "sqlite3.h", True)],
    "system": [("src/engine/a.cpp", "sys/socket.h", True), ("src/base/a.h", "unistd.h", True),
               ("src/protocol/a.cpp", "boost/asio.hpp", True), ("server-reference/services/a.cpp", "poll.h", True),
               ("src/engine/a.cpp", "pthread.h", True), ("src/e2ee/a.cpp", "valgrind/memcheck.h", True)],
    "public": [("include/chatsdk/a.h", "base/result.h", False), ("include/chatsdk/a.h", "unistd.h", True),
               ("include/chatsdk/a.hpp", "sys/types.h", True)],
    "server": [("src/engine/a.cpp", "server-reference/store/store.h", False)],
    "whole": [("server-reference/services/a.cpp", "server-reference/server.h", False)],
    "server layer": [("server-reference/store/a.cpp", "server-reference/services/tokens.h", False),
                     ("server-reference/services/a.cpp", "server-reference/gateway/gateway.h", False)],
    "shared": [("server-reference/store/a.cpp", "store/device_store.h", False),
               ("server-reference/gateway/a.cpp", "engine/client.h", False),
               ("server-reference/store/a.cpp", "e2ee/device_list.h", False)],
    "client layer": [("src/base/a.h", "protocol/frames.h", False), ("src/store/a.cpp", "engine/outbox.h", False),
                     ("src/transport/a.cpp", "store/sqlite.h", False), ("src/e2ee/a.cpp", "protocol/frames.h", False)],
    "c abi": [("src/engine/a.cpp", "chatsdk/status.h", False), ("server-reference/server.cpp", "chatsdk/client.h", False)],
}
GOOD_INCLUDES = [
    ("src/engine/a.cpp", "vector", True), ("src/base/executor.cpp", "pthread.h", True), ("src/base/a.h", "stdint.h", True),
    ("include/chatsdk/a.h", "stdint.h", True), ("include/chatsdk/a.hpp", "string_view", True),
    ("include/chatsdk/a.h", "chatsdk/status.h", False), ("src/capi/a.cpp", "chatsdk/status.h", False),
    ("server-reference/server.cpp", "server-reference/gateway/gateway.h", False),
    ("server-reference/store/a.cpp", "store/sqlite.h", False), ("src/store/a.cpp", "sys/stat.h", True),
    ("server-reference/services/a.cpp", "e2ee/device_list.h", False), ("src/e2ee/a.cpp", "sodium.h", True), ("src/e2ee/constant_time.h", "valgrind/memcheck.h", True),
    ("src/engine/a.cpp", "store/device_store.h", False), ("src/protocol/a.h", "chatsdk.pb.h", False),
]

# Where a third-party header that some may include has no place.
STRANGERS = ["src/engine/a.h", "include/chatsdk/a.h"]


def rules_of(name, text):
    return sorted({rule for _, _, rule, _ in tidy.judge(name, text)})


def tidy_problems():
    rules = {rule for rule, *_ in tidy.BANNED} | {"width", "blank"}
    yield from (f"tidy: {rule}: no bad example" for rule in sorted(rules - set(BAD_LINES)))
    yield from (f"tidy: {rule}: no such rule" for rule in sorted(set(BAD_LINES) - rules))
    for rule, examples in BAD_LINES.items():
        for name, line in examples:
            found = rules_of(name, LICENCE + "#pragma once\n" + line + "\n")
            if found != [rule]:
                yield f"tidy: {rule}: {line!r} in {name} violates {found}"
    for rule, (name, text) in BAD_FILES.items():
        if rules_of(name, text) != [rule]:
            yield f"tidy: {rule}: its bad file violates {rules_of(name, text)}"
    for name, line in GOOD_LINES:
        found = rules_of(name, LICENCE + "#pragma once\n" + line + "\n")
        if found:
            yield f"tidy: {line!r} in {name} is right and violates {found}"


def layers_problems():
    yield from (f"layers: {rule}: no bad example" for rule in sorted(set(layers.REASONS) - set(BAD_INCLUDES)))
    for rule, examples in BAD_INCLUDES.items():
        for example in examples:
            if layers.judge(*example) != rule:
                yield f"layers: {rule}: {example} violates {layers.judge(*example)}"
    for example in GOOD_INCLUDES:
        if layers.judge(*example) is not None:
            yield f"layers: {example} is right and violates {layers.judge(*example)}"
    for header in layers.THIRD_PARTY:
        included = header + "a.h" if header.endswith("/") else header + ".h"
        for stranger in STRANGERS:
            if layers.judge(stranger, included, True) != "third party":
                yield f"layers: {stranger} may include {included}"
    # Each layer above another: a file of the lower one may not include the upper.
    for below, upper, rule, where in ((layers.CLIENT, layers.CLIENT, "client layer", "src/{}/a.cpp {}/a.h"),
                                      (layers.SERVER, layers.SERVER, "server layer",
                                       "server-reference/{}/a.cpp server-reference/{}/a.h")):
        for low in below:
            for high in upper:
                name, included = where.format(low, high).split()
                wanted = None if high == low or high in below[low] else rule
                if layers.judge(name, included, False) != wanted:
                    yield f"layers: {name} including {included} violates {layers.judge(name, included, False)}"


def stale_exceptions(root):
    """Exceptions that name what is not there would excuse whatever comes to stand there."""
    names = [name for name in tidy.tracked(root) if (root / name).is_file()]

    def stands(prefix):
        return any(name.startswith(prefix) for name in names)

    for rule, _, places, excused in tidy.BANNED:
        yield from (f"tidy: {rule}: nothing stands at {place}" for place in places + excused if not stands(place))
    used = {}
    for name in names:
        if name.startswith(("src/", "server-reference/", "include/", "examples/")) and name.endswith(tidy.CODE):
            for included in layers.INCLUDE.findall((root / name).read_text(encoding="utf-8")):
                used.setdefault(included[1:], []).append(name)
    for header, places in layers.THIRD_PARTY.items():
        users = [user for included, found in used.items() for user in found
                 if layers.place_of_third_party(included) is places]
        yield from (f"layers: nothing at {place} includes {header}" for place in places
                    if not any(user.startswith(place) for user in users))
    for header, places in layers.SYSTEM_IN_PURE.items():
        yield from (f"layers: {place} does not include {header}" for place in places if place not in used.get(header, []))


def main():
    problems = [*tidy_problems(), *layers_problems(), *stale_exceptions(pathlib.Path(sys.argv[1]))]
    for problem in problems:
        print(problem)
    examples = sum(map(len, BAD_LINES.values())) + len(BAD_FILES) + sum(map(len, BAD_INCLUDES.values()))
    print(f"{examples} bad examples, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
