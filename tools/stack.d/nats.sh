# shellcheck shell=bash disable=SC2154
# NATS with JetStream: TLS with client certificates, an NKey per service, each with the rights it
# needs.

nats_find() {
    NATS=${STACK_NATS_SERVER:-$DEPS_NATS_SERVER}
    server_program NATS "$NATS"
}

nats_prepare() {
    server_folder nats
    nats_config | server_file nats/nats.conf
}

# A server older than 2.10 does not know min_version.
nats_config() {
    local tls folder relay consumer min='min_version: "1.3"'
    mapfile -t relay < <(nats_relay_subjects)
    mapfile -t consumer < <(nats_consumer_subjects)
    folder=$(nats_quoted "$DATA/nats")
    tls=$(nats_quoted "$DATA/tls")
    if timeout 2 "$NATS" --version 2>/dev/null | grep -q ' v2\.[0-9]\.'; then
        min=
    fi
    cat <<CONF
listen: "127.0.0.1:${PORT[nats]}"
server_name: "stack-$STACK_NAME"
tls { cert_file: "$tls/nats.pem", key_file: "$tls/nats.key", ca_file: "$tls/ca.pem", verify: true, $min }
jetstream { store_dir: "$folder/store", max_memory_store: 64MB, max_file_store: 4GB }
max_payload: 1MB
system_account: SYS
accounts {
  SYS { users: [] }
  TENANT {
    jetstream: enabled
    users: [
      { nkey: "$(nats_public tenant-service)", permissions: {
          publish: { allow: [$(nats_list "${relay[@]}")] }
          subscribe: { allow: ["_INBOX.>"] } } }
      { nkey: "$(nats_public sync-service)", permissions: {
          publish: { allow: [$(nats_list "${consumer[@]}")] }
          subscribe: { allow: ["_INBOX.>"] } } }
      { nkey: "$(nats_public admin)", permissions: {
          publish: { allow: ["\$JS.API.>", "\$JS.ACK.>", "\$JS.FC.>", "_INBOX.>"] }
          subscribe: { allow: [">"] } } }
      { nkey: "$(nats_public stranger)", permissions: {
          publish: { deny: [">"] }, subscribe: { deny: [">"] } } }
    ]
  }
}
CONF
}

# The relay makes and checks the streams, writes to them and reads back what it wrote.
nats_relay_subjects() {
    printf '%s\n' 'tenant.>' 'TENANT.DLQ.>' "\$JS.API.INFO" "\$JS.API.STREAM.NAMES" "\$JS.API.STREAM.LIST"
    nats_per_stream STREAM.CREATE STREAM.UPDATE STREAM.INFO STREAM.MSG.GET DIRECT.GET 'DIRECT.GET+'
}

# A consuming service makes consumers of its own, fetches and acknowledges.
nats_consumer_subjects() {
    printf '%s\n' "\$JS.API.INFO" "\$JS.API.STREAM.NAMES" "\$JS.API.STREAM.LIST"
    nats_per_stream STREAM.INFO CONSUMER.CREATE 'CONSUMER.CREATE+' 'CONSUMER.DURABLE.CREATE+' \
        'CONSUMER.INFO+' 'CONSUMER.DELETE+' 'CONSUMER.MSG.NEXT+' CONSUMER.NAMES CONSUMER.LIST 'ACK+' 'FC+'
}

nats_public() { cat "$DIR/nats/$1.pub"; }

nats_quoted() {
    local text=${1//\\/\\\\}
    printf '%s\n' "${text//\"/\\\"}"
}

# nats_per_stream VERB...: the API subjects of these verbs for each of our streams. A "+" stands for
# everything below. Acknowledgements and flow control do not lie below the API.
nats_per_stream() {
    local verb stream tail prefix
    for verb in "$@"; do
        tail='' prefix="\$JS.API."
        case $verb in
            ACK+ | FC+) prefix="\$JS." ;;
        esac
        case $verb in
            *+) tail='.>' ;;
        esac
        for stream in {00..15} DLQ; do
            printf '%s%s.TENANT_%s%s\n' "$prefix" "${verb%+}" "$stream" "$tail"
        done
    done
}

nats_list() {
    local quoted
    printf -v quoted '"%s", ' "$@"
    printf '%s\n' "${quoted%, }"
}

nats_start() {
    server_spawn nats "$NATS" -c "$DATA/nats/nats.conf"
    until_ready nats "a request to JetStream" nats_answers
}

nats_answers() {
    /usr/bin/python3 "$here/stack.d/nats.py" request "$(nats_url)" "$DIR/pki/ca.pem" \
        "$DIR/pki/admin.pem" "$DIR/pki/admin.key" "$DIR/nats/admin.nk" "\$JS.API.INFO" |
        grep -q '"max_storage"'
}

nats_url() { printf 'tls://127.0.0.1:%s\n' "${PORT[nats]}"; }
