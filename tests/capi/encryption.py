#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs encryption_test against a server of its own, and looks then for what its users wrote in all that the server has
written: the texts of encrypted conversations are nowhere in it, the one of a plain conversation is.
Usage: encryption.py SERVER PROGRAM"""

import base64
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile

server, program = sys.argv[1:3]


def forms(word):
    """A word as it may stand in a file. base64 has it at one of three places."""
    yield word
    yield word.decode().encode("utf-16-le")
    yield word.hex().encode()
    yield word.hex().upper().encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + word)
        yield coded[4 if before else 0:len(coded) // 4 * 4 - 4]


def run(root):
    data, home = root / "server", root / "device"
    data.mkdir()
    home.mkdir()
    secret, plain = (f"{kind}-{secrets.token_hex(12)}".encode() for kind in ("secret", "plain"))
    log = open(root / "server" / "log", "wb")
    running = subprocess.Popen([server, "--port", "0", "--data-dir", str(data), "--argon-operations", "1",
                                "--argon-memory-mib", "8", "--log-level", "debug"], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline()).group(0)
        subprocess.run([program, url, secret.decode(), plain.decode()], cwd=home, check=True, timeout=240)
        # As the server has it while it runs, and as it leaves it.
        written = [path.read_bytes() for path in data.iterdir() if path.is_file()]
    finally:
        running.terminate()
        running.wait()
        log.close()
    written += [path.read_bytes() for path in data.iterdir() if path.is_file()]
    all_of_it = b"\0".join(written)
    for form in forms(secret):
        assert form not in all_of_it, f"the server holds {form!r}"
    assert plain in all_of_it, "a plain text is not where an encrypted one was looked for"
    print(f"{len(written)} files, {len(all_of_it)} B: the plain text is there, the encrypted ones are not")


with tempfile.TemporaryDirectory() as directory:
    run(pathlib.Path(directory))
