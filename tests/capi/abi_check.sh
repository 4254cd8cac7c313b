#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compares the built library with the recorded ABI. Usage: abi_check.sh BUILD_DIR [--accept]
set -eu
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
baseline=$root/tests/capi/abi/libchatsdk.abi
library=$build/src/capi/libchatsdk.so
if [ "${2:-}" = --accept ]; then
  abidw --headers-dir "$root/include" --drop-private-types --no-corpus-path --no-comp-dir-path --short-locs \
    --exported-interfaces-only --out-file "$baseline" "$library"
  echo "recorded $(grep -c 'elf-symbol ' "$baseline") symbols"
  exit 0
fi
abidiff --headers-dir2 "$root/include" --drop-private-types "$baseline" "$library" && echo "the ABI is the recorded one"
