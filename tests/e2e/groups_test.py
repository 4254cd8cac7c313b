#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Groups against the real server process, over REST and WebSocket connections, by a client that shares no code with it.

Usage: groups_test.py --server BIN [--changes 200] [--kills 8] [--seed N]

First every endpoint of groups, as docs/protocol-rest.md lists them: what is changed, what the members' devices hear of it,
what who was removed does not, and what is refused. Then eight admins change a group at once while the server is killed with
SIGKILL again and again; each change is asked for under its Operation-Id until there is an answer. In the end each was
done once: the answers name different items, which are all that the conversation has, and a repeat gets the same answer."""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True  # nothing is left beside the sources
from independent_client import (CAUGHT_UP, HELLO, ITEMS, SEND, SEND_RESULT, WELCOME, Device, WebSocket, decode, field,
                                first, rest)

DEADLINE_S = 200
MESSAGE, ROSTER, SKIP, CONVERSATION_ADDED, CONVERSATION_LEFT = 1, 2, 3, 4, 9
USED = set()  # method and path of each request that was answered with 200, ids in braces


def hex_id():
    return os.urandom(16).hex()


def base64_of(hexadecimal):
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def note_use(method, path):
    path = path.split("?")[0]
    path = re.sub(r"^(/v1/groups/)[^/]+", r"\1{group_id}", path)
    path = re.sub(r"/(members|requests)/[^/]+", r"/\1/{user_id}", path)
    USED.add((method, re.sub(r"/invitations/[^/]+", "/invitations/{token}", path)))


def call(base, token, method, path, body=None, operation=None):
    """The status and what was answered."""
    headers = {"Accept": "application/json", "Authorization": "Bearer " + token, "Operation-Id": operation or hex_id()}
    if body is not None:
        headers["Content-Type"] = "application/json"
    with contextlib.closing(http.client.HTTPConnection(base.hostname, base.port, timeout=30)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            note_use(method, path)
        else:
            assert answer.getheader("Content-Type").startswith("application/problem+json"), answer.getheaders()
        return answer.status, json.loads(text)


class Member(Device):
    """A device that keeps every item, and asks for changes."""

    def __init__(self, base, user):
        self.base, self.items = base, {}
        super().__init__(base, user)

    def handle(self, number, body):
        super().handle(number, body)
        if number == ITEMS:
            for raw in body.get(4, []):
                item = decode(raw)
                self.items.setdefault(first(body, 1), {})[first(item, 1)] = item

    def does(self, method, path, body=None, operation=None):
        status, answer = call(self.base, self.token, method, path, body, operation)
        assert status == 200, (self.user, method, path, status, answer)
        return answer

    def refused(self, method, path, body=None):
        status, answer = call(self.base, self.token, method, path, body)
        assert status == answer["status"] and status >= 400, (self.user, method, path, status, answer)
        return f"{status} {answer['code']}"

    def hears(self, accept):
        """Waits for the item that is meant."""
        while True:
            for items in list(self.items.values()):
                for seq in sorted(items):
                    if accept(items[seq]):
                        return items[seq]
            self.wait(ITEMS)

    def hears_item(self, conversation, seq):
        while seq not in self.items.get(conversation, {}):
            self.wait(ITEMS)
        return self.items[conversation][seq]

    def says(self, target, text, number):
        content = field(1, field(1, text))
        message_id = os.urandom(16)
        self.socket.send(field(SEND, target + field(3, message_id) + field(4, number) + field(5, content)))
        return self.wait(SEND_RESULT, lambda f: first(f, 1) == message_id)

    def begins_anew(self):
        """Another device of the user, which knows nothing: whatever the server has for them comes to it."""
        self.items, self.messages, self.cursors = {}, [], {}
        status, session = rest(self.base, "POST", "/v1/sessions",
                               {"userId": self.user, "password": "correct horse battery", "deviceName": "another",
                                "installationId": base64_of(hex_id())})
        assert status == 200, (status, session)
        self.token = session["accessToken"]
        self.socket = WebSocket(self.gateway, self.token)
        self.socket.send(field(HELLO, field(1, 1) + field(2, 1) + field(4, "independent/1")))
        self.wait(WELCOME)
        self.wait(CAUGHT_UP, lambda f: first(f, 1, 0) == 0)


def joined(item, user):
    roster = decode(first(item, 9, b""))
    return any(first(change, 1) == user.encode() and first(change, 2, 0) for change in map(decode, roster.get(1, [])))


def try_every_endpoint(base):
    suffix = os.urandom(3).hex()
    ann, bob, cid, dan = (Member(base, f"{name}-{suffix}") for name in ("ann", "bob", "cid", "dan"))
    group_id, token = hex_id(), hex_id()
    group = "/v1/groups/" + group_id

    made = ann.does("POST", "/v1/groups", {"groupId": base64_of(group_id), "name": "Climbing",
                                           "userIds": [bob.user, cid.user]})
    conversation = int(made["conversationId"])
    assert made["seq"] == "1", made
    for member in (ann, bob, cid):
        added = member.hears(lambda item: first(item, 2) == CONVERSATION_ADDED)
        told = decode(first(added, 10))
        assert (first(told, 1), first(told, 2), first(told, 5)) == (conversation, 2, bytes.fromhex(group_id)), told
        assert joined(member.hears_item(conversation, 1), bob.user)
    print("made: everybody hears of it")

    accepted = decode(first(bob.says(field(15, bytes.fromhex(group_id)), "by the group's id", 1), 2))
    assert (first(accepted, 1), first(accepted, 3)) == (conversation, 2), accepted
    for member in (ann, bob, cid):
        member.hears_item(conversation, 2)
        assert member.messages[-1] == (conversation, 2, bob.user, "by the group's id"), member.messages
    print("written to: everybody hears that")

    assert bob.refused("PATCH", group, {"name": "Bouldering"}) == "403 forbidden"
    assert dan.refused("GET", group) == "404 not_found"
    assert dan.refused("POST", group + "/members", {"userIds": [cid.user]}) == "404 not_found"
    assert ann.refused("POST", "/v1/groups", {"groupId": base64_of(group_id)}) == "409 already_exists"
    assert ann.refused("POST", "/v1/groups", {"groupId": base64_of(hex_id()), "encrypted": True}) == "400 unsupported"
    changed = ann.does("PATCH", group, {"name": "Bouldering", "permissions": {"info": "GROUP_ROLE_MEMBER"}})
    roster = decode(first(bob.hears_item(conversation, int(changed["seq"])), 9))
    assert first(decode(first(roster, 7)), 2) == b"Bouldering", roster
    bob.does("PATCH", group, {"description": "Thursdays"})
    info = cid.does("GET", group)
    assert (info["group"]["name"], info["group"]["description"]) == ("Bouldering", "Thursdays"), info
    assert (info["members"], info["role"], info["ownerUserId"]) == (3, "GROUP_ROLE_MEMBER", ann.user), info
    print("changed: by whom the permissions let")

    ann.does("POST", group + "/invitations", {"token": base64_of(token), "uses": 3, "approval": True})
    listed = ann.does("GET", group + "/invitations")["invitations"]
    assert len(listed) == 1 and "token" not in listed[0] and listed[0]["usesLeft"] == 3, listed
    assert dan.does("GET", "/v1/invitations/" + token)["name"] == "Bouldering"
    assert dan.does("POST", "/v1/invitations/" + token)["requested"]
    wakes = ann.hears(lambda item: first(item, 2) == ROSTER and first(decode(first(item, 9)), 9, 0))
    assert dan.user.encode() not in first(wakes, 9), "members who admit nobody learn no name"
    assert [r["userId"] for r in ann.does("GET", group + "/requests")["requests"]] == [dan.user]
    admitted = ann.does("PUT", f"{group}/requests/{dan.user}", {"accept": True})
    assert joined(dan.hears_item(conversation, int(admitted["seq"])), dan.user)
    assert first(dan.items[conversation][int(admitted["seq"]) - 1], 2) == SKIP, "nothing of before"
    ann.does("DELETE", f"{group}/invitations/{token}")
    assert dan.refused("GET", "/v1/invitations/" + token) == "404 not_found"
    print("invited: asked, admitted, revoked")

    page = ann.does("GET", group + "/members?max=2")
    everybody = sorted(member.user for member in (ann, bob, cid, dan))
    assert [m["userId"] for m in page["members"]] == everybody[:2] and page["more"], page
    last = ann.does("GET", f"{group}/members?max=2&after={page['members'][1]['userId']}")
    assert len(last["members"]) == 2 and not last["more"], last
    ann.does("PUT", f"{group}/members/{bob.user}/role", {"role": "GROUP_ROLE_ADMIN"})
    removed = bob.does("DELETE", f"{group}/members/{cid.user}")
    left = decode(first(cid.hears(lambda item: first(item, 2) == CONVERSATION_LEFT), 15))
    assert (first(left, 2), first(left, 3), first(left, 4).decode()) == (2, int(removed["seq"]), bob.user), left
    secret = decode(first(ann.says(field(15, bytes.fromhex(group_id)), "not for cid", 1), 2))
    bob.hears_item(conversation, first(secret, 3))
    cid.begins_anew()
    while max(cid.items.get(conversation, {0: 0})) < int(removed["seq"]):
        cid.wait(ITEMS)
    assert max(cid.items[conversation]) == int(removed["seq"]) and "not for cid" not in str(cid.messages), cid.messages
    answer = decode(first(cid.says(field(15, bytes.fromhex(group_id)), "let me in", 1), 3))
    assert first(answer, 2) == b"forbidden", answer
    assert cid.refused("GET", group) == "403 forbidden"
    ann.does("POST", group + "/members", {"userIds": [cid.user]})
    print("removed: hears that and nothing after it, until added again")

    ann.does("PUT", group + "/owner", {"userId": bob.user})
    assert ann.refused("DELETE", group) == "403 forbidden"
    ann.does("DELETE", f"{group}/members/{ann.user}")
    over = bob.does("DELETE", group)
    for member in (bob, cid, dan):
        member.hears_item(conversation, int(over["seq"]))
        assert member.refused("GET", group) == "403 forbidden"
    print("handed over, left, deleted")


def try_invitation_without_approval(base):
    suffix = os.urandom(3).hex()
    ann, bob = (Member(base, f"{name}-{suffix}") for name in ("amy", "ben"))
    group_id, token, operation = hex_id(), hex_id(), hex_id()
    ann.does("POST", "/v1/groups", {"groupId": base64_of(group_id)})
    ann.does("POST", f"/v1/groups/{group_id}/invitations", {"token": base64_of(token), "uses": 1})
    joining = bob.does("POST", "/v1/invitations/" + token, None, operation)
    again = bob.does("POST", "/v1/invitations/" + token, None, operation)
    assert again == joining, "the first answer, though the invitation is used up"
    assert joined(ann.hears_item(int(joining["conversationId"]), int(joining["seq"])), bob.user)
    ann.does("DELETE", f"/v1/groups/{group_id}/members/{bob.user}")
    again = hex_id()
    ann.does("POST", f"/v1/groups/{group_id}/invitations", {"token": base64_of(again)})
    assert bob.refused("POST", "/v1/invitations/" + again) == "403 forbidden"
    print("joined by an invitation; who was removed does not come back by one")


def check_all_was_used(document):
    listed = set(re.findall(r"^\| `([A-Z]+) (/v1/(?:groups|invitations)[^`]*)` \|", document.read_text(), re.M))
    assert len(listed) > 10, listed
    assert USED == listed, f"never used: {sorted(listed - USED)}; not in the document: {sorted(USED - listed)}"
    print(f"every endpoint of the {len(listed)} that are documented was used")


# ---- Under SIGKILL -------------------------------------------------------------------------------------------------


class Server:
    def __init__(self, binary, root):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.command = [binary, "--port", str(self.port), "--data-dir", str(root), "--argon-operations", "1",
                        "--argon-memory-mib", "8", "--registrations-per-address", "1000"]
        self.log, self.child = root / "server.log", None
        self.base = urllib.parse.urlparse(f"http://127.0.0.1:{self.port}")

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.child.stdout.readline()
        assert str(self.port) in line, f"no URL in {line!r}, see {self.log}"

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.child.stdout.close()


def ask_until_answered(base, token, change, deadline):
    """The answer to a change, however often it takes to ask: what was done is not done again."""
    operation, path, body = change
    while time.monotonic() < deadline:
        try:
            status, answer = call(base, token, "PATCH", path, body, operation)
        except (OSError, http.client.HTTPException):
            pause(0.05)
            continue
        if status == 200:
            return answer
        assert status in (429, 503), (status, answer)
        pause(answer.get("retryAfterMs", 50) / 1000)
    raise AssertionError(f"no answer within {DEADLINE_S} s")


class Admin(threading.Thread):
    def __init__(self, base, token, name, path, count, deadline):
        super().__init__(daemon=True)
        self.base, self.token, self.deadline = base, token, deadline
        self.changes = [(hex_id(), path, {"name": f"{name} {number}"}) for number in range(count)]
        self.answers, self.failure = [], None

    def run(self):
        try:
            for change in self.changes:
                self.answers.append(ask_until_answered(self.base, self.token, change, self.deadline))
        except Exception as failure:  # told by the main thread
            self.failure = failure


def register(base, user):
    with contextlib.closing(http.client.HTTPConnection(base.hostname, base.port, timeout=30)) as connection:
        body = {"userId": user, "password": "correct horse battery", "deviceName": "x",
                "installationId": base64.b64encode(os.urandom(16)).decode()}
        connection.request("POST", "/v1/accounts", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        return json.loads(answer.read())["accessToken"]


def kill_while_admins_change(server, root, dice, changes, kills):
    base, users = server.base, [f"admin{i}" for i in range(8)]
    tokens = {user: register(base, user) for user in users}
    group_id = hex_id()
    path = "/v1/groups/" + group_id
    status, made = call(base, tokens[users[0]], "POST", "/v1/groups",
                        {"groupId": base64_of(group_id), "name": "first", "userIds": users[1:],
                         "permissions": {"info": "GROUP_ROLE_MEMBER"}})
    assert status == 200, made
    deadline = time.monotonic() + DEADLINE_S
    admins = [Admin(base, tokens[user], user, path, changes // len(users), deadline) for user in users]
    wanted = sum(len(admin.changes) for admin in admins)
    moments = sorted(dice.randrange(2, 95) * wanted // 100 for _ in range(kills))
    for admin in admins:
        admin.start()
    killed = 0
    while any(admin.is_alive() for admin in admins):
        if moments and sum(len(admin.answers) for admin in admins) >= moments[0]:
            moments.pop(0)
            server.kill()
            killed += 1
            server.start()
        pause(0.001)
    for admin in admins:
        if admin.failure:
            raise admin.failure
    server.kill()
    with contextlib.closing(sqlite3.connect(root / "chatsdk-server.db")) as db:
        items = db.execute("SELECT seq, kind FROM item WHERE stream_id = ?",
                           (signed(int(made["conversationId"])),)).fetchall()
    answered = sorted(int(answer["seq"]) for admin in admins for answer in admin.answers)
    assert answered == list(range(2, wanted + 2)), "an answer's item is missing, or another's"
    assert sorted(items) == [(seq, ROSTER) for seq in range(1, wanted + 2)], "a change was done twice, or is lost"
    server.start()  # which has forgotten who asked how often
    for admin in admins:
        for change, answer in zip(admin.changes, admin.answers):
            again = ask_until_answered(base, admin.token, change, deadline)
            assert again == answer, (answer, again)
    print(f"{wanted} changes by {len(admins)} at once over {killed} kills: each done once, each repeat answered alike")


def signed(number):
    return number - (1 << 64) if number >= 1 << 63 else number


def pause(seconds):
    """Pacing only; no result depends on it."""
    threading.Event().wait(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    root = pathlib.Path(tempfile.mkdtemp(prefix="chatsdk-groups-"))
    server = Server(options.server, root)
    try:
        server.start()
        try_every_endpoint(server.base)
        try_invitation_without_approval(server.base)
        check_all_was_used(pathlib.Path(__file__).resolve().parents[2] / "docs/protocol-rest.md")
        kill_while_admins_change(server, root, random.Random(options.seed), options.changes, options.kills)
    except BaseException:
        print(f"kept for a look: {root}")
        raise
    finally:
        if server.child and server.child.poll() is None:
            server.kill()
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
