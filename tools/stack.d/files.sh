# shellcheck shell=bash disable=SC2154,SC2034
# What a stack leaves for others: certificates, seeds, keys, stack.env and config.yaml. All of it
# belongs to the caller; whatever holds a secret is readable by nobody else.

secrets_make() {
    PASSWORD_SUPERUSER=$(random_hex 16)
    PASSWORD_MIGRATOR=$(random_hex 16)
    PASSWORD_APP=$(random_hex 16)
    PASSWORD_RELAY=$(random_hex 16)
    PASSWORD_PLATFORM=$(random_hex 16)
    PASSWORD_REDIS=$(random_hex 16)
    (umask 077 && declare -p "${!PASSWORD_@}" | sed 's/^declare --/declare -g/' >"$RUN/secrets")
    printf 'dev1:%s\n' "$(random_hex 32)" | private_file tokens.keys
}

secrets_load() {
    # shellcheck source=/dev/null
    . "$RUN/secrets"
}

private_file() { # NAME
    (umask 077 && cat >"$DIR/$1.new" && mv "$DIR/$1.new" "$DIR/$1")
}

pki_make() {
    local name
    "$here/pki" ca "$DIR/pki" || return 1
    for name in "${IDENTITIES[@]}"; do
        case $name in
            tenant-service) "$here/pki" identity "$DIR/pki" "$name" --dns localhost --ip 127.0.0.1 ;;
            *) "$here/pki" identity "$DIR/pki" "$name" ;;
        esac || return 1
    done
    (umask 077 && mkdir -p "$RUN/tls")
    for name in postgres pgbouncer redis nats; do
        "$here/pki" leaf "$RUN/tls" "$name" --ca "$DIR/pki" --dns localhost --ip 127.0.0.1 || return 1
    done
    server_folder tls
    for name in postgres pgbouncer redis nats; do
        server_file "tls/$name.pem" <"$RUN/tls/$name.pem"
        server_file "tls/$name.key" <"$RUN/tls/$name.key"
    done
    server_file tls/ca.pem <"$DIR/pki/ca.pem"
    rm -rf "$RUN/tls"
}

nkeys_make() {
    (umask 077 && mkdir -p "$DIR/nats")
    /usr/bin/python3 "$here/stack.d/nats.py" keys "$DIR/nats" \
        tenant-service sync-service follower billing admin stranger
}

env_write() {
    local pool=${PORT[pgbouncer]}
    env_lines STACK_NAME "$STACK_NAME" \
        STACK_DIR "$DIR" \
        STACK_CONFIG "$DIR/config.yaml" \
        STACK_PKI "$DIR/pki" \
        STACK_DATABASE_URL "$(postgres_url tenant_app "$PASSWORD_APP" tenant "$pool")" \
        STACK_RELAY_URL "$(postgres_url tenant_relay "$PASSWORD_RELAY" tenant "$pool")" \
        STACK_PLATFORM_URL "$(postgres_url tenant_platform "$PASSWORD_PLATFORM" tenant "$pool")" \
        STACK_MIGRATE_URL "$(postgres_url tenant_migrator "$PASSWORD_MIGRATOR" tenant)" \
        STACK_SUPERUSER_URL "$(postgres_url postgres "$PASSWORD_SUPERUSER" tenant)" \
        STACK_PGBOUNCER_URL "$(postgres_url pgbouncer "$PASSWORD_SUPERUSER" pgbouncer "$pool")" \
        STACK_REDIS_URL "$(redis_url)" \
        STACK_NATS_URL "$(nats_url)" \
        STACK_NATS_NODES "${#NATS_SERVERS[@]}" \
        STACK_NATS_CREDS "$DIR/nats" | private_file stack.env
}

env_lines() { # NAME VALUE...
    while [ $# -gt 1 ]; do
        printf '%s=%s\n' "$1" "$(shell_quoted "$2")"
        shift 2
    done
}

redis_url() {
    printf 'rediss://:%s@127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s\n' "$PASSWORD_REDIS" \
        "${PORT[redis_1]}" "${PORT[redis_2]}" "${PORT[redis_3]}"
}

config_write() {
    local pool=${PORT[pgbouncer]}
    private_file config.yaml <<YAML
# Written by tools/stack for the stack "$STACK_NAME"; written anew at every start.
region: eu
environment: development
server:
  address: 127.0.0.1
  port: 3000
ops:
  address: 127.0.0.1
  port: 9090
tls:
  cert_file: $(yaml "$DIR/pki/tenant-service.pem")
  key_file: $(yaml "$DIR/pki/tenant-service.key")
  ca_file: $(yaml "$DIR/pki/ca.pem")
identities:
  admin: spiffe://ghasi.local/ns/admin/sa/admin
  api-gateway: spiffe://ghasi.local/ns/api-gateway/sa/api-gateway
  sync-service: spiffe://ghasi.local/ns/sync-service/sa/sync-service
database:
  url: $(yaml "$(postgres_url tenant_app "$PASSWORD_APP" tenant "$pool")")
  relay_url: $(yaml "$(postgres_url tenant_relay "$PASSWORD_RELAY" tenant "$pool")")
  platform_url: $(yaml "$(postgres_url tenant_platform "$PASSWORD_PLATFORM" tenant "$pool")")
  migrate_url: $(yaml "$(postgres_url tenant_migrator "$PASSWORD_MIGRATOR" tenant)")
redis:
  url: $(yaml "$(redis_url)")
nats:
  url: $(yaml "$(nats_url)")
  seed_file: $(yaml "$DIR/nats/tenant-service.nk")
  replicas: ${#NATS_SERVERS[@]}
tokens:
  keys_file: $(yaml "$DIR/tokens.keys")
YAML
}

yaml() { printf "'%s'\n" "${1//\'/\'\'}"; }

# env_edit KEY LINE: replaces KEY's line, or removes it when LINE is empty. Readers see the old or
# the new file, never half of one.
env_edit() {
    exec 7>"$STACKS/.$STACK_NAME.env.lock"
    flock -w 10 7 || die "the env file is locked"
    {
        grep -v "^$1=" "$DIR/stack.env" || true
        [ -z "$2" ] || printf '%s\n' "$2"
    } | private_file stack.env
    exec 7>&-
}
