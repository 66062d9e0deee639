#!/bin/bash
# The short form of `make torture`: histories of the queue are simulated, a daemon is killed or starved at some of its calls, and nothing that it acknowledged is lost.
root=$(cd "$(dirname "$0")/../.." && pwd)
torture=${BUILD_DIR:-$root/build}/tests/fault/torture
if [[ ! -x $torture ]]; then # a sanitizer's allocator and the shim's do not go together
  echo "ok 1 - faults # SKIP there is no $torture"; echo "1..1"; exit
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
run() { "$torture" "$@" --work "$work" | grep --line-buffered -E '^(ok|not ok|#)' || echo "not ok - torture $*"; }
{
  "${torture%torture}simulate" --seeds 1000
  run kill --every 151
  run fault --every 401
  run malloc --every 3001 --count 4 # the start of a daemon: the same calls each time
  run random --count 4
  run crowd --count 4
  run worker --count 4
  run power --count 2
} | awk '/^(not )?ok/ {n++} {print} END {print "1.." n + 0}'
