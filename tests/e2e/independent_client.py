#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of chatsdk.v1 written from docs/protocol.md alone. It imports nothing of chatsdk and nothing beyond the
standard library: sockets, HTTP, JSON, and a protobuf codec of forty lines.

Usage: independent_client.py SERVER_URL. Registers two users, lets one send to the other, receives, acknowledges, and checks
the receipt, a repeated send, a conflict, an unknown frame and an unknown field. Prints what it saw; exit 0 when all held."""

import base64
import hashlib
import http.client
import json
import os
import socket
import struct
import sys
import urllib.parse

# ---- Protobuf: varint, fixed64 and length-delimited fields --------------------------------------------------------


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    if isinstance(value, bool) or isinstance(value, int):
        return varint(number << 3) + varint(int(value))
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def decode(data):
    """field number -> list of values, each an int or bytes"""
    fields, at = {}, 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = read_varint()
        kind = key & 7
        if kind == 0:
            value = read_varint()
        elif kind == 1:
            value = struct.unpack_from("<Q", data, at)[0]
            at += 8
        elif kind == 2:
            size = read_varint()
            value = data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {kind}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def first(fields, number, default=None):
    return fields[number][0] if number in fields else default


# ---- REST and WebSocket --------------------------------------------------------------------------------------------


def rest(base, method, path, body=None, token=None):
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=30)
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = "Bearer " + token
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


class WebSocket:
    """RFC 6455, client role, binary messages."""

    def __init__(self, url, token):
        parts = urllib.parse.urlparse(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Protocol: chatsdk.v1\r\nAuthorization: Bearer {token}\r\n\r\n"
            ).encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.receive_some()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().lower().split("\r\n")
        assert " 101 " in lines[0] + " ", head
        assert "sec-websocket-protocol: chatsdk.v1" in lines, head
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        assert accept.encode() in head, head

    def receive_some(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        return data

    def take(self, count):
        while len(self.buffer) < count:
            self.buffer += self.receive_some()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, payload, opcode=2):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        self.socket.sendall(head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload)))

    def receive(self):
        """The next message; control frames are handled here."""
        message = b""
        while True:
            one, two = self.take(2)
            size = two & 127
            if size == 126:
                size = struct.unpack(">H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.take(8))[0]
            payload, opcode = self.take(size), one & 15
            if opcode == 8:
                raise EOFError(f"closed with {struct.unpack('>H', payload[:2])[0] if payload else 'no code'}")
            if opcode == 9:
                self.send(payload, 10)
            elif opcode in (0, 2):
                message += payload
                if one & 0x80:
                    return message


# ---- chatsdk.v1 ----------------------------------------------------------------------------------------------------

HELLO, AUTHENTICATE, SEND, VOID, ACK, READ, PULL, PING, PONG = range(1, 10)
WELCOME, AUTHENTICATED, SEND_RESULT, VOID_RESULT, ITEMS, CAUGHT_UP, MARKS, FAILURE, DRAIN, SPING, SPONG = range(1, 12)
MESSAGE = 1


class Device:
    def __init__(self, base, user):
        self.user = user
        status, session = rest(
            base, "POST", "/v1/accounts",
            {"userId": user, "password": "correct horse battery", "deviceName": "independent",
             "installationId": base64.b64encode(os.urandom(16)).decode()},
        )
        assert status == 201, (status, session)
        self.token = session["accessToken"]
        assert isinstance(session["deviceId"], str), "64-bit ids are strings in JSON"
        status, connect = rest(base, "GET", "/v1/connect", token=self.token)
        assert status == 200 and "chatsdk.v1" in connect["subprotocols"], connect
        gateway = sorted(connect["gateways"], key=lambda g: g.get("priority", 0))[0]["url"]
        self.gateway = gateway
        self.socket = WebSocket(gateway, self.token)
        self.frames = []
        self.cursors = {}
        self.messages = []
        self.advances = []
        # An unknown field in the first frame must be tolerated.
        self.socket.send(field(HELLO, field(1, 1) + field(2, 1) + field(4, "independent/1") + field(999, "later")))
        self.welcome = self.wait(WELCOME)
        assert first(self.welcome, 1) == 1 and first(self.welcome, 3).decode() == user, self.welcome
        self.wait(CAUGHT_UP, lambda f: first(f, 1, 0) == 0)

    def wait(self, kind, accept=lambda f: True):
        """Handles frames until one of this kind fits, and gives it."""
        while True:
            frame = decode(self.socket.receive())
            number = next(iter(frame))
            body = decode(frame[number][0])
            self.handle(number, body)
            if number == FAILURE:
                raise AssertionError(f"failure: {body}")
            if number == kind and accept(body):
                return body

    def handle(self, number, body):
        if number == ITEMS:
            stream, after = first(body, 1), first(body, 3, 0)
            cursor = self.cursors.get(stream, 0)
            assert after <= cursor, f"gap: after {after}, cursor {cursor}"
            for raw in body.get(4, []):
                item = decode(raw)
                seq = first(item, 1)
                if seq <= cursor:
                    continue
                assert seq == cursor + 1 or first(item, 2) == 3, f"not dense: {seq} after {cursor}"
                cursor = seq
                if first(item, 2) == MESSAGE:
                    text = first(decode(first(decode(first(item, 8)), 1)), 1).decode()
                    self.messages.append((stream, seq, first(item, 4).decode(), text))
            self.cursors[stream] = cursor
            self.socket.send(field(ACK, field(1, fixed64(1, stream) + field(2, cursor) + field(3, 0))))
        elif number == MARKS:
            for raw in body.get(3, []):
                advance = decode(raw)
                self.advances.append((first(advance, 1).decode(), first(advance, 2), first(advance, 3)))
        elif number == SPING:
            self.socket.send(field(PONG, field(1, first(body, 1, 0))))

    def send(self, target, text, number, message_id):
        content = field(1, field(1, text))
        where = field(2, target) if isinstance(target, str) else fixed64(1, target)
        self.socket.send(field(SEND, where + field(3, message_id) + field(4, number) + field(5, content)))
        return self.wait(SEND_RESULT, lambda f: first(f, 1) == message_id)


def main():
    base = urllib.parse.urlparse(sys.argv[1])
    suffix = os.urandom(4).hex()
    alice, bob = Device(base, f"ada-{suffix}"), Device(base, f"brian-{suffix}")

    message_id = os.urandom(16)
    accepted = decode(first(alice.send(bob.user, "From a stranger's client ✓", 1, message_id), 2))
    conversation, seq = first(accepted, 1), first(accepted, 3)
    print(f"accepted: conversation {conversation:x}, seq {seq}")

    again = decode(first(alice.send(bob.user, "From a stranger's client ✓", 1, message_id), 2))
    assert again == accepted, "a repeat gets the first answer"
    refused = decode(first(alice.send(bob.user, "other content", 2, message_id), 3))
    assert first(refused, 2) == b"conflict", refused
    print("repeat: the first answer; other content under the same id: conflict")

    alice.socket.send(field(4000, b"a frame of a later version"))

    while not bob.messages:
        bob.wait(ITEMS)
    assert bob.messages == [(conversation, seq, alice.user, "From a stranger's client ✓")], bob.messages
    print(f"received: {bob.messages[0]}")
    bob.socket.send(field(READ, fixed64(1, conversation) + field(2, seq)))

    while (bob.user, 2, seq) not in alice.advances:
        alice.wait(MARKS)
    assert (bob.user, 1, seq) in alice.advances, alice.advances
    print("receipts: delivered and read")

    back = decode(first(bob.send(conversation, "Answer, by conversation_id", 1, os.urandom(16)), 2))
    assert first(back, 3) == seq + 1, back
    while len(alice.messages) < 2:
        alice.wait(ITEMS)
    assert alice.messages[1][3] == "Answer, by conversation_id", alice.messages
    print("answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
