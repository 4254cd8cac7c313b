#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The console client as people use it, with a real server: scripts, their failures, and `chat` through a pipe and a
terminal. Usage: console_test.py CONSOLE SERVER_URL"""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

console, url = sys.argv[1], sys.argv[2]
PATIENCE_S = 90


def command(name, *words):
    return [console, "--server", url, "--store", f"{name}.db", "--device-name", f"{name}'s console", *words]


def script(name, text, fails=None):
    """Runs a script to its end and gives its lines; `fails` must stand in its complaint, which ends it."""
    done = subprocess.run(command(name, "script", "-"), input=text, capture_output=True, text=True, timeout=120)
    wanted = 0 if fails is None else 1
    assert done.returncode == wanted, f"{name}: exit {done.returncode}, wanted {wanted}\n{done.stdout}{done.stderr}"
    assert (fails or "") in done.stderr, f"{name}: {fails!r} is not in {done.stderr!r}"
    return done.stdout.splitlines()


def holds(lines, pattern):
    assert any(re.search(pattern, line) for line in lines), f"nothing like {pattern!r} in {lines}"


class Chat:
    """`chat` with somebody, its keyboard a pipe or a terminal."""

    def __init__(self, name, peer, terminal):
        self.seen, ours = "", None
        if terminal:
            self.keyboard, ours = pty.openpty()
        else:
            ours, self.keyboard = os.pipe()
        self.child = subprocess.Popen(command(name, "chat", peer), stdin=ours, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
        os.close(ours)

    def type(self, line):
        os.write(self.keyboard, (line + "\n").encode())

    def shows(self, pattern):
        end = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.seen):
            left = end - time.monotonic()
            ready = select.select([self.child.stdout], [], [], max(left, 0))[0]
            assert ready, f"{pattern!r} did not come in {self.seen!r}"
            more = os.read(self.child.stdout.fileno(), 65536).decode()
            assert more, f"chat ended before {pattern!r}: {self.seen!r}"
            self.seen += more

    def ends(self):
        assert self.child.wait(PATIENCE_S) == 0, self.seen
        with contextlib.suppress(OSError):
            os.close(self.keyboard)


def what_is_gone_ends_nothing():
    script("ann", "register ann anns-password\n")
    lines = script("ann", "plain nobody\nsend nobody hello\nonline\nsync\ndiscard nobody\noffline\nhistory nobody\n")
    holds(lines, r"ann: hello .*✗ failed \(not_found\)")
    holds(lines, r"^-- a message to nobody was taken back$")
    script("ann", "discard nobody\n", fails="no failed message")


def a_failed_message_is_tried_again():
    # Behind a failed message the next one waits; both go once the peer exists and the first is tried again.
    lines = script("ann", "plain ben\nsend ben one\nonline\nsync\nsend ben two\noffline\nsay history\nhistory ben\n")
    lines = lines[lines.index("history"):]
    holds(lines, r"ann: one .*✗ failed \(not_found\)")
    holds(lines, r"ann: two .*queued")
    script("ben", "register ben bens-password\n")
    lines = script("ann", "retry ben\nonline\nwait sent ben\nsync\nhistory ben\n")
    holds(lines, r"ann: two .*✓ sent")
    lines = script("ben", "online\nwait message ann two\nread ann\nsync\nhistory ann\n")
    assert [line.split("  ")[1] for line in lines if "ann: " in line][-2:] == ["ann: one", "ann: two"], lines
    lines = script("ann", "online\nwait read ben\nreceipts ben\nsay receipts seen\n")
    holds(lines, r"two   sent [0-9:]+, delivered [0-9:]+, read [0-9:]+")
    holds(lines, r"^receipts seen$")


def waiting_ends_when_a_message_has_failed():
    script("zoe", "register zoe zoes-password\n")
    for what in ("sent", "delivered", "read"):
        begun = time.monotonic()
        script("zoe", f"plain nobody-{what}\nsend nobody-{what} one\nsend nobody-{what} two\nonline\nwait {what} nobody-{what}\n",
               fails=f"a message to nobody-{what} has failed (not_found)")
        # The last message only waits behind the failed one. A wait goes on for 30 s by itself.
        assert time.monotonic() - begun < 20, what


def conversations_are_listed():
    script("ben", "online\nsend ann three\n", fails="the conversation is plain, and not by this app's wish")
    script("ben", "online\nplain ann\nsend ann three\nwait sent ann\n")
    lines = script("ann", "online\nwait message ben three\nconversations\nread ben\nsync\nconversations\n")
    holds(lines, r"^ben  \[plain\]  \(1 unread\)  three$")
    holds(lines, r"^ben  \[plain\]  \(0 unread\)  three$")


def devices_are_listed_and_removed():
    script("ann2", "login ann anns-password\n")
    lines = script("ann", "devices\n")
    holds(lines, r"^[0-9]+  ann's console  \(this one\)$")
    holds(lines, r"^[0-9]+  ann2's console$")
    number = next(line.split()[0] for line in lines if line.endswith("ann2's console"))
    script("ann", "revoke 12345\n", fails="not_found")
    script("ann", "revoke x\n", fails="'x' is no number")
    lines = script("ann", f"revoke {number}\ndevices\n")
    holds(lines, r"^revoked$")
    assert not any("ann2" in line for line in lines), lines
    script("ann2", "devices\n", fails="unauthenticated")


def logged_out_is_logged_out():
    holds(script("ann", "logout\n"), r"^logged out$")
    script("ann", "devices\n", fails="not_logged_in")
    # The history stays, and so does the owner.
    holds(script("ann", "history ben 1\n"), r"ben: three")
    script("ann", "login ben bens-password\n", fails="wrong_state")
    holds(script("ann", "login ann anns-password\nonline\n"), r"^logged in$")


def bad_lines_are_told():
    script("ann", "teleport\n", fails="line 1: unknown command 'teleport'")
    script("ann", "say a\nsend ben\n", fails="line 2: 'send' needs more words")
    script("ann", "login ann wrong-password\n", fails="unauthenticated")
    script("ann", "wait long ben\n", fails="unknown wait 'long'")
    script("ann", "history ben many\n", fails="'many' is no number")
    script("ann", "history ben 020\n", fails="'020' is no number in decimal digits, without leading zeros")
    script("ann", "history ben 0x20\n", fails="'0x20' is no number")
    script("ann", "read ben now\n", fails="'read' takes fewer words; a word with spaces stands in double quotes")
    script("ann", "devices revoke 1\n", fails="'devices' takes fewer words")
    script("ann", "logout now\n", fails="'logout' takes fewer words")
    script("ann", "history ben 0\n", fails="'history' shows at least one message")
    # Looking at somebody makes no conversation with them.
    lines = script("ann", "history stranger\nread stranger\nreceipts stranger\nconversations\n")
    assert lines[0] == "-- no messages with stranger" and not any("stranger  [" in line for line in lines), lines
    script("ann", 'read "ben\n', fails="a quote is not closed")
    script("ann", 'read "ben"s\n', fails="a space is missing behind a closing quote")
    assert script("ann", "# a remark\n\nquit\nteleport\n") == []


def line_ends_of_windows_are_taken():
    assert script("ann", "say one\r\n\r\n# a remark\r\nsay  two  words \r\nquit\r\nteleport\r\n") == ["one", "two  words "]


def every_space_of_a_text_counts():
    script("ann", "online\nsend ben two  spaces\nwait sent ben\n")
    script("ben", "online\nwait message ann two  spaces\n")
    done = subprocess.run(command("ben", "--wait-limit", "1", "script", "-"), input="wait message ann two spaces\n", text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 1 and "gave up waiting" in done.stderr, done


def names_with_spaces_are_quoted():
    name = 'iris "eye" o\\n'
    word = '"iris \\"eye\\" o\\\\n"'
    script("iris", f"register {word} a-password\nonline\nsend ben one\nwait sent ben\n")
    script("ben", f"online\nwait message {word} one\nsend {word} two\nwait sent {word}\n")
    done = subprocess.run(command("ben", "history", name), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2, done
    done = subprocess.run(command("ben", "chat", name), input="three\n/say told\n/quit\n", capture_output=True, text=True,
                          timeout=120)
    assert (done.returncode, done.stderr) == (0, "") and "told" in done.stdout, done
    script("ben", f"online\nsync\nread {word}\n")
    holds(script("ben", f"history {word}\n"), "ben: three")


def what_cannot_be_read_or_written_is_told():
    def fails(*words, **how):
        done = subprocess.run(command("ann", *words), stderr=subprocess.PIPE, text=True, timeout=120, **how)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done
        return done.stderr

    assert "cannot read .: Is a directory" in fails("script", ".", stdout=subprocess.DEVNULL)
    assert "cannot read none: No such file or directory" in fails("script", "none", stdout=subprocess.DEVNULL)
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert "No space left on device" in fails("script", "-", input="say a\nsay b\n", stdout=full)
        assert "No space left on device" in fails("history", "ben", stdout=full)
        assert "No space left on device" in fails("chat", "ben", input="one\n/quit\n", stdout=full)
        assert "No space left on device" in fails("--help", stdout=full)
    for bad in ("0x10", "010", "-1", "1.5"):
        done = subprocess.run(command("ann", f"--wait-limit={bad}", "script", "-"), input="", capture_output=True, text=True,
                              timeout=120)
        assert done.returncode != 0 and f'"{bad}" is no number of 0 to 999999999 in decimal digits' in done.stderr, done


def what_no_run_can_use_is_told_at_the_start():
    # Nothing of these waits for a command that would need it.
    for option, value, told in (
            ("--ca-file", "none.pem", "--ca-file: cannot read none.pem: No such file or directory"),
            ("--ca-file", ".", "--ca-file: cannot read .: Is a directory"),
            ("--server", "ftp://x", "url: the scheme is neither http nor https"),
            ("--server", "ws://x", "url: the scheme is neither http nor https")):
        done = subprocess.run([console, option, value, "--store", "ann.db", "script", "-"], input="say a\n", text=True,
                              capture_output=True, timeout=120)
        assert done.returncode != 0 and told in done.stderr and not done.stdout, done


def a_lost_key_is_not_replaced():
    script("kim", "quit\n")
    os.rename("kim.db.key", "kim.kept")
    script("kim", "quit\n", fails="the store kim.db is there, its key file kim.db.key is not")
    assert not os.path.exists("kim.db.key")
    os.rename("kim.kept", "kim.db.key")
    script("kim", "quit\n")


def long_histories_are_shown_whole():
    lines = script("ann", "".join(f"send ben row {i}\n" for i in range(230)) + "history ben 300\n")
    rows = [line for line in lines if "ann: row" in line]
    assert len(rows) == 230 and "row 0 " in rows[0] and "row 229 " in rows[-1], rows
    script("ann", "online\nwait sent ben\n")


def what_others_write_is_harmless():
    # Colours and titles by ESC, the one-byte CSI as U+009B, bells, carriage returns, tabs, DEL, turned direction.
    evil = "\x1b[31mred\x1b]0;title\x07 \u009b2J\u0085 \r00:00:00  ann: never said\t\x7f \u202eesrever\u2066 end \\x1b ✓ żółw 🐢"
    harmless = (r"\x1b[31mred\x1b]0;title\x07 \u009b2J\u0085 \x0d00:00:00  ann: never said\x09\x7f \u202eesrever\u2066 end"
                r" \x1b ✓ żółw 🐢")
    name, device = "mal\u202elory", "dev\u202eice \u2066"

    def shows(store, text, *options, status=0):
        done = subprocess.run([console, "--server", url, "--store", f"{store}.db", *options, "script", "-"], text=True,
                              input=text, capture_output=True, timeout=120)
        written = done.stdout + done.stderr
        assert done.returncode == status, f"{done.returncode}: {written!r}"
        raw = re.findall("[^\n -~\u00a0-\u2027\u202f-\u2065\u206a-\U0010ffff]", written)
        assert not raw, f"{raw} in {written!r}"
        return written

    written = shows("mallory", f"register {name} a-password\nonline\nsend ben {evil}\nwait sent ben\nsync\n"
                    "history ben\nreceipts ben\nconversations\ndevices\n", "--device-name", device)
    assert written.count(harmless) >= 4 and r"dev\u202eice \u2066  (this one)" in written, written
    written = shows("ben", f"online\nsync\nhistory {name}\nconversations\n")
    assert r"mal\u202elory: " + harmless in written and r"mal\u202elory  [encrypted]  (1 unread)  " + harmless in written, written
    # Complaints quote what was typed, and a script may come from anywhere.
    assert r"unknown command '\x1b[2J'" in shows("ben", "\x1b[2J\n", status=1)
    assert r"\u009b1m" in shows("ben", "say \u009b1m\n")


class Script:
    """A script that goes on: its lines are given one after the other, while others run."""

    def __init__(self, name):
        self.seen = ""
        self.child = subprocess.Popen(command(name, "script", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)

    def runs(self, lines, until):
        """Until a line like this one has come; what it holds."""
        self.child.stdin.write(lines.encode())
        self.child.stdin.flush()
        end = time.monotonic() + PATIENCE_S
        while not (found := re.search(until, self.seen, re.M)):
            ready = select.select([self.child.stdout], [], [], max(end - time.monotonic(), 0))[0]
            assert ready, f"{until!r} did not come in {self.seen!r}"
            more = os.read(self.child.stdout.fileno(), 65536).decode()
            assert more, f"it ended before {until!r}: {self.seen!r}"
            self.seen += more
        self.seen = self.seen[found.end():]
        return found.group(found.lastindex or 0)

    def ends(self):
        self.child.stdin.close()
        assert self.child.wait(PATIENCE_S) == 0, self.child.stdout.read()


def conversations_are_encrypted():
    script("lea", "register lea leas-password\nonline\nwait ready\n")
    script("max", "register max maxs-password\nonline\nwait ready\nsafety lea\n", fails="not_found")
    script("max", "online\nsend lea hello\nwait sent lea\n")
    lines = script("lea", "online\nwait message max hello\nsend max hi\nwait sent max\nconversations\nsafety max\n")
    holds(lines, r"^max  \[encrypted\]  \(1 unread\)  hi$")
    number = next(line for line in lines if re.fullmatch(r"(\d{5} ){11}\d{5}", line))
    scannable = next(line for line in lines if line.startswith("csdk-safety:"))
    another = scannable[:-2] + ("B" if scannable[-2] == "A" else "A") + scannable[-1]
    script("max", f"online\nwait message lea hi\nverify lea {another}\n", fails="not what lea should show")
    lines = script("max", f"verify lea {scannable}\nsafety lea\nunverify lea\nsafety lea\n")
    holds(lines, "^" + re.escape(number) + r"  \[verified\]$")
    holds(lines, "^" + re.escape(number) + "$")

    # A second device of lea, by text and code.
    old, new = Script("lea"), Script("lea2")
    old.runs("online\nwait ready\nsay ready\n", "^ready$")
    text = new.runs("login lea leas-password\nonline\nlink\n", r"^(csdk-link:\S+)$")
    code = old.runs(f"scan {text}\nwait code\n", r"if both show (\d{4} \d{4}), else")
    assert new.runs("wait code\n", r"if both show (\d{4} \d{4}), else") == code
    old.runs("confirm\nwait linked\n", "^-- linked$")
    new.runs("confirm\nwait linked\nwait ready\nsay ready\n", "^ready$")
    script("max", "online\nsend lea to both of you\nwait sent lea\n")
    for one in (old, new):
        one.runs("wait message max to both of you\nsay seen\n", "^seen$")
        one.ends()
    script("lea2", "scan csdk-link:AQ\n", fails="crypto")
    script("lea2", "wait linked now\n", fails="'wait' takes fewer words")


def a_password_is_no_argument():
    done = subprocess.run(command("dora", "register", "dora"), input="a pass word\nno part of it\n", capture_output=True,
                          text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "registered\n"), done
    key = os.stat("dora.db.key")
    assert (key.st_size, key.st_mode & 0o777) == (32, 0o600), key
    done = subprocess.run(command("eve", "register", "eve"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 1 and "no password was given" in done.stderr, done
    assert not os.path.exists("eve.db") and not os.path.exists("eve.db.key")
    # As an argument it still goes.
    subprocess.run(command("fay", "register", "fay", "fays-password"), check=True, capture_output=True, timeout=120)


def a_password_is_not_shown():
    def at_terminal(answers, *words):
        ours, theirs = pty.openpty()
        child = subprocess.Popen(command(*words), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = ""

        def read_until(wanted):
            nonlocal seen
            end = time.monotonic() + PATIENCE_S
            while not wanted or wanted not in seen:
                assert select.select([ours], [], [], max(end - time.monotonic(), 0))[0], f"no {wanted!r} in {seen!r}"
                try:
                    seen += os.read(ours, 65536).decode()
                except OSError:  # the other end is closed
                    return

        for question, answer in answers:
            read_until(question)
            os.write(ours, (answer + "\n").encode())
        read_until("")
        os.close(ours)
        return child.wait(PATIENCE_S), seen

    status, seen = at_terminal([("Password: ", "a pass word")], "dora2", "login", "dora")
    assert status == 0 and "logged in" in seen and "a pass word" not in seen, seen
    answers = [("Password: ", "guss-password"), ("Once more: ", "gus-password")]
    status, seen = at_terminal(answers, "gus", "register", "gus")
    assert status == 1 and "two different passwords" in seen and "gus-p" not in seen, seen
    answers = [("Password: ", "guss-password"), ("Once more: ", "guss-password")]
    status, seen = at_terminal(answers, "gus", "register", "gus")
    assert status == 0 and "registered" in seen and "guss-p" not in seen, seen


def has_terminals():
    try:
        for end in pty.openpty():
            os.close(end)
    except OSError:
        return False
    return True


def what_waits_at_the_end_of_a_chat_is_told():
    script("yan", "register yan yans-password\n")
    # Nobody serves at this address, so nothing leaves.
    for lines, told in (("", None), ("one\n/quit\n", "-- 1 message to ben queued;"), ("two\n", "-- 2 messages to ben")):
        done = subprocess.run([console, "--server", "http://127.0.0.1:9", "--store", "yan.db", "chat", "ben"], text=True,
                              input=lines, capture_output=True, timeout=120)
        assert done.returncode == 0, done
        assert ("queued; what is queued leaves when this account is online again" in done.stdout) == (told is not None), done
        assert (told or "") in done.stdout, done


def chat_goes_on(terminal):
    chat = Chat("ann", "ben", terminal)
    chat.type("Are you there?")
    chat.shows("ann: Are you there\\?.*✓ sent")
    script("ben", "online\nwait message ann Are you there?\nread ann\nsend ann Yes.\nwait sent ann\nsync\n")
    chat.shows("ben: Yes\\.")
    chat.shows("ann: Are you there\\?.*✓✓ read")
    # A mistake, and a message that is taken away while its events come, end nothing.
    chat.type("/teleport")
    chat.shows("unknown command 'teleport'")
    chat.type("/discard ben")
    chat.shows("no failed message")
    chat.type("/plain nobody-there")
    chat.type("/send nobody-there x")
    chat.shows("✗ failed \\(not_found\\)")
    chat.type("/discard nobody-there")
    chat.type("/say still here")
    chat.shows("still here")
    if terminal:
        chat.type("/quit")
    else:
        os.close(chat.keyboard)  # the end of the input ends the chat
    chat.ends()


with tempfile.TemporaryDirectory() as root:
    os.chdir(root)
    what_is_gone_ends_nothing()
    a_failed_message_is_tried_again()
    waiting_ends_when_a_message_has_failed()
    conversations_are_listed()
    devices_are_listed_and_removed()
    logged_out_is_logged_out()
    bad_lines_are_told()
    line_ends_of_windows_are_taken()
    every_space_of_a_text_counts()
    names_with_spaces_are_quoted()
    what_cannot_be_read_or_written_is_told()
    what_no_run_can_use_is_told_at_the_start()
    a_lost_key_is_not_replaced()
    long_histories_are_shown_whole()
    what_others_write_is_harmless()
    conversations_are_encrypted()
    a_password_is_no_argument()
    what_waits_at_the_end_of_a_chat_is_told()
    chat_goes_on(terminal=False)
    if has_terminals():
        a_password_is_not_shown()
        chat_goes_on(terminal=True)
    else:
        print("no pseudo-terminals here: the prompt and the chat at a terminal are left out")
print("ok")
