#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes a client's server away and brings it back. Usage: network_changed.py SERVER PROGRAM"""

import os
import socket
import subprocess
import sys
import tempfile

server, program = sys.argv[1:3]
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]


def start():
    child = subprocess.Popen([server, "--port", str(port), "--data-dir", "server"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    assert "http://" in child.stdout.readline()
    return child


with tempfile.TemporaryDirectory() as root:
    os.chdir(root)
    os.mkdir("server")
    running = start()
    try:
        client = subprocess.Popen([program, f"http://127.0.0.1:{port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        assert client.stdout.readline() == "online\n"
        running.kill()
        running.wait()
        assert client.stdout.readline() == "waiting\n"
        running = start()
        client.communicate("go\n", timeout=60)
        sys.exit(client.returncode)
    finally:
        running.kill()
        running.wait()
