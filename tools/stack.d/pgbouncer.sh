# shellcheck shell=bash disable=SC2154
# PgBouncer in transaction mode before PostgreSQL, TLS 1.3 and SCRAM on both sides.

pgbouncer_find() {
    PGBOUNCER=${STACK_PGBOUNCER_SERVER:-$(PATH=$PATH:/usr/sbin command -v pgbouncer || true)}
    server_program PgBouncer "$PGBOUNCER"
}

pgbouncer_prepare() {
    server_folder pgbouncer
    pgbouncer_config | server_file pgbouncer/pgbouncer.ini
    printf '"%s" "%s"\n' tenant_app "$PASSWORD_APP" tenant_relay "$PASSWORD_RELAY" \
        tenant_platform "$PASSWORD_PLATFORM" pgbouncer "$PASSWORD_SUPERUSER" |
        server_file pgbouncer/users.txt
}

# server_reset_query keeps its default and so does not run in transaction mode, as in production:
# whoever leaves a setting behind must be found out by the tests, not saved by the stack.
pgbouncer_config() {
    cat <<CONF
[databases]
tenant = host=127.0.0.1 port=${PORT[postgres]} dbname=tenant

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${PORT[pgbouncer]}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $DATA/pgbouncer/users.txt
admin_users = pgbouncer
pool_mode = transaction
default_pool_size = ${STACK_POOL_SIZE:-20}
max_client_conn = 1000
query_wait_timeout = 10
server_connect_timeout = 5
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
client_tls_sslmode = require
client_tls_protocols = tlsv1.3
client_tls_key_file = $DATA/tls/pgbouncer.key
client_tls_cert_file = $DATA/tls/pgbouncer.pem
client_tls_ca_file = $DATA/tls/ca.pem
server_tls_sslmode = verify-full
server_tls_protocols = tlsv1.3
server_tls_ca_file = $DATA/tls/ca.pem
CONF
}

pgbouncer_start() {
    server_spawn pgbouncer "$PGBOUNCER" "$DATA/pgbouncer/pgbouncer.ini"
    until_ready pgbouncer 'a query as tenant_app' \
        psql -X -A -t -q -c 'SELECT 1' "$(postgres_url tenant_app "$PASSWORD_APP" tenant "${PORT[pgbouncer]}")"
}
