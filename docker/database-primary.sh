#!/bin/sh
# Run once by the image's own entrypoint, while the first server has no database yet.
set -eu

psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=ON_ERROR_STOP=1 \
    --set=password="$DATABASE_PASSWORD" --set=admin="$POSTGRES_PASSWORD" <<'SQL'
-- Not a superuser: the service makes its own tables, and needs no more.
CREATE ROLE onelook LOGIN PASSWORD :'password';
CREATE DATABASE onelook OWNER onelook;
CREATE ROLE standby LOGIN REPLICATION PASSWORD :'admin';
-- From the next start on a commit waits until the standby has it: an acknowledged change outlives either server.
ALTER SYSTEM SET synchronous_standby_names = 'database2';
-- The standby may be away for that long without having to be copied anew.
ALTER SYSTEM SET wal_keep_size = '1GB';
SQL

echo "host replication standby all scram-sha-256" >> "$PGDATA/pg_hba.conf"
