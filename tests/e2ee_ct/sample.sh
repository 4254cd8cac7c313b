#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sample.sh SOURCE_DIR COMPILER LEVEL: run.sh at this level of optimisation, or at all with CHATSDK_LONG=1.
set -eu
[ "${CHATSDK_LONG:-}" = 1 ] || export CHATSDK_CT_LEVELS="$3"
exec sh "$1/tests/e2ee_ct/run.sh" "$1" "$2"
