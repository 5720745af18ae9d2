# Sourced by the scripts beside it, never run.
# shellcheck shell=bash

say() { printf '%s: %s\n' "${0##*/}" "$1" >&2; }

# The first argument as a message, the others as lines of their own, then the end.
die() {
  say "$1"
  shift
  (($# == 0)) || printf '%s\n' "$@" >&2
  exit 1
}

# join_with SEPARATOR WORD...
join_with() {
  local separator=$1 joined=$2
  shift 2
  local word
  for word in "$@"; do joined+="$separator$word"; done
  printf '%s' "$joined"
}

# step WHAT COMMAND...: says what happens before it takes time, and shows the output only of a command that failed.
step() {
  local what=$1 log status=0
  shift
  say "$what ..."
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  ((status == 0)) || cat "$log" >&2
  rm -f "$log"
  ((status == 0)) || die "failed ($status): $*"
}

# Two builds of one checkout at the same time would tear each other's files. The lock is on the directory itself, so
# it leaves no file behind; whoever holds it hands it on to the scripts that it calls.
lock_checkout() {
  [[ ${LONGSPLICE_LOCKED:-} != "$PWD" ]] || return 0
  exec 9<.
  flock --nonblock 9 || {
    say "waiting for another build of this checkout ..."
    flock 9
  }
  export LONGSPLICE_LOCKED=$PWD
}
