#!/bin/sh
# Puts a back-up (backup.sh) in the place of the store's data, where the store does not run:
#   sh restore.sh < store.rdb
# in a container that has the volume at /data (docs/deploy.md shows how). What was there stays, as appendonlydir.before.
# With the append-only file on, Redis and Valkey read nothing but that: so the back-up becomes its base.
set -eu
umask 077
cd "${DATA:-/data}"

new=appendonlydir.new
rm -rf "$new"
mkdir "$new"
cat >"$new/appendonly.aof.1.base.rdb"
case $(head -c 6 "$new/appendonly.aof.1.base.rdb") in
REDIS* | VALKEY) ;;
*)
    rm -rf "$new"
    echo "restore: standard input is not a back-up; nothing was changed" >&2
    exit 2
    ;;
esac
echo "file appendonly.aof.1.base.rdb seq 1 type b" >"$new/appendonly.aof.manifest"

rm -rf appendonlydir.before
if [ -d appendonlydir ]; then mv appendonlydir appendonlydir.before; fi
mv "$new" appendonlydir
echo "restored; start the store now"
