#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks against the floors of the same run and prints a table. No figure decides a test: machines differ,
ratios speak. Usage: run.py BUILD_DIR [--quick] [--no-micro | --encryption]; the last one takes only what encryption
costs.

A disk and a processor that are shared with others are fast in one second and slow in the next. So what is held against
a floor is measured in rounds, each with that floor just before it, and the round with the median ratio is the figure.

The files lie in the build directory, on the disk that the figures are about."""

import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

build = pathlib.Path(sys.argv[1]).resolve()
quick = "--quick" in sys.argv
perf = build / "tests/perf"
# Password hashes are not what is measured.
SERVER_OPTIONS = ["--argon-operations", "1", "--argon-memory-mib", "1", "--log-level", "warning",
                  "--registrations-per-address", "0"]
SECONDS = 3 if quick else 5
ROUNDS = 3 if quick else 5
DRAIN_ROUNDS = 3 if quick else 9  # each is over in a fifth of a second
MESSAGES = 10_000
CONNECTIONS = 1_000 if quick else 10_000
STARTS = 7


def run(*command):
    out = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"{command[0]} failed: {out.stderr}")
    return json.loads(out.stdout) if out.stdout.startswith("{") else {}


class Server:
    def __init__(self, root, name):
        self.dir = root / name
        self.dir.mkdir(exist_ok=True)
        with open(self.dir / "log", "w", encoding="utf-8") as log:
            self.child = subprocess.Popen(
                [build / "server-reference/chatsdk-server", "--port", "0", "--data-dir", self.dir, *SERVER_OPTIONS],
                stdout=subprocess.PIPE, stderr=log, text=True)
        self.url = re.search(r"http://[0-9.]+:\d+", self.child.stdout.readline())[0]

    def __enter__(self):
        return self

    def load(self, mode, *options):
        return run(perf / "chatsdk_load", mode, self.url, self.child.pid, *options)

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


def floor(root, *names):
    return run(perf / "chatsdk_floors", root, *names)


def median_round(rounds, ratio):
    """The round whose ratio is the median; the ratios of all rounds stand in it."""
    rounds = sorted(rounds, key=ratio)
    return {**rounds[len(rounds) // 2], "ratios": [ratio(r) for r in rounds]}


def throughput_ratio(figures):
    return figures["accepted_per_s"] / figures["sqlite_batch64_per_s"]


def latency_goal(figures):
    return 2 * figures["fdatasync_p99_ms"] + 5


def latency_ratio(figures):
    return figures["send_to_ack_p99_ms"] / latency_goal(figures)


def drain_ratio(figures):
    return figures["drain_per_s"] / figures["device_batch64_per_s"]


def drain_round(root, server, number):
    user, store = f"drain-receiver-{number}", root / f"drain-{number}.db"
    run(perf / "chatsdk_drain", "register", server.url, store, user)
    server.load("fill", "--to", user, "--messages", MESSAGES)
    return {**floor(root, "device"), **run(perf / "chatsdk_drain", "receive", server.url, store, MESSAGES)}


def received_ratio(batch):
    return lambda figures: figures[f"e2ee_batch{batch}_per_s"] / figures[f"received_batch{batch}_per_s"]


def encryption(root):
    """What src/e2ee costs beside bare libsodium, and encrypted messages with their commit beside SQLite."""
    path = root / "e2ee.json"
    run(perf / "chatsdk_e2ee_cost", "--benchmark_enable_random_interleaving=true", f"--benchmark_repetitions={ROUNDS}",
        f"--benchmark_min_time={0.05 if quick else 0.2}", f"--figures={path}")
    figures = json.loads(path.read_text(encoding="utf-8"))
    rounds = [{**floor(root, "received"), **run(perf / "chatsdk_e2ee_receive", root)} for _ in range(ROUNDS)]
    for batch in (1, 64):
        figures[f"received{batch}"] = median_round(rounds, received_ratio(batch))
    return figures


def measure(root):
    figures = {"floors": floor(root, "echo", "relay")}
    with Server(root, "throughput") as server:
        rounds = [{**floor(root, "server"), **server.load("throughput", "--seconds", SECONDS)} for _ in range(ROUNDS)]
        figures["throughput"] = median_round(rounds, throughput_ratio)
        rounds = [{**floor(root, "sync"), **server.load("latency", "--seconds", SECONDS)} for _ in range(ROUNDS)]
        figures["latency"] = median_round(rounds, latency_ratio)
    with Server(root, "drain") as server:
        figures["drain"] = median_round([drain_round(root, server, i) for i in range(DRAIN_ROUNDS)], drain_ratio)
    figures["encryption"] = encryption(root)
    sessions = root / "sessions"
    with Server(root, "idle") as server:
        server.load("register", "--connections", CONNECTIONS, "--sessions", sessions)
    with Server(root, "idle") as server:
        figures["idle"] = server.load("idle", "--sessions", sessions)
    library = next(build.glob("src/capi/libchatsdk.so.*.*.*"))
    stripped = root / "libchatsdk.so"
    subprocess.run(["strip", "-o", stripped, library], check=True)
    figures["library_bytes"] = stripped.stat().st_size
    sections = subprocess.run(["size", "-A", stripped], check=True, capture_output=True, text=True).stdout
    figures["code_bytes"] = sum(int(size) for size in re.findall(r"^\.(?:text|plt|plt\.sec|rodata)\s+(\d+)", sections, re.M))
    run(perf / "chatsdk_startup", stripped, root / "start.db")
    # Taken in turns, so that both see the same machine.
    starts, empties = [], []
    for _ in range(STARTS):
        starts.append(run(perf / "chatsdk_startup", stripped, root / "start.db"))
        empties.append(run(perf / "chatsdk_startup", perf / "libchatsdk_empty.so"))
    for name, runs in (("start", starts), ("empty", empties)):
        figures[name] = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        figures[name]["total_ms"] = min(r["total_ms"] for r in runs)  # the start that other processes disturbed least
    return figures


def steal_share(before, after):
    """Of the processors' time, what the host gave to others meanwhile."""
    used = [b - a for a, b in zip(before, after)]
    return used[7] / max(1, sum(used[:8]))


