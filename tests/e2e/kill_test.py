#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real processes on loopback, killed at random: one server, three users with two devices each, messages between all of
them, SIGKILL to the server and to devices. At the end nothing is lost, nothing is twice and everyone agrees.

With --encrypted the conversations are end-to-end encrypted, each user has one device, and the server's store holds no
text.

Usage: kill_test.py --server BIN --device BIN [--messages 2000] [--kills 20] [--seed N] [--tls] [--encrypted]

What is checked, from what the processes printed before they were killed and from their stores at the end:
  every device's history of each of its user's conversations is the same, dense, in one order;
  every acknowledged message is in it exactly once, at the sequence that was acknowledged, and never waits again;
  every queued message is in the device's store after each kill, and in the end acknowledged: none has cause to fail;
  each device's messages are in the order it sent them; nothing else appears;
  a read mark that was set is still set after a kill; in the end every message is delivered and read, at the same two
  times on every device of both users, and nobody has anything unread;
  the server's store is whole and holds the same messages."""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

Row = collections.namedtuple("Row", "peer seq sender text state delivered_ms read_ms")
READ = 5  # CHATSDK_MESSAGE_READ
RECEIVED = 0  # CHATSDK_MESSAGE_RECEIVED

USERS = ["ann", "ben", "cat"]
DEADLINE_S = 240
SETTLE_S = 30  # after the last acknowledgement everybody agrees within this


class Process:
    """A child whose lines are read as they come; what it said before it was killed is heard to the last whole line."""

    def __init__(self, command, log):
        self.command, self.log = command, log
        self.child = self.reader = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                          text=True, bufsize=1)
        self.reader = threading.Thread(target=self.read, args=(self.child.stdout,), daemon=True)
        self.reader.start()

    def read(self, stream):
        for line in stream:
            if line.endswith("\n"):
                self.heard(line.rstrip("\n"))

    def heard(self, line):
        pass

    def tell(self, line):
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def ended(self):
        """True when it is no longer there, though nobody killed it."""
        return self.child.poll() is not None

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.reader.join()


class Device(Process):
    def __init__(self, binary, url, ca_file, root, user, number, peers=None):
        self.user, self.name = user, f"{user}{number}"
        self.peers = peers or [u for u in USERS if u != user]
        super().__init__([binary, url, str(root / f"{self.name}.db"), user, self.name, ca_file or "-", *self.peers],
                         root / f"{self.name}.log")
        self.queued, self.failed, self.acked = set(), {}, {}
        self.before, self.met = set(), set()  # what it had told before this start, and what it told since
        self.problems = []
        self.dump, self.conversations, self.outbox = [], {}, None
        self.marks = collections.Counter()  # peer: the highest sequence that it told to be marked read
        self.ready, self.dumped = threading.Event(), threading.Event()

    def start(self):
        self.before, self.met = set(self.queued), set()
        self.conversations = {}
        super().start()

    def heard(self, line):
        words = line.split(" ")
        if words[0] in ("queued", "acked", "failed"):
            self.heard_state(words[0], int(words[1]), words[2:])
        elif words[0] == "ready":
            self.ready.set()
            for number in sorted(self.before - self.met):
                self.problems.append(f"{self.name}#{number} was queued and is not in the store after a kill")
            self.problems += self.fallen_marks()
        elif words[0] == "message":
            self.dump.append(Row(words[1], int(words[2]), words[3], words[4], *map(int, words[5:8])))
        elif words[0] == "read":
            self.marks[words[1]] = max(self.marks[words[1]], int(words[2]))
        elif words[0] == "conversation":
            self.conversations[words[1]] = (int(words[2]), int(words[3]))
        elif words[0] == "outbox":
            self.outbox = int(words[1])
        elif words[0] == "dumped":
            self.dumped.set()
        else:
            self.problems.append(f"{self.name}: {line}")

    def fallen_marks(self):
        found = {peer: self.conversations.get(peer, (0, 0))[0] for peer in self.marks}
        return [f"{self.name}: {peer} was marked read up to {self.marks[peer]} and is up to {seq}"
                for peer, seq in found.items() if seq < self.marks[peer]]

    def heard_state(self, state, number, rest):
        self.met.add(number)
        self.queued.add(number)
        if state == "acked":
            seq = int(rest[0])
            if self.acked.setdefault(number, seq) != seq:
                self.problems.append(f"{self.name}#{number} acknowledged at {self.acked[number]} and at {seq}")
        elif state == "failed":
            self.failed[number] = rest[0]
            self.problems.append(f"{self.name}#{number} failed without cause: {rest[0]}")
        elif number in self.acked:
            self.problems.append(f"{self.name}#{number} was acknowledged and waits again")

    def take_dump(self):
        self.dump, self.conversations, self.outbox = [], {}, None
        self.dumped.clear()
        self.tell("read")
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


