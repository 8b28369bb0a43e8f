#!/usr/bin/env bash
# Builds the release binary, and links it again with the functions that an idle server has called next to each other. Linux maps
# the 64 KiB around each place of a binary that is used: otherwise the server has 15 MB more of the binary in memory.
# Requires valgrind, PostgreSQL as Debian packages it, and lld, which is the linker of Rust on x86-64; elsewhere the binary
# remains as it is. Arguments are passed to cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
for variable in $(compgen -e | grep '^OUTFLOW_' || true); do unset "$variable"; done

binary="${CARGO_TARGET_DIR:-target}/release/outflow"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

build() { cargo rustc --release --bin outflow "$@"; }

# Starts the binary, and adds the names of the functions that it calls.
trace() {
  local log="$directory/log" calls="$directory/calls"
  OUTFLOW_DATA_DIR="$directory/data" OUTFLOW_LISTEN=127.0.0.1:0 OUTFLOW_ADMIN_LISTEN=127.0.0.1:0 \
    timeout 120 valgrind --quiet --tool=callgrind --demangle=no --callgrind-out-file="$calls" \
    "$binary" serve >"$log" 2>&1 &
  local process=$!
  until grep -q ' serving address=' "$log"; do
    kill -0 $process || { cat "$log" >&2; exit 1; }
    sleep 0.2
  done
  sleep 10 # until each background task has run
  kill $process
  wait $process || true
  sed -En "s/^c?fn=\([0-9]+\) ([^ ']+).*/\1/p" "$calls" >>"$directory/functions"
}

build "$@"
if [ "$(uname -m)" != x86_64 ]; then
  echo "the functions of the binary are not ordered: Rust links without lld here" >&2
  exit
fi
trace # with a new database of SQLite
trace # with an existing one
export -f trace
export binary directory
pg_virtualenv bash -euc '
  export OUTFLOW_DATABASE_URL="postgres://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/$PGDATABASE"
  trace # with a new database of PostgreSQL
  trace # with an existing one'
sort -u -o "$directory/order" "$directory/functions"
build "$@" -- -C link-arg=-Wl,--symbol-ordering-file="$directory/order" -C link-arg=-Wl,--no-warn-symbol-ordering
