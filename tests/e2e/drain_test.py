#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long outbox, with real processes: a device queues many messages while there is no server, is killed and started
again, and then the server comes. Usage: drain_test.py --server BIN --device BIN [--messages 10000]

What is checked: every message is queued without a server and still there after the kill; every one is acknowledged, the
n-th at the n-th place, in that order; the receiver's history holds them all, dense and in order; nothing waits any more;
the server's store is whole and holds each once."""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the sources stay as they are

from kill_test import Device, Process, check_server_store, free_port, pause  # noqa: E402

DEADLINE_S = 200
MEMORY = "/dev/shm"  # what syncs cost is not the matter here


def until(what, holds, processes):
    end = time.monotonic() + DEADLINE_S
    while not holds():
        for process in processes:
            assert not process.ended(), f"{process.command[0]} ended by itself, see {process.log}"
        assert time.monotonic() < end, f"{what}: not within {DEADLINE_S} s"
        pause(0.05)


def run(options, root):
    port = free_port()
    server = Process([options.server, "--port", str(port), "--data-dir", str(root), "--argon-operations", "1",
                      "--argon-memory-mib", "8"], root / "server.log")
    url, count = f"http://127.0.0.1:{port}", options.messages
    ann = Device(options.device, url, None, root, "ann", 1, peers=["ben"])
    ben = Device(options.device, url, None, root, "ben", 1, peers=["ann"])
    try:
        server.start()
        for device in (ann, ben):
            device.start()
        until("both are registered", lambda: ann.ready.is_set() and ben.ready.is_set(), [server, ann, ben])
        server.kill()

        began = time.monotonic()
        ann.tell(f"send {count}")
        until("all is queued", lambda: len(ann.queued) == count, [ann, ben])
        queued_s = time.monotonic() - began
        assert not ann.acked, "acknowledged by nobody"
        ann.kill()
        ann.ready.clear()
        ann.start()
        until("the store is read again", ann.ready.is_set, [ann, ben])
        assert len(ann.met) == count and not ann.acked, f"{len(ann.met)} of {count} are there after the kill"

        server.start()
        began = time.monotonic()
        until("all is acknowledged", lambda: len(ann.acked) == count, [server, ann, ben])
        acked_s = time.monotonic() - began
        until("all has come", lambda: ben.take_dump() and len(ben.dump) >= count, [server, ann, ben])
        came_s = time.monotonic() - began
        assert ann.take_dump()
    finally:
        for process in (ann, ben, server):
            if process.child and process.child.poll() is None:
                process.kill()
    print(f"{count} messages: queued in {queued_s:.1f} s; acknowledged {acked_s:.1f} s and received {came_s:.1f} s after "
          f"the server came, {count / acked_s:.0f}/s")
    problems = ann.problems + ben.problems + check_server_store(root, count)
    # The first item of the conversation is its roster.
    wanted = [(seq, "ann", f"ann1#{seq - 2}") for seq in range(2, count + 2)]
    if [ann.acked.get(number) for number in range(count)] != [seq for seq, _, _ in wanted]:
        problems.append("a message was acknowledged at another's place")
    for device in (ann, ben):
        if [row[1:4] for row in device.dump] != wanted:
            problems.append(f"{device.name}: its history is not the series: {device.dump[:3]} … {device.dump[-3:]}")
        if device.outbox != 0:
            problems.append(f"{device.name}: {device.outbox} messages still wait")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--messages", type=int, default=10000)
    options = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="chatsdk-drain-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
    try:
        problems = run(options, root)
    except AssertionError as e:
        problems = [str(e)]
    for problem in problems[:20]:
        print("PROBLEM:", problem)
    if problems:
        print(f"kept for a look: {root}")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