def processor_times():
    return [int(word) for word in pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]]


class Table:
    def __init__(self):
        self.rows = []

    def row(self, what, figure, goal="", met=None):
        self.rows.append((what, figure, goal, "" if met is None else "met" if met else "MISSED"))

    def ratio_row(self, ratios, goal=None):
        middle = statistics.median(ratios)
        what = "  as a share of SQLite alone"
        figure = f"{middle:.2f} (rounds from {min(ratios):.2f} to {max(ratios):.2f})"
        if goal is None:
            self.row(what, figure)
        else:
            self.row(what, figure, f"at least {goal:.2f}", middle >= goal)

    def print(self, steal):
        model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        print(f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} x "
              f"{model[1] if model else os.uname().machine}, load {os.getloadavg()[0]:.1f}, {steal:.1%} of the processors' "
              f"time taken by the host")
        width = [max(len(r[i]) for r in self.rows) for i in range(4)]
        for cells in self.rows:
            print("  ".join(cell.ljust(width[i]) for i, cell in enumerate(cells)).rstrip())


OPERATIONS = {
    "set_up_begin": "set-up with ML-KEM-768, initiator",
    "set_up_accept": "set-up with ML-KEM-768, responder",
    "one_way_encrypt": "one way, encrypt, with the state's rows",
    "one_way_decrypt": "one way, decrypt, with the state's rows",
    "ping_pong": "ping-pong, a message and its answer",
    "group_encrypt": "group, encrypt",
    "group_decrypt": "group, decrypt"}


def encryption_rows(encryption, table):
    row = table.row
    for name, share in encryption["shares"].items():
        ours, bare, least = share["ours_ns"], share["floor_ns"], share["least"]
        row(OPERATIONS[name], f"{bare / ours:.2f} of libsodium alone: {ours / 1000:,.1f} and {bare / 1000:,.1f} us",
            f"at least {least:.2f}", bare / ours >= least)
    backlog, least = encryption["backlog_per_s"], encryption["backlog_least"]
    row("501 messages, the last one first", f"{backlog:,.0f}/s", f"at least {least:,.0f}", backlog >= least)
    over = encryption["overhead_bytes"]
    row("bytes over a padded envelope", f"{over}", "at most 124", over <= 124)
    session, skipped = (encryption["received1"][f"e2ee_{what}_bytes"] for what in ("session", "skipped"))
    row("a session in the store, and a skipped key", f"{session} and {skipped} bytes", "at most 400 and 80",
        session <= 400 and skipped <= 80)
    for batch in (1, 64):
        received = encryption[f"received{batch}"]
        row(f"floor: SQLite, those rows, batches of {batch}", f"{received[f'received_batch{batch}_per_s']:,.0f}/s")
        row(f"received and committed, encrypted, batches of {batch}", f"{received[f'e2ee_batch{batch}_per_s']:,.0f}/s")
        table.ratio_row(received["ratios"])


