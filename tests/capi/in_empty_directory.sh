#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a program in a fresh directory that is removed afterwards. Usage: in_empty_directory.sh PROGRAM ARGUMENTS…
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
"$@"
