#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real processes on loopback, killed at random: one server, three users with two devices each, messages between all of
them, SIGKILL to the server and to devices. At the end nothing is lost, nothing is twice and everyone agrees.

Usage: kill_test.py --server BIN --device BIN [--messages 2000] [--kills 20] [--seed N] [--tls]

What is checked, from what the processes printed before they were killed and from their stores at the end:
  every device's history of each conversation is the same, dense where it must be, in one order;
  every acknowledged message is in it exactly once, at the sequence that was acknowledged;
  every queued message is acknowledged or visibly failed; each device's messages are in the order it sent them;
  nothing else appears."""

import argparse
import collections
import os
import pathlib
import queue
import random

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

USERS = ["ann", "ben", "cat"]
DEADLINE_S = 240


class Process:
    """A child whose lines are read as they come; its stdout stays readable after it was killed."""

    def __init__(self, command, log):
        self.command, self.log = command, log
        self.lines = queue.Queue()
        self.child = None

    def start(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=open(self.log, "ab"), text=True, bufsize=1)
        self.reader = threading.Thread(target=self.read, args=(self.child.stdout,), daemon=True)
        self.reader.start()

    def read(self, stream):
        for line in stream:
            if line.endswith("\n"):
                self.heard(line.rstrip("\n"))

    def heard(self, line):
        self.lines.put(line)

    def tell(self, line):
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.reader.join()


class Device(Process):
    def __init__(self, binary, url, ca_file, root, user, number):
        self.user, self.name = user, f"{user}{number}"
        peers = [u for u in USERS if u != user]
        super().__init__([binary, url, str(root / f"{self.name}.db"), user, self.name, ca_file or "-", *peers],
                         root / f"{self.name}.log")
        self.queued, self.failed, self.acked = set(), {}, {}
        self.problems = []
        self.dump, self.outbox = [], None
        self.dumped = threading.Event()

    def heard(self, line):
        words = line.split(" ")
        if words[0] == "queued":
            self.queued.add(int(words[1]))
        elif words[0] == "acked":
            number, seq = int(words[1]), int(words[2])
            if self.acked.setdefault(number, seq) != seq:
                self.problems.append(f"{self.name}#{number} acknowledged at {self.acked[number]} and at {seq}")
        elif words[0] == "failed":
            self.failed[int(words[1])] = words[2]
        elif words[0] == "message":
            self.dump.append((words[1], int(words[2]), words[3], words[4]))
        elif words[0] == "outbox":
            self.outbox = int(words[1])
        elif words[0] == "dumped":
            self.dumped.set()
        elif words[0] in ("error", "session"):
            self.problems.append(f"{self.name}: {line}")

    def take_dump(self):
        self.dump, self.outbox = [], None
        self.dumped.clear()
        self.tell("dump")
        return self.dumped.wait(30)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificates(root):
    """An authority and a server certificate for 127.0.0.1."""

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    (root / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
            "-keyout", f"{root}/ca.key", "-out", f"{root}/ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", f"{root}/key.pem",
            "-out", f"{root}/csr.pem")
    openssl("x509", "-req", "-in", f"{root}/csr.pem", "-CA", f"{root}/ca.pem", "-CAkey", f"{root}/ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{root}/ext", "-out", f"{root}/cert.pem")


def check(devices, conversations_of):
    problems = [p for d in devices for p in d.problems]
    histories = {}
    for d in devices:
        by_peer = collections.defaultdict(list)
        for peer, seq, sender, text in d.dump:
            by_peer[peer].append((seq, sender, text))
        for peer, rows in by_peer.items():
            pair = tuple(sorted((d.user, peer)))
            sequenced = [r for r in rows if r[0] != 0]
            if [r[0] for r in sequenced] != sorted({r[0] for r in sequenced}):
                problems.append(f"{d.name}: {pair} is not in order, or a sequence is twice")
            if any(r[0] == 0 for r in rows) and not d.failed:
                problems.append(f"{d.name}: {pair} still holds messages that wait")
            known = histories.setdefault(pair, (d.name, sequenced))
            if known[1] != sequenced:
                a, b = set(known[1]), set(sequenced)
                problems.append(f"{d.name} and {known[0]} differ in {pair}: {sorted(a ^ b)[:5]}")
    everywhere = collections.Counter(text for _, rows in histories.values() for _, _, text in rows)
    place = {text: seq for _, rows in histories.values() for seq, _, text in rows}
    sent = {f"{d.name}#{n}" for d in devices for n in d.queued | set(d.acked)}
    for text, count in everywhere.items():
        if count != 1:
            problems.append(f"{text} is there {count} times")
        if text not in sent:
            problems.append(f"{text} was never sent")
    for d in devices:
        for number, seq in d.acked.items():
            if place.get(f"{d.name}#{number}") != seq:
                problems.append(f"{d.name}#{number} was acknowledged at {seq} and stands at {place.get(f'{d.name}#{number}')}")
        for number in d.queued - set(d.acked) - set(d.failed):
            problems.append(f"{d.name}#{number} was queued and is neither acknowledged nor failed")
        last = {}
        for number in sorted(d.acked):
            peer = conversations_of(d.user)[number % 2]
            if last.get(peer, 0) >= d.acked[number]:
                problems.append(f"{d.name}#{number} stands before an earlier message of the same device")
            last[peer] = d.acked[number]
        if d.outbox != 0 and not d.failed:
            problems.append(f"{d.name}: {d.outbox} messages still wait")
    return problems, sum(len(rows) for _, rows in histories.values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    dice = random.Random(options.seed)
    root = pathlib.Path(tempfile.mkdtemp(prefix="chatsdk-kill-"))

    port = free_port()
    command = [options.server, "--port", str(port), "--data-dir", str(root)]
    url, ca_file = f"http://127.0.0.1:{port}", None
    if options.tls:
        make_certificates(root)
        command += ["--tls-cert", f"{root}/cert.pem", "--tls-key", f"{root}/key.pem"]
        url, ca_file = f"https://127.0.0.1:{port}", f"{root}/ca.pem"
    server = Process(command, root / "server.log")
    devices = [Device(options.device, url, ca_file, root, user, n) for user in USERS for n in (1, 2)]
    each = -(-options.messages // len(devices))
    started = time.monotonic()
    problems = ["not finished"]
    kills = collections.Counter()
    stored = 0
    try:
        server.start()
        for d in devices:
            d.start()
            d.tell(f"send {each}")
        # Kills are spread over the progress of the run, so that each meets work under way.
        moments = sorted(dice.randrange(5, 90) * options.messages // 100 for _ in range(options.kills))
        while moments and time.monotonic() - started < DEADLINE_S:
            done = sum(len(d.acked) for d in devices)
            if done < moments[0]:
                select_pause(0.005)
                continue
            moments.pop(0)
            victim = dice.choice([server, server, *devices])
            victim.kill()
            kills["server" if victim is server else "device"] += 1
            select_pause(dice.random() * 0.3)
            victim.start()
            if victim is not server:
                victim.tell(f"send {each}")
        if moments:
            problems = [f"{len(moments)} kills were not reached in {DEADLINE_S} s"]
        else:
            while time.monotonic() - started < DEADLINE_S:
                if all(len(d.acked) + len(d.failed) >= each for d in devices):
                    for d in devices:
                        d.take_dump()
                    problems, stored = check(devices, lambda user: [u for u in USERS if u != user])
                    if not problems:
                        break
                select_pause(0.2)
    finally:
        for process in [*devices, server]:
            if process.child and process.child.poll() is None:
                process.kill()
    acked, failed = sum(len(d.acked) for d in devices), sum(len(d.failed) for d in devices)
    print(f"{len(devices)} devices, {acked} acknowledged, {failed} failed, {stored} stored, "
          f"{kills['server']} kills of the server, {kills['device']} of devices, "
          f"{time.monotonic() - started:.1f} s{', TLS' if options.tls else ''}")
    if problems:
        for d in devices:
            missing = sorted(set(range(each)) - set(d.acked) - set(d.failed))
            if missing:
                print(f"{d.name}: no answer for {len(missing)}, first {missing[:5]}")
        print(f"kept for a look: {root}")
        for problem in problems[:20]:
            print("PROBLEM:", problem)
        return 1
    shutil.rmtree(root)
    return 0


def select_pause(seconds):
    """Waits without holding a lock; pacing only, no result depends on it."""
    threading.Event().wait(seconds)


if __name__ == "__main__":
    sys.exit(main())
