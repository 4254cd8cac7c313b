#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh SOURCE_DIR [COMPILER...]: builds our ML-KEM with each compiler at each level of optimisation and runs it under
# valgrind with the secrets marked as undefined: a branch or an address that depends on one is an error. Looks besides
# for divisions in the object code, whose time depends on what is divided. Exit 1 when anything is found.
# CHATSDK_CT_LEVELS in the environment: these levels alone, and no whole-program optimisation.
set -eu

root=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- g++ clang++
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT PIPE TERM
sources="e2ee/keccak e2ee/mlkem768 e2ee/mlkem_poly base/result"
failed=0

fail() {
  echo "FAILED: $*"
  failed=1
}

# Compiles one file: compile OBJECT SOURCE, with $compiler and $flags.
compile() {
  # shellcheck disable=SC2086 # flags are words
  "$compiler" -std=c++20 $flags -DCHATSDK_CONSTANT_TIME_CHECK=1 -D_GLIBCXX_ASSERTIONS -I"$root/src" -c "$2" -o "$1"
}

memcheck() {
  valgrind --quiet --error-exitcode=99 "$work/secrets" "$@"
}

check() {
  what="$compiler $flags"
  rm -f "$work"/*.o
  for name in $sources; do compile "$work/${name##*/}.o" "$root/src/$name.cpp"; done
  compile "$work/secrets.o" "$root/tests/e2ee_ct/secrets.cpp"
  # shellcheck disable=SC2086
  "$compiler" $flags "$work"/*.o -lsodium -o "$work/secrets"

  # An object for -flto holds no instructions; there the program is looked at.
  case $flags in
    *-flto*) looked_at=$work/secrets ;;
    *) looked_at="$work/keccak.o $work/mlkem768.o $work/mlkem_poly.o" ;;
  esac
  # shellcheck disable=SC2086 # names of files
  objdump --disassemble --no-show-raw-insn $looked_at >"$work/code"
  grep -Eqw 'p?[ius]?mul[a-z]*' "$work/code" || fail "$what: no arithmetic was looked at"
  ! grep -Ew '(i?div|[us]div)[bwlq]?' "$work/code" || fail "$what: divisions"

  memcheck >"$work/out" 2>&1 || {
    cat "$work/out"
    fail "$what: secrets are seen"
  }
  for leak in branch index; do
    ! memcheck "$leak" >"$work/out" 2>&1 || fail "$what: a leak by $leak is not found"
  done
  echo "$what: looked at"
}

for compiler in "$@"; do
  for level in ${CHATSDK_CT_LEVELS:--O0 -O1 -O2 -O3 -Os}; do
    flags="$level -g -gdwarf-4 -ftrivial-auto-var-init=zero"
    case $compiler in *clang*) flags="$level -g -gdwarf-4" ;; esac  # its version 14 knows that only behind another flag
    check
  done
done
case " $* ${CHATSDK_CT_LEVELS:+sample}" in
  *" sample") ;;
  *" g++ "*)
    compiler=g++
    flags="-O2 -flto=auto -g -gdwarf-4"  # as the shared library of a release
    check
    ;;
esac
exit $failed