def check(devices):
    """The problems of what the devices hold, and how many messages there are."""
    problems = []
    histories = {}
    for d in devices:
        by_peer = collections.defaultdict(list)
        for row in d.dump:
            by_peer[row.peer].append((row.seq, row.sender, row.text, row.delivered_ms, row.read_ms))
        problems += check_receipts(d)
        if d.outbox != 0:
            problems.append(f"{d.name}: {d.outbox} messages still wait")
        for peer in sorted({*d.peers, *by_peer}):
            pair, rows = tuple(sorted((d.user, peer))), by_peer[peer]
            # The first item is the roster; nothing was voided, so messages follow without a hole.
            if [row[0] for row in rows] != list(range(2, len(rows) + 2)):
                problems.append(f"{d.name}: {pair} is not dense and in order: {holes([row[0] for row in rows])}")
            known = histories.setdefault(pair, (d.name, rows))
            if known[1] != rows:
                problems.append(f"{d.name} and {known[0]} differ in {pair}: {sorted(set(known[1]) ^ set(rows))[:5]}")
    places = collections.defaultdict(list)
    for pair, (_, rows) in histories.items():
        for seq, sender, text, _, _ in rows:
            places[text].append((pair, seq, sender))
    for d in devices:
        last = collections.Counter()
        for number in sorted(d.queued):
            text, peer = f"{d.name}#{number}", d.peers[number % 2]
            if number not in d.acked:
                problems.append(f"{text} was queued and is not acknowledged")
                continue
            expected = [(tuple(sorted((d.user, peer))), d.acked[number], d.user)]
            if places.get(text) != expected:
                problems.append(f"{text} must stand at {expected} and stands at {places.get(text)}")
            if d.acked[number] <= last[peer]:
                problems.append(f"{text} stands before an earlier message of the same device")
            last[peer] = d.acked[number]
    sent = {f"{d.name}#{number}" for d in devices for number in d.queued}
    problems += [f"{text} was never sent" for text in places if text not in sent]
    return problems, sum(len(found) for found in places.values())


def check_receipts(device):
    """Everybody has marked all as read: every message says so, with its times, and the marks are where they were set."""
    problems = []
    for row in device.dump:
        expected = READ if row.sender == device.user else RECEIVED
        if row.state != expected or not 0 < row.delivered_ms <= row.read_ms:
            problems.append(f"{device.name}: {row.text} has state {row.state}, delivered at {row.delivered_ms}, "
                            f"read at {row.read_ms}")
    problems += [f"{device.name}: {unread} unread of {peer}"
                 for peer, (_, unread) in device.conversations.items() if unread != 0]
    return problems + device.fallen_marks()


def holes(seqs):
    wrong = [(a, b) for a, b in zip([1, *seqs], seqs) if b != a + 1]
    return ", ".join(f"{b} after {a}" for a, b in wrong[:5])


