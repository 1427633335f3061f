#!/bin/sh
# Starts the second server: the first time as a copy of the first, which it follows from then on.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # From whom, and under which name, is in the environment: PGHOST, PGUSER, PGPASSWORD, PGAPPNAME.
    pg_basebackup --write-recovery-conf --checkpoint=fast --pgdata="$PGDATA"
    # What the first was told of its standby is not for this one: promoted, it would wait for itself.
    sed -i '/^synchronous_standby_names/d' "$PGDATA/postgresql.auto.conf"
fi
# The server is told everything by its files, and must not take the other's name for its own.
unset PGHOST PGUSER PGPASSWORD PGAPPNAME
exec postgres "$@"
