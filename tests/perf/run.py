#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks against the floors of the same run and prints a table. No figure decides a test: machines differ,
ratios speak. Usage: run.py BUILD_DIR [--quick]"""

import json
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
root = pathlib.Path(tempfile.mkdtemp(prefix="chatsdk-bench-"))
rows = []


def run(*command):
    out = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"{command[0]} failed: {out.stderr}")
    return json.loads(out.stdout) if out.stdout.startswith("{") else {}


def row(what, figure, goal="", met=None):
    rows.append((what, figure, goal, "" if met is None else "met" if met else "MISSED"))


class Server:
    def __init__(self, name):
        self.dir = root / name
        self.dir.mkdir()
        self.child = subprocess.Popen(
            [build / "server-reference/chatsdk-server", "--port", "0", "--data-dir", self.dir, *SERVER_OPTIONS],
            stdout=subprocess.PIPE, stderr=open(self.dir / "log", "w"), text=True)
        self.url = re.search(r"http://[0-9.]+:\d+", self.child.stdout.readline())[0]

    def load(self, mode, *options):
        return run(perf / "chatsdk_load", mode, self.url, self.child.pid, *options)

    def stop(self):
        self.child.terminate()
        self.child.wait()


SERVER_OPTIONS = ["--argon-operations", "1", "--argon-memory-mib", "8"]  # password hashes are not what is measured
seconds = 4 if quick else 10
messages = 10_000
try:
    floors = run(perf / "chatsdk_floors", root)
    server = Server("throughput")
    throughput = server.load("throughput", "--seconds", seconds)
    latency = server.load("latency", "--seconds", seconds)
    server.stop()
    server = Server("drain")
    run(perf / "chatsdk_drain", "register", server.url, root / "drain.db", "drain-receiver")
    server.load("fill", "--to", "drain-receiver", "--messages", messages)
    drain = run(perf / "chatsdk_drain", "receive", server.url, root / "drain.db", messages)
    server.stop()
    server = Server("idle")
    idle = server.load("idle", "--connections", 1000 if quick else 10_000)
    server.stop()
    library = next(build.glob("src/capi/libchatsdk.so.*.*.*"))
    subprocess.run(["strip", "-o", root / "stripped.so", library], check=True)
    run(perf / "chatsdk_startup", library, root / "start.db")
    starts = [run(perf / "chatsdk_startup", library, root / "start.db") for _ in range(7)]
    empties = [run(perf / "chatsdk_startup", perf / "libchatsdk_empty.so") for _ in range(7)]
finally:
    shutil.rmtree(root / "throughput", ignore_errors=True)

median = lambda runs, key: statistics.median(r[key] for r in runs)
accepted = throughput["accepted_per_s"]
ratio = accepted / floors["sqlite_batch64_per_s"]
ack_goal = 2 * floors["fdatasync_p99_ms"] + 5
drain_ratio = drain["drain_per_s"] / floors["device_batch64_per_s"]
own_ms = median(starts, "total_ms") - median(empties, "total_ms")
own_mib = (median(starts, "resident_kib") - median(empties, "resident_kib")) / 1024
size_kb = (root / "stripped.so").stat().st_size / 1000
row("floor: raw TCP echo", f"{floors['tcp_echo_per_s']:,.0f}/s")
row("floor: fdatasync", f"{floors['fdatasync_per_s']:,.0f}/s, p99 {floors['fdatasync_p99_ms']:.2f} ms")
row("floor: SQLite, the server's rows, batches of 64", f"{floors['sqlite_batch64_per_s']:,.0f}/s")
row("floor: SQLite, the device's rows, batches of 64", f"{floors['device_batch64_per_s']:,.0f}/s")
row("durable one-to-one, 100 pairs, 16 in flight, 256 B", f"{accepted:,.0f}/s accepted, {throughput['delivered_per_s']:,.0f}/s delivered")
row("  as a share of SQLite alone", f"{ratio:.2f}", "at least 0.60", ratio >= 0.6)
row("  server CPU for 100,000 messages", f"{throughput['server_cpu_s_per_100k']:.2f} s", "at most 8",
    throughput["server_cpu_s_per_100k"] <= 8)
row("send to ack at 500/s", f"p50 {latency['send_to_ack_p50_ms']:.2f}, p99 {latency['send_to_ack_p99_ms']:.2f} ms",
    f"p99 at most {ack_goal:.1f}", latency["send_to_ack_p99_ms"] <= ack_goal)
row("send to delivery at 500/s", f"p50 {latency['send_to_delivery_p50_ms']:.2f}, p99 {latency['send_to_delivery_p99_ms']:.2f} ms")
row(f"idle connections: {idle['connections']:,}", f"{idle['server_kib_each']:.2f} KiB each", "at most 6", idle["server_kib_each"] <= 6)
row(f"drain of {messages:,} by a device", f"{drain['drain_per_s']:,.0f}/s")
row("  as a share of SQLite alone", f"{drain_ratio:.2f}", "at least 0.50", drain_ratio >= 0.5)
row("libchatsdk.so, stripped", f"{size_kb:,.0f} KB", "at most 600", size_kb <= 600)
row("dlopen + create + open store + first page", f"{median(starts, 'total_ms'):.1f} ms, {median(starts, 'resident_kib') / 1024:.1f} MiB")
row("  own cost above an empty library with the same dependencies", f"{own_ms:.1f} ms, {own_mib:.1f} MiB",
    "at most 5 ms, 3 MiB", own_ms <= 5 and own_mib <= 3)
width = [max(len(r[i]) for r in rows) for i in range(4)]
for r in rows:
    print("  ".join(cell.ljust(width[i]) for i, cell in enumerate(r)).rstrip())
shutil.rmtree(root, ignore_errors=True)
