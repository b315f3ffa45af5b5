#!/bin/sh
# Writes a back-up of the running store to standard output; the store goes on meanwhile:
#   sh backup.sh > store.rdb
# in the store's container (docs/deploy.md shows how). By a file, because what `--rdb -` writes ends in a mark that
# no server can read.
set -eu
umask 077
file=${DATA:-/data}/back-up.rdb
trap 'rm -f "$file"' EXIT
"$(command -v redis-cli || command -v valkey-cli)" --rdb "$file" >&2
cat "$file"
