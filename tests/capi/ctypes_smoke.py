#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives the library from a language that reads no header: names, numbers and sizes are all it knows.
Usage: ctypes_smoke.py LIBRARY [SERVER_URL]. With a server it registers two users and lets them talk."""

import ctypes as c
import os
import sys
import tempfile

STRLEN = c.c_size_t(-1).value
OK, TIMED_OUT = 0, -206
COMPLETED, MESSAGE_ADDED = 1, 3
lib = c.CDLL(sys.argv[1])
for name in ("chatsdk_status_name", "chatsdk_version_string", "chatsdk_message_text", "chatsdk_message_sender",
             "chatsdk_error_message"):
    getattr(lib, name).restype = c.c_char_p
for name in ("chatsdk_event_request", "chatsdk_event_message"):
    getattr(lib, name).restype = c.c_uint64
for name in ("chatsdk_event_type", "chatsdk_event_request", "chatsdk_event_message", "chatsdk_event_status",
             "chatsdk_event_release", "chatsdk_client_destroy", "chatsdk_config_destroy",
             "chatsdk_message_release", "chatsdk_message_is_own"):
    getattr(lib, name).argtypes = [c.c_void_p]
lib.chatsdk_message_text.argtypes = lib.chatsdk_message_sender.argtypes = [c.c_void_p, c.c_void_p]


def check(status, wanted=OK):
    assert status == wanted, lib.chatsdk_status_name(c.c_int32(status))


class Client:
    def __init__(self, url, path):
        config, self.handle = c.c_void_p(), c.c_void_p()
        check(lib.chatsdk_config_create(c.byref(config), None))
        check(lib.chatsdk_config_set_server_url(config, url.encode(), c.c_size_t(STRLEN), None))
        check(lib.chatsdk_client_create(config, c.byref(self.handle), None))
        lib.chatsdk_config_destroy(config)
        check(lib.chatsdk_client_open_store(self.handle, path.encode(), c.c_size_t(STRLEN), bytes(32), c.c_size_t(32), None))

    def poll(self, timeout_ms):
        event, count = c.c_void_p(), c.c_size_t()
        status = lib.chatsdk_client_poll(self.handle, c.c_int64(timeout_ms), c.byref(event), c.c_size_t(1), c.byref(count),
                                         None)
        if status == TIMED_OUT:
            return None
        check(status)
        return event

    def register(self, user):
        # struct_size, reserved, then pointer and length of user_id and password: an older, smaller struct is enough.
        class Registration(c.Structure):
            _fields_ = [("struct_size", c.c_uint32), ("reserved", c.c_uint32), ("user", c.c_char_p), ("user_length", c.c_size_t),
                        ("password", c.c_char_p), ("password_length", c.c_size_t)]

        registration = Registration(c.sizeof(Registration), 0, user.encode(), len(user), b"a good password", 15)
        request = c.c_uint64()
        check(lib.chatsdk_client_register(self.handle, c.byref(registration), c.byref(request), None))
        while True:
            event = self.poll(20000)
            if lib.chatsdk_event_type(event) == COMPLETED and lib.chatsdk_event_request(event) == request.value:
                status = lib.chatsdk_event_status(event)
                lib.chatsdk_event_release(event)
                check(status)
                check(lib.chatsdk_client_start(self.handle, None))
                return
            lib.chatsdk_event_release(event)

    def send(self, peer, text):
        conversation = c.c_uint64()
        check(lib.chatsdk_client_direct_conversation(self.handle, peer.encode(), c.c_size_t(STRLEN), c.byref(conversation), None))
        check(lib.chatsdk_client_send_text(self.handle, conversation, text.encode(), c.c_size_t(STRLEN), None, None, None, None))

    def receive(self):
        while True:
            event = self.poll(20000)
            assert event is not None, "nothing came"
            kind, key = lib.chatsdk_event_type(event), lib.chatsdk_event_message(event)
            lib.chatsdk_event_release(event)
            if kind == MESSAGE_ADDED:
                message = c.c_void_p()
                check(lib.chatsdk_client_message(self.handle, c.c_uint64(key), c.byref(message), None))
                text, own = lib.chatsdk_message_text(message, None), lib.chatsdk_message_is_own(message)
                lib.chatsdk_message_release(message)
                if not own:
                    return text.decode()

    def destroy(self):
        lib.chatsdk_client_destroy(self.handle)


with tempfile.TemporaryDirectory() as root:
    assert lib.chatsdk_version_string().count(b".") == 2
    client = Client("http://127.0.0.1:1", os.path.join(root, "offline.db"))
    assert client.poll(0) is None
    client.destroy()
    if len(sys.argv) > 2:
        one, two = Client(sys.argv[2], os.path.join(root, "one.db")), Client(sys.argv[2], os.path.join(root, "two.db"))
        one.register("ctypes-one")
        two.register("ctypes-two")
        one.send("ctypes-two", "from Python, without a header")
        assert two.receive() == "from Python, without a header"
        one.destroy()
        two.destroy()
print("ok")
