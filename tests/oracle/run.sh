#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh TEST E2EE_TRANSCRIPT [SEED [STEPS]]: one of the oracle's tests. Exit 77, with the reason, where it cannot run
# on this machine: there is no Node 18 or newer, or its packages are not there and could not be fetched.
set -eu
program=$(readlink -f "$2")
seed=${3:-1}
steps=${4:-}
cd "$(dirname "$0")"
skip() {
  echo "SKIPPED: the oracle is not compared: $*"
  exit 77
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT PIPE TERM

command -v node >/dev/null 2>&1 || skip "node is not installed"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ] || skip "node $(node --version) is older than 18"
if [ ! -d node_modules/@noble/post-quantum ]; then
  command -v npm >/dev/null 2>&1 || skip "its packages are not there, and npm is not installed"
  # Where there is no network, npm's own patience is more than a minute, four times.
  npm ci --ignore-scripts --fetch-retries=1 --fetch-retry-mintimeout=1000 >"$work/log" 2>&1 || skip "npm could not fetch its packages: $(tail -n 3 "$work/log" | tr '\n' ' ')"
fi

long=${CHATSDK_LONG:-0}
steps() { if [ -n "$steps" ]; then echo "$steps"; elif [ "$long" = 1 ]; then echo "$2"; else echo "$1"; fi; }

case $1 in
  OwnTests)
    # Those of sessions and transcripts take most of the time, and the other three tests go the same ways.
    tests="test/answers.test.js test/identity.test.js test/primitives.test.js"
    [ "$long" = 1 ] && tests=""
    # shellcheck disable=SC2086 # names of files
    node --test $tests >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    ;;
  ReplaysTheLibrary)
    "$program" generate "$seed" "$(steps 150 20000)" >"$work/transcript"
    node replay.js "$work/transcript" >/dev/null
    ;;
  IsReplayedByTheLibrary)
    node generate.js "$seed" "$(steps 150 20000)" passphrases >"$work/transcript"
    "$program" replay "$work/transcript"
    ;;
  RunsTogether)
    mkfifo "$work/to" "$work/from"
    "$program" serve "$seed" <"$work/to" >"$work/from" &
    node --max-semi-space-size=64 together.js "$seed" "$(steps 150 100000)" "$work/to" "$work/from"
    wait $!
    ;;
  *) echo "run.sh: unknown test '$1'" >&2; exit 2 ;;
esac