def check_server_store(root, stored):
    """Opens the server's file as it was left by the last kill."""
    with contextlib.closing(sqlite3.connect(root / "chatsdk-server.db")) as db:
        problems = [f"server's store: {row[0]}" for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        texts = db.execute("SELECT count(*), count(DISTINCT client_message_id) FROM item WHERE kind = 1").fetchone()
        if texts != (stored, stored):
            problems.append(f"the server's store holds {texts[0]} messages, {texts[1]} of them different; "
                            f"the devices hold {stored}")
    return problems


def check_who_can_read(root, devices, encrypted):
    """Texts, as a content holds them, are in the server's files where they are plain, and nowhere where they are not."""
    written = b"\0".join(path.read_bytes() for path in root.glob("chatsdk-server.db*"))
    problems = []
    for text in (f"{d.name}#{number}".encode() for d in devices for number in d.acked):
        if (b"\n" + bytes([len(text)]) + text in written) == encrypted:
            problems.append(f"the server's store {'holds' if encrypted else 'does not hold'} {text.decode()}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--encrypted", action="store_true")
    options = parser.parse_args()
    if options.encrypted:
        os.environ["CHATSDK_DEVICE_ENCRYPTED"] = "1"
    print(f"seed {options.seed}", flush=True)
    dice = random.Random(options.seed)
    root = pathlib.Path(tempfile.mkdtemp(prefix="chatsdk-kill-"))

    port = free_port()
    # Cheap password hashes: this test is about messages.
    command = [options.server, "--port", str(port), "--data-dir", str(root), "--argon-operations", "1",
               "--argon-memory-mib", "8"]
    url, ca_file = f"http://127.0.0.1:{port}", None
    if options.tls:
        make_certificates(root)
        command += ["--tls-cert", f"{root}/cert.pem", "--tls-key", f"{root}/key.pem"]
        url, ca_file = f"https://127.0.0.1:{port}", f"{root}/ca.pem"
    server = Process(command, root / "server.log")
    devices = [Device(options.device, url, ca_file, root, user, n) for user in USERS
               for n in ((1,) if options.encrypted else (1, 2))]
    each = -(-options.messages // len(devices))
    run = Run(server, devices, each)
    try:
        server.start()
        for d in devices:
            d.start()
        # Nobody writes to somebody who is not there yet.
        for d in devices:
            d.ready.wait(60)
        for d in devices:
            d.tell(f"send {each}")
        run.kill_at_random(dice, options.messages, options.kills)
        run.settle()
    finally:
        for process in [*devices, server]:
            if process.child and process.child.poll() is None:
                process.kill()
    problems = run.problems + [p for d in devices for p in d.problems]
    if not problems:
        problems = check_server_store(root, run.stored)
        problems += check_who_can_read(root, devices, options.encrypted)
    print(f"{len(devices)} devices, {sum(len(d.acked) for d in devices)} acknowledged, "
          f"{sum(len(d.failed) for d in devices)} failed, {run.stored} stored, {run.kills['server']} kills of the server, "
          f"{run.kills['device']} of devices, {run.seconds():.1f} s{', TLS' if options.tls else ''}"
          f"{', encrypted' if options.encrypted else ''}")
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


class Run:
    """The processes over time: who is killed when, and when all is settled."""

    def __init__(self, server, devices, each):
        self.server, self.devices, self.each = server, devices, each
        self.started = time.monotonic()
        self.kills = collections.Counter()
        self.problems, self.stored = [], 0

    def seconds(self):
        return time.monotonic() - self.started

    def broken(self):
        """True when going on shows nothing more."""
        for process in [self.server, *self.devices]:
            if process.ended():
                self.problems.append(f"{process.command[0]} ended by itself, see {process.log}")
        return bool(self.problems) or any(d.problems for d in self.devices)

    def kill_at_random(self, dice, messages, kills):
        # Kills are spread over the progress of the run, so that each meets work under way.
        moments = sorted(dice.randrange(5, 90) * messages // 100 for _ in range(kills))
        while moments and not self.broken():
            if self.seconds() > DEADLINE_S:
                self.problems.append(f"{len(moments)} kills were not reached in {DEADLINE_S} s")
            elif sum(len(d.acked) for d in self.devices) < moments[0]:
                pause(0.002)
            else:
                moments.pop(0)
                self.kill_one(dice)

    def kill_one(self, dice):
        victim = dice.choice([*[self.server] * 4, *self.devices])
        victim.kill()
        self.kills["server" if victim is self.server else "device"] += 1
        pause(dice.random() * 0.3)
        victim.start()
        if victim is not self.server:
            victim.tell(f"send {self.each}")

    def settle(self):
        answered = None
        while not self.broken():
            if all(len(d.acked) + len(d.failed) >= self.each for d in self.devices):
                answered = answered or self.seconds()
                problems = [f"{d.name} does not answer" for d in self.devices if not d.take_dump()]
                if not problems:
                    problems, self.stored = check(self.devices)
                if not problems:
                    return
                if self.seconds() > answered + SETTLE_S:
                    self.problems += problems
            elif self.seconds() > DEADLINE_S:
                self.problems.append(f"not all is answered after {DEADLINE_S} s")
            pause(0.2)


def pause(seconds):
    """Pacing only; no result depends on it."""
    threading.Event().wait(seconds)


if __name__ == "__main__":
    sys.exit(main())
