#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration: a real server and two console clients in a directory of their own. Alice and Bob talk; Bob goes
# offline; both write meanwhile; Bob comes back and everything arrives, once and in order, with its receipts.
# Usage: demo.sh BUILD_DIR
set -eu
build=$1
console=$build/examples/console/chatsdk-console
dir=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; } || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

"$build/server-reference/chatsdk-server" --port 0 --data-dir "$dir" >"$dir/server.out" 2>"$dir/server.log" &
server=$!
url=
while [ -z "$url" ]; do
  kill -0 "$server" 2>/dev/null || { cat "$dir/server.log" >&2; exit 1; }
  url=$(sed -n 's/.*\(http:\/\/[0-9.]*:[0-9]*\).*/\1/p' "$dir/server.out" | head -n 1)
  [ -n "$url" ] || read -r _ </dev/null || "$console" --version >/dev/null 2>&1 || true
done
head -n 1 "$dir/server.out"

# as NAME: runs the script on standard input as this user's device.
as() {
  "$console" --server "$url" --store "$dir/$1.db" --device-name "$1's console" --prefix "$1 | " script -
}

echo
echo "-- Alice and Bob register and talk"
as bob <<'END' &
register bob bobs-password
online
wait message alice Hi Bob, can you read this?
read alice
send alice Clearly. I am in a tunnel in a moment.
wait delivered alice
END
bob=$!
as alice <<'END'
register alice alices-password
online
send bob Hi Bob, can you read this?
wait read bob
wait message bob Clearly. I am in a tunnel in a moment.
read bob
END
wait "$bob"

echo
echo "-- Bob is offline. Alice writes: the server keeps it (one tick)"
as alice <<'END'
online
send bob You will find this when you come back.
wait sent bob
END
echo
echo "-- Bob, still offline, answers: his device keeps it"
as bob <<'END'
send alice Written in the tunnel.
history alice 1
END

echo
echo "-- Bob comes back"
as alice <<'END' &
online
wait message bob Written in the tunnel.
read bob
wait read bob
receipts bob
history bob
END
alice=$!
as bob <<'END'
online
wait message alice You will find this when you come back.
read alice
wait read alice
history alice
END
wait "$alice"
echo
echo "Both histories are the same, in the same order; every message is there once."
