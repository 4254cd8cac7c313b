#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command with a fresh server's URL as its last argument. Usage: with_server.sh SERVER COMMAND…
set -eu
server=$1
shift
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; } || true; rm -rf "$dir"' EXIT
mkfifo "$dir/out"
# Some of these make an account for each of many runs.
"$server" --port 0 --data-dir "$dir" --registrations-per-address 1000 >"$dir/out" 2>"$dir/log" &
pid=$!
exec 3<"$dir/out"
read -r line <&3 || { cat "$dir/log" >&2; exit 1; }
url=$(printf '%s\n' "$line" | sed -n 's/.*\(http:\/\/[0-9.]*:[0-9]*\).*/\1/p')
[ -n "$url" ] || { printf 'no URL in: %s\n' "$line" >&2; exit 1; }
"$@" "$url"
