#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looks for what two clients know in every file that they write: at each step of canary_test, which stands still
meanwhile. Names, texts and the password hold a word that exists nowhere else; the keys are ours; the session's tokens are
read off the wire, by a relay between the clients and the server. Usage: canary.py SERVER PROGRAM"""

import base64
import os
import pathlib
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading

server, program = sys.argv[1:3]
STEPS = ["live", "suspended", "resumed", "closed", "set aside", "live again", "set aside", "live once more",
         "closed at last"]
TOKEN = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]{60,}")  # a JWT
# A protobuf body's access_token, when it expires, and the length of the refresh_token that follows.
SESSION = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+\x20[\x80-\xff]{4,8}[\x00-\x7f]\x2a([\x80-\xff]?)([\x00-\x7f])")


class Relay:
    """Hands bytes on between clients and the server, and keeps them."""

    def __init__(self, target):
        self.target, self.heard, self.lock = target, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near = self.listener.accept()[0]
            far = socket.create_connection(self.target)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.hand_on, args=(source, sink), daemon=True).start()

    def hand_on(self, source, sink):
        kept = bytearray()
        with self.lock:
            self.heard.append(kept)
        try:
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                end.close()

    def tokens(self):
        """Every token seen so far: of access, and of refresh."""
        with self.lock:
            heard = [bytes(kept) for kept in self.heard]
        access = {token for data in heard for token in TOKEN.findall(data)}
        return access, {token for data in heard for token in refresh_tokens(data)}


def refresh_tokens(data):
    for found in SESSION.finditer(data):
        low, high = found.groups()
        length = (low[0] & 0x7F) + (high[0] << 7) if low else high[0]
        token = data[found.end():found.end() + length]
        assert len(token) == length and re.fullmatch(rb"[\w=+/-]{40,}", token), f"no token: {token!r}"
        yield token


def forms(token):
    """A token as it stands, its signature alone, and the bytes that it spells."""
    yield token
    last = token.rsplit(b".", 1)[-1]
    yield last
    yield base64.urlsafe_b64decode(last + b"=" * (-len(last) % 4))


def look(step, root, needles):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    assert root / "one.db" in files and root / "other.db" in files, f"{step}: {files}"
    if step.startswith("live"):
        assert root / "one.db-wal" in files, f"{step}: no log, so it was not looked at: {files}"
    for path in files:
        data = path.read_bytes()
        for name, needle in needles:
            assert needle not in data, f"{step}: {path.name} holds {name}"
    return len(files), sum(path.stat().st_size for path in files)


def run(root):
    for name in ("server", "device", "device/home"):
        (root / name).mkdir()
    canary, keys = "canary-" + secrets.token_hex(8), [secrets.token_bytes(32) for _ in range(2)]
    running = subprocess.Popen([server, "--port", "0", "--data-dir", str(root / "server"), "--argon-operations", "1",
                                "--argon-memory-mib", "8"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", running.stdout.readline()).group(1))
        relay = Relay(("127.0.0.1", port))
        # Whatever it writes, it writes there.
        home = str(root / "device/home")
        environment = dict(os.environ, HOME=home, TMPDIR=home, SQLITE_TMPDIR=home, XDG_CACHE_HOME=home)
        client = subprocess.Popen([program, *[key.hex() for key in keys], canary, f"http://127.0.0.1:{relay.port}"],
                                  cwd=root / "device", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        seen = 0
        for number, step in enumerate(STEPS):
            said = client.stdout.readline().strip()
            assert said == step, f"step {number} is {said!r}, not {step!r}"
            access, refresh = relay.tokens()
            assert len(access) >= 2 and len(refresh) >= 2, f"{step}: {len(access)} and {len(refresh)} tokens were seen"
            needles = [("the word", canary.encode())]
            needles += [("a key", form) for key in keys for form in (key, key[:16], key[16:], key.hex().encode())]
            needles += [("a token", form) for token in access | refresh for form in forms(token)]
            files, size = look(step, root / "device", needles)
            seen += size
            print(f"{step}: {files} files, {size} B, {len(needles)} things to look for")
            client.stdin.write("go\n")
            client.stdin.flush()
        assert client.wait(60) == 0
        aside = sorted(path.name for path in (root / "device").glob("*.corrupt-*"))
        assert {"one.db.corrupt-1", "one.db.corrupt-2"} <= set(aside), aside
    finally:
        running.terminate()
        running.wait()
    # One would be found if it were there: the server keeps what it is to deliver.
    stored = b"".join(path.read_bytes() for path in (root / "server").iterdir() if path.is_file())
    assert canary.encode() in stored and seen > 100_000


with tempfile.TemporaryDirectory() as directory:
    run(pathlib.Path(directory))
print("ok")
