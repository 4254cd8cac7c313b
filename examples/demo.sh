#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration: a real server and two console clients in a directory of their own. Alice and Bob talk, end-to-end
# encrypted; Bob goes offline; both write meanwhile; Bob comes back and everything arrives, once and in order, with its
# receipts. In the end their safety numbers are compared, and what the server has stored is searched for their words.
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

mkfifo "$dir/start"
"$build/server-reference/chatsdk-server" --port 0 --data-dir "$dir" >"$dir/start" 2>"$dir/server.log" &
server=$!
exec 3<"$dir/start"
read -r line <&3 || { cat "$dir/server.log" >&2; exit 1; }
echo "$line"
url=$(printf '%s\n' "$line" | sed -n 's/.*\(http:\/\/[0-9.]*:[0-9]*\).*/\1/p')

# as NAME: runs the script on standard input as this user's device.
as() {
  "$console" --server "$url" --store "$dir/$1.db" --device-name "$1's console" --prefix "$1 | " script -
}

echo
echo "-- Alice and Bob register and talk, end-to-end encrypted"
as bob <<'END'
register bob bobs-password
online
wait ready
END
as bob <<'END' &
online
wait message alice Hi Bob, can you read this?
read alice
send alice Clearly. There is a tunnel ahead.
wait read alice
END
bob=$!
as alice <<'END'
register alice alices-password
online
send bob Hi Bob, can you read this?
wait read bob
wait message bob Clearly. There is a tunnel ahead.
read bob
sync
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
echo "-- Bob, still offline, writes: his device keeps it"
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
sync
END
alice=$!
as bob <<'END'
online
wait message alice You will find this when you come back.
read alice
wait read alice
sync
END
wait "$alice"

# What each has in the end, without times and ticks: sender and text, in order.
history_of() {
  "$console" --server "$url" --store "$dir/$1.db" history "$2" | sed 's/^[0-9:]*  //; s/   .*//'
}
echo
echo "-- Both histories, read from the two devices"
history_of alice bob >"$dir/alice.history"
history_of bob alice >"$dir/bob.history"
cat "$dir/alice.history"
cmp "$dir/alice.history" "$dir/bob.history"
[ "$(wc -l <"$dir/alice.history")" = 4 ]
echo
echo "The two devices agree: four messages, each once, in the same order."

# The safety number that each sees of the other: the same where nobody is in between.
safety_of() {
  echo "safety $2" | as "$1" | sed -n 's/^[a-z]* | \([0-9 ]*\)$/\1/p'
}
echo
echo "-- Who can read it"
safety=$(safety_of alice bob)
[ "$(printf %s "$safety" | tr -d ' ' | wc -c)" = 60 ] && [ "$safety" = "$(safety_of bob alice)" ]
echo "Both devices show the safety number"
printf '  %s\n' "$safety"
echo conversations | as alice
for words in "can you read this" "a tunnel ahead" "when you come back" "in the tunnel"; do
  ! grep -qaF "$words" "$dir"/chatsdk-server.db* "$dir/server.log" || { echo "the server holds: $words" >&2; exit 1; }
done
grep -qaF alices-password "$dir"/chatsdk-server.db* && exit 1
grep -qaF bob "$dir"/chatsdk-server.db*
echo "The server's database names alice and bob, and holds no word that they wrote."