def report(figures, steal):
    floors, throughput, latency = figures["floors"], figures["throughput"], figures["latency"]
    drain, idle, start, empty = figures["drain"], figures["idle"], figures["start"], figures["empty"]
    table = Table()
    row, ratio_row = table.row, table.ratio_row
    ack_goal = latency_goal(latency)
    own_ms = start["total_ms"] - empty["total_ms"]
    own_cpu_ms = start["cpu_ms"] - empty["cpu_ms"]
    own_mb = (start["resident_kib"] - empty["resident_kib"]) * 1024 / 1e6
    size_kb, code_kb = figures["library_bytes"] / 1000, figures["code_bytes"] / 1000
    row("floor: raw TCP echo, 256 B", f"{floors['tcp_echo_per_s']:,.0f}/s")
    row("floor: bare libwebsockets relay, 256 B",
        f"{floors['lws_relay_per_s']:,.0f}/s, {floors['lws_relay_cpu_s_per_100k']:.2f} CPU s for 100,000")
    row("floor: SQLite, the server's rows, batches of 64", f"{throughput['sqlite_batch64_per_s']:,.0f}/s")
    row("durable one-to-one, 100 pairs, 16 in flight, 256 B",
        f"{throughput['accepted_per_s']:,.0f}/s accepted, {throughput['delivered_per_s']:,.0f}/s delivered")
    ratio_row(throughput["ratios"], 0.6)
    row("  server CPU for 100,000 messages", f"{throughput['server_cpu_s_per_100k']:.2f} s", "at most 8",
        throughput["server_cpu_s_per_100k"] <= 8)
    row("floor: fdatasync", f"{latency['fdatasync_per_s']:,.0f}/s, p99 {latency['fdatasync_p99_ms']:.2f} ms")
    row("send to ack at 500/s",
        f"p50 {latency['send_to_ack_p50_ms']:.2f}, p99 {latency['send_to_ack_p99_ms']:.2f} ms",
        f"p99 at most {ack_goal:.1f} ms", latency["send_to_ack_p99_ms"] <= ack_goal)
    row("send to delivery at 500/s",
        f"p50 {latency['send_to_delivery_p50_ms']:.2f}, p99 {latency['send_to_delivery_p99_ms']:.2f} ms")
    row(f"memory of {idle['connections']:,} idle connections", f"{idle['server_kib_each']:.2f} KiB each",
        "at most 6", idle["server_kib_each"] <= 6)
    row("floor: SQLite, the device's rows, batches of 64", f"{drain['device_batch64_per_s']:,.0f}/s")
    row(f"drain of {MESSAGES:,} by a device, encrypted store", f"{drain['drain_per_s']:,.0f}/s")
    ratio_row(drain["ratios"], 0.5)
    encryption_rows(figures["encryption"], table)
    row("libchatsdk.so, stripped", f"{size_kb:,.0f} KB")
    row("  of it code and constants", f"{code_kb:,.0f} KB", "at most 600", code_kb <= 600)
    row("dlopen + create + open store + first page",
        f"{start['total_ms']:.1f} ms, {start['resident_kib'] * 1024 / 1e6:.1f} MB")
    row("  an empty library with the same dependencies",
        f"{empty['total_ms']:.1f} ms, {empty['resident_kib'] * 1024 / 1e6:.1f} MB")
    row("  own cost", f"{own_ms:.1f} ms ({own_cpu_ms:.1f} ms of CPU), {own_mb:.1f} MB", "at most 5 ms, 3 MB", own_ms <= 5 and own_mb <= 3)
    table.print(steal)


root = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=build))
try:
    times = processor_times()
    if "--encryption" in sys.argv:
        table = Table()
        encryption_rows(encryption(root), table)
        table.print(steal_share(times, processor_times()))
    else:
        measured = measure(root)
        report(measured, steal_share(times, processor_times()))
    if not {"--no-micro", "--encryption"} & set(sys.argv):
        print(flush=True)
        subprocess.run([perf / "chatsdk_micro", f"--benchmark_min_time={0.1 if quick else 0.5}"], cwd=root, check=True)
finally:
    shutil.rmtree(root, ignore_errors=True)
