#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The example of the README greets somebody, who answers. Usage: minimal_test.sh MINIMAL CONSOLE URL
set -eu
minimal=$1 console=$2 url=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
# Whoever is greeted has been online before that.
"$console" --server "$url" --store peer.db script - <<'END'
register peer peers-password
online
wait ready
END
"$console" --server "$url" --store peer.db script - <<'END' &
online
wait message example hello
send example Good day.
wait sent example
END
peer=$!
"$minimal" "$url" example examples-password peer | tee out
wait "$peer"
grep -q '^example: hello$' out
grep -q '^peer: Good day.$' out

# It says why it ends: for a peer without a device, now and in a later run, and for a taken name.
for _ in first second; do
  ! "$minimal" "$url" hasty hastys-password nobody 2>err || exit 1
  grep -q 'nobody was never online' err || { cat err; exit 1; }
done
mkdir other
cd other
! "$minimal" "$url" example another-password peer 2>err || exit 1
grep -q 'already_exists' err || { cat err; exit 1; }
