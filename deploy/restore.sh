#!/bin/sh
# Puts a back-up (backup.sh) in the place of the store's data, where the store does not run:
#   sh restore.sh < store.rdb
# in a container that has the volume at /data (docs/deploy.md shows how). What was there stays, as appendonlydir.before.
# The server's own checking tool reads the back-up first: a server starts no file of another kind or of a newer version,
# and `python -m app import-data` is for those. Without that tool, as on a NAS, the file is taken as it is.
# With the append-only file on, Redis and Valkey read nothing but that: so the back-up becomes its base.
set -eu
umask 077
cd "${DATA:-/data}"

refuse() {
    rm -rf "$new"
    echo "restore: $1; nothing was changed" >&2
    exit 2
}

new=appendonlydir.new
rm -rf "$new"
mkdir "$new"
cat >"$new/appendonly.aof.1.base.rdb"
case $(head -c 6 "$new/appendonly.aof.1.base.rdb") in
REDIS* | VALKEY) ;;
*) refuse "standard input is not a back-up" ;;
esac
if check=$(command -v valkey-check-rdb || command -v redis-check-rdb); then
    said=$("$check" "$new/appendonly.aof.1.base.rdb" 2>&1) ||
        refuse "the server here cannot read this back-up ($(echo "$said" | tail -n 1))"
else
    echo "restore: not checked, for want of redis-check-rdb" >&2
fi
echo "file appendonly.aof.1.base.rdb seq 1 type b" >"$new/appendonly.aof.manifest"

rm -rf appendonlydir.before
if [ -d appendonlydir ]; then mv appendonlydir appendonlydir.before; fi
mv "$new" appendonlydir
echo "restored; start the store now"
