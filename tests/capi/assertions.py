#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The app's backend of a test: makes a key, tells the server of it by the environment, signs one token with it and one
with a key of its own, and runs a command with both tokens.
Usage: assertions.py WITH_SERVER SERVER COMMAND…; the command gets GOOD, FORGED and the server's URL."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def text_of(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(root, key):
    now = int(time.time())
    claims = {"iss": "https://backend.example", "aud": "chat", "sub": "backend-user", "iat": now, "exp": now + 600}
    parts = [{"alg": "EdDSA", "kid": "key-1", "typ": "JWT"}, claims]
    head = ".".join(text_of(json.dumps(part).encode()) for part in parts)
    (root / "head").write_text(head)
    return head + "." + text_of(openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", str(root / "head")))


with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    for name in ("good", "other"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(root / name))
    openssl("pkey", "-in", str(root / "good"), "-pubout", "-out", str(root / "public.pem"))
    environment = dict(os.environ, CHATSDK_APP_ISSUER="https://backend.example", CHATSDK_APP_AUDIENCE="chat",
                       CHATSDK_APP_KEY=f"key-1={root / 'public.pem'}", CHATSDK_ALLOW_PASSWORDS="true")
    good, forged = token(root, root / "good"), token(root, root / "other")
    sys.exit(subprocess.run(["sh", *sys.argv[1:], good, forged], env=environment).returncode)
