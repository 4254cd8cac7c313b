#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the consumers through one way of importing and runs them. Usage: run.sh WAY SOURCE_DIR BUILD_DIR
# WAY: find_package, pkg_config, add_subdirectory, static
#
# A way that builds the library anew does so in a tree of its own below BUILD_DIR, which stays: the next run builds what
# has changed since. All else is made in a directory that is removed.
set -eu
way=$1 source=$2 build=$3
tree=$build/consumers/$way
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
here=$source/tests/consumers

# Runs a command whose output is of interest only when it fails.
quietly() { "$@" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }; }

# Installs a build to one place and moves it to another: what is installed must not know where it was.
install_and_move() {
  quietly cmake --install "$1" --prefix "$dir/first"
  mv "$dir/first" "$dir/prefix"
  pc=$(find "$dir/prefix" -name chatsdk.pc)
  libraries=${pc%/pkgconfig/*}
  ! grep -r -l -e "$dir/first" -e "$1" "$dir/prefix" --include='*.pc' --include='*.cmake' || exit 1
}

by_find_package() {
  quietly cmake -G Ninja -S "$here/find_package" -B "$dir/consumer-build" -DCMAKE_PREFIX_PATH="$dir/prefix"
  quietly cmake --build "$dir/consumer-build"
  "$dir/consumer-build/consumer"
  "$dir/consumer-build/consumer_cpp"
}

# by_pkg_config [--static]
by_pkg_config() {
  export PKG_CONFIG_PATH="${pc%/*}"
  # shellcheck disable=SC2046 # flags are meant to be split
  cc "$here/consumer.c" -o "$dir/consumer" $(pkg-config "$@" --cflags --libs chatsdk)
  # shellcheck disable=SC2046
  c++ -std=c++17 "$here/consumer.cpp" -o "$dir/consumer_cpp" $(pkg-config "$@" --cflags --libs chatsdk)
  LD_LIBRARY_PATH="$libraries" "$dir/consumer"
  LD_LIBRARY_PATH="$libraries" "$dir/consumer_cpp"
}

case $way in
  find_package)
    install_and_move "$build"
    by_find_package
    ;;
  pkg_config)
    install_and_move "$build"
    by_pkg_config
    ;;
  add_subdirectory)
    # The shared library as it is shipped, optimised as a whole: what holds for the other builds must hold for it.
    quietly cmake -G Ninja -S "$here/add_subdirectory" -B "$tree" -DCHATSDK_SOURCE="$source"
    quietly cmake --build "$tree" --target consumer consumer_cpp
    "$tree/consumer"
    "$tree/consumer_cpp"
    # Built as an app builds it, the library has nothing in it that is for tests.
    library=$(find "$tree" -name 'libchatsdk.so*' -type f)
    python3 "$source/tests/capi/no_fault_points.py" "$source" "$library"
    python3 "$source/tests/capi/ledger_test.py" "$source" "$library"
    if [ "$(uname -m)" = x86_64 ]; then
      python3 "$source/tests/capi/size_test.py" "$source/tests/capi/size.ledger" Release "$library"
    fi
    server=$build/server-reference/chatsdk-server
    smoke=$source/tests/capi/ctypes_smoke.py
    [ ! -x "$server" ] || sh "$source/tests/e2e/with_server.sh" "$server" python3 "$smoke" "$library"
    ;;
  static)
    # What is looked at is what the archive holds and how it installs. A build type without flags, in large units, takes a
    # fifth of the time of a release. With CHATSDK_LONG=1, what the programs of a product build hold is looked at too.
    server=OFF console=OFF
    if [ "${CHATSDK_LONG:-0}" = 1 ]; then
      [ ! -x "$build/server-reference/chatsdk-server" ] || server=ON
      [ ! -x "$build/examples/console/chatsdk-console" ] || console=ON
    fi
    quietly cmake -G Ninja -S "$source" -B "$tree" -DCMAKE_BUILD_TYPE=Plain -DCMAKE_UNITY_BUILD=ON \
      -DBUILD_SHARED_LIBS=OFF -DCHATSDK_BUILD_TESTS=OFF -DCHATSDK_BUILD_EXAMPLES=$console -DCHATSDK_BUILD_SERVER=$server
    quietly cmake --build "$tree"
    programs=$(find "$tree" \( -name chatsdk-server -o -name chatsdk-console \) -type f)
    # shellcheck disable=SC2086 # one argument each
    python3 "$source/tests/capi/no_fault_points.py" "$source" "$tree/src/capi/libchatsdk.a" $programs
    install_and_move "$tree"
    by_find_package
    by_pkg_config --static
    # Nothing global but our own names: what an app links beside it cannot clash.
    foreign=$(nm -g --defined-only "$libraries/libchatsdk.a" | awk 'NF == 3 && $3 !~ /^chatsdk_/' | head)
    [ -z "$foreign" ] || { printf 'global symbols without our prefix:\n%s\n' "$foreign"; exit 1; }
    ;;
  *) exit 2 ;;
esac
