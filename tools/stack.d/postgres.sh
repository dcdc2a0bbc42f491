# shellcheck shell=bash disable=SC2154
# PostgreSQL: TCP with TLS 1.3 and SCRAM alone, no socket, nothing in clear text.

postgres_find() {
    POSTGRES_BIN=${STACK_POSTGRES_BIN:-$DEPS_PG_BIN}
    server_program PostgreSQL "$POSTGRES_BIN/postgres"
    server_program "PostgreSQL's initdb" "$POSTGRES_BIN/initdb"
}

# The cluster is made without syncing: a stack that is lost while it is made is made again.
postgres_prepare() {
    printf '%s\n' "$PASSWORD_SUPERUSER" | server_file tls/superuser
    if ! (cd "$DATA" && "${AS_SERVER[@]}" "$POSTGRES_BIN/initdb" -D "$DATA/postgres" -U postgres -N \
        --encoding=UTF8 --locale=C.UTF-8 --auth=scram-sha-256 --pwfile="$DATA/tls/superuser") \
        </dev/null >>"$LOGS/postgres.log" 2>&1; then
        printf 'initdb failed\n' >"$RUN/postgres.why"
        return 1
    fi
    rm -f "$DATA/tls/superuser"
    postgres_config | server_file postgres/postgresql.auto.conf
    printf 'hostssl all all 127.0.0.1/32 scram-sha-256\n' | server_file postgres/pg_hba.conf
}

postgres_config() {
    local tls=${DATA//\'/\'\'}/tls
    cat <<CONF
listen_addresses = '127.0.0.1'
port = ${PORT[postgres]}
unix_socket_directories = ''
ssl = on
ssl_cert_file = '$tls/postgres.pem'
ssl_key_file = '$tls/postgres.key'
ssl_ca_file = '$tls/ca.pem'
ssl_min_protocol_version = 'TLSv1.3'
password_encryption = 'scram-sha-256'
fsync = ${STACK_FSYNC:-on}
max_connections = 200
shared_buffers = 64MB
max_wal_size = 512MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_destination = 'stderr'
logging_collector = off
CONF
}

postgres_start() {
    server_spawn postgres "$POSTGRES_BIN/postgres" -D "$DATA/postgres"
    until_ready postgres 'a query as superuser' \
        psql -X -A -t -q -c 'SELECT 1' "$(postgres_url postgres "$PASSWORD_SUPERUSER" postgres)"
}

# Passwords go to psql through its input, where no other process can read them.
postgres_bootstrap() {
    if ! { printf "\\set %s '%s'\n" migrator_password "$PASSWORD_MIGRATOR" \
        app_password "$PASSWORD_APP" relay_password "$PASSWORD_RELAY" \
        platform_password "$PASSWORD_PLATFORM" &&
        cat "$tree/migrations/bootstrap/roles.sql"; } |
        PGOPTIONS='-c synchronous_commit=off' psql -X -q -v ON_ERROR_STOP=1 \
            "$(postgres_url postgres "$PASSWORD_SUPERUSER" postgres)" >>"$LOGS/postgres.log" 2>&1; then
        printf 'migrations/bootstrap/roles.sql failed\n' >"$RUN/postgres.why"
        return 1
    fi
}

postgres_url() { # USER PASSWORD DATABASE [PORT]
    printf 'postgresql://%s:%s@127.0.0.1:%s/%s?sslmode=verify-full&sslrootcert=%s\n' \
        "$1" "$2" "${4:-${PORT[postgres]}}" "$3" "$(url_path "$DIR/pki/ca.pem")"
}
