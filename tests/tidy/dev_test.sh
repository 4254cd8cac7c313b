#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs ./dev where there is no Debian: it says which packages' equivalents are needed, and goes on when there is a cmake.
# Usage: dev_test.sh SOURCE_DIR
set -eu
source=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin" "$dir/cmake"
cp "$source/dev" "$dir"
cp "$source/cmake/packages.debian.txt" "$dir/cmake"
for tool in sh sed dirname; do ln -s "$(command -v $tool)" "$dir/bin/$tool"; done

# shellcheck disable=SC2046 # one line of words
needed=$(echo $(sed -n 's/^build //p' "$source/cmake/packages.debian.txt") $(sed -n 's/^test //p' "$source/cmake/packages.debian.txt"))

# run WANTED_STATUS: in said stands what it said.
run() {
  status=0
  said=$(PATH=$dir/bin sh "$dir/dev" build dev 2>&1) || status=$?
  [ "$status" = "$1" ] || { printf 'exit %s, wanted %s:\n%s\n' "$status" "$1" "$said"; exit 1; }
  times=$(printf '%s\n' "$said" | grep -c -x -F "$needed") || true
  [ "$times" = 1 ] || { printf 'what is needed is said %s times:\n%s\n' "$times" "$said"; exit 1; }
}

said=$(PATH=$dir/bin sh "$dir/dev" test --quik 2>&1) && { printf 'an argument that is none was taken\n'; exit 1; }
case $said in *"unknown argument '--quik'"*) ;; *) printf 'no word of the argument:\n%s\n' "$said"; exit 1 ;; esac

run 1
case $said in *"there is no cmake"*) ;; *) printf 'no word of cmake:\n%s\n' "$said"; exit 1 ;; esac
printf '#!/bin/sh\nprintf "cmake was called\\n"\n' >"$dir/bin/cmake"
chmod +x "$dir/bin/cmake"
run 0
case $said in *"cmake was called"*) ;; *) printf 'nothing was built:\n%s\n' "$said"; exit 1 ;; esac
