#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the consumer through one way of importing and runs it. Usage: run.sh WAY SOURCE_DIR BUILD_DIR
# WAY: find_package, pkg_config, add_subdirectory, static
set -eu
way=$1 source=$2 build=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
here=$source/tests/consumers
case $way in
  find_package)
    cmake --install "$build" --prefix "$dir/prefix" >/dev/null
    cmake -G Ninja -S "$here/find_package" -B "$dir/build" -DCMAKE_PREFIX_PATH="$dir/prefix" >/dev/null
    cmake --build "$dir/build" >/dev/null
    "$dir/build/consumer"
    ;;
  pkg_config)
    cmake --install "$build" --prefix "$dir/prefix" >/dev/null
    # The installed file names the prefix of the configuration; a moved prefix is given on the command line.
    pc=$(find "$dir/prefix" -name chatsdk.pc)
    export PKG_CONFIG_PATH="${pc%/*}"
    # shellcheck disable=SC2046 # flags are meant to be split
    cc "$here/consumer.c" -o "$dir/consumer" $(pkg-config --define-variable=prefix="$dir/prefix" --cflags --libs chatsdk)
    LD_LIBRARY_PATH="${pc%/pkgconfig/*}" "$dir/consumer"
    ;;
  add_subdirectory)
    cmake -G Ninja -S "$here/add_subdirectory" -B "$dir/build" -DCHATSDK_SOURCE="$source" >/dev/null
    cmake --build "$dir/build" --target consumer >"$dir/log" || { cat "$dir/log"; exit 1; }
    "$dir/build/consumer"
    ;;
  static)
    cmake -G Ninja -S "$here/add_subdirectory" -B "$dir/build" -DCHATSDK_SOURCE="$source" -DBUILD_SHARED_LIBS=OFF >/dev/null
    cmake --build "$dir/build" --target consumer >"$dir/log" || { cat "$dir/log"; exit 1; }
    "$dir/build/consumer"
    # Nothing global but our own names: what an app links beside it cannot clash.
    foreign=$(nm -g --defined-only "$dir/build/chatsdk/src/capi/libchatsdk.a" | awk 'NF == 3 && $3 !~ /^chatsdk_/' | head)
    [ -z "$foreign" ] || { printf 'global symbols without our prefix:\n%s\n' "$foreign"; exit 1; }
    ;;
  *) exit 2 ;;
esac
