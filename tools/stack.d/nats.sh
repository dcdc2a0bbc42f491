# shellcheck shell=bash disable=SC2154,SC2034
# NATS with JetStream: TLS with client certificates, an NKey per service, each with the rights it
# needs. One server "nats", or a cluster of three: "nats", "nats-2" and "nats-3".

PARTITIONS=({00..15})

nats_find() {
    NATS=${STACK_NATS_SERVER:-$DEPS_NATS_SERVER}
    if [ "$NATS" = debian ]; then
        NATS=$(PATH=$PATH:/usr/sbin command -v nats-server) ||
            die "STACK_NATS_SERVER is 'debian', and no nats-server of Debian is there: tools/deps nats29"
    fi
    server_program NATS "$NATS"
    case ${STACK_NATS_NODES:-1} in
        1 | 3) ;;
        *) die "STACK_NATS_NODES is '$STACK_NATS_NODES', not 1 or 3" ;;
    esac
}

# How many the stack has is kept beside its other facts: later commands have another environment.
nats_nodes_choose() {
    printf '%s\n' "${STACK_NATS_NODES:-1}" >"$RUN/nats-nodes"
    nats_nodes_load
}

nats_nodes_load() {
    local server
    NATS_SERVERS=(nats)
    if [ "$(cat "$RUN/nats-nodes" 2>/dev/null || true)" = 3 ]; then
        NATS_SERVERS=(nats nats-2 nats-3)
    fi
    SERVERS_ALL=("${SERVERS_BASE[@]}" "${NATS_SERVERS[@]}")
    PORT_NAMES=("${PORTS_BASE[@]}")
    for server in "${NATS_SERVERS[@]}"; do
        PORT_NAMES+=("${server/-/_}")
        [ ${#NATS_SERVERS[@]} = 1 ] || PORT_NAMES+=("${server/-/_}_route")
    done
}

nats_prepare() { # SERVER
    server_folder "$1"
    nats_config "$1" | server_file "$1/nats.conf"
}

# A server older than 2.10 does not know min_version.
nats_config() { # SERVER
    local tls folder relay consumer server=$1 min='min_version: "1.3"'
    mapfile -t relay < <(nats_relay_subjects)
    mapfile -t consumer < <(nats_consumer_subjects)
    folder=$(nats_quoted "$DATA/$server")
    tls=$(nats_quoted "$DATA/tls")
    if timeout 2 "$NATS" --version 2>/dev/null | grep -q ' v2\.[0-9]\.'; then
        min=
    fi
    cat <<CONF
listen: "127.0.0.1:${PORT[${server/-/_}]}"
server_name: "stack-$STACK_NAME${server#nats}"
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
      { nkey: "$(nats_public follower)", permissions: {
          publish: { allow: ["TENANT.DLQ.consumer.*.*"] }
          subscribe: { allow: ["_INBOX.>"] } } }
      { nkey: "$(nats_public billing)", permissions: {
          publish: { allow: ["billing.>", "\$JS.API.STREAM.CREATE.BILLING", "\$JS.API.STREAM.INFO.BILLING"] }
          subscribe: { allow: ["_INBOX.>"] } } }
      { nkey: "$(nats_public admin)", permissions: {
          publish: { allow: ["\$JS.API.>", "\$JS.ACK.>", "\$JS.FC.>", "_INBOX.>", "TENANT.DLQ.requeue.>"] }
          subscribe: { allow: [">"] } } }
      { nkey: "$(nats_public stranger)", permissions: {
          publish: { deny: [">"] }, subscribe: { deny: [">"] } } }
    ]
  }
}
CONF
    [ ${#NATS_SERVERS[@]} = 1 ] || nats_cluster_config "$server" "$tls"
}

nats_cluster_config() { # SERVER TLS-FOLDER
    local server routes=()
    for server in "${NATS_SERVERS[@]}"; do
        routes+=("tls://127.0.0.1:${PORT[${server/-/_}_route]}")
    done
    cat <<CONF
cluster {
  name: "stack-$STACK_NAME"
  listen: "127.0.0.1:${PORT[${1/-/_}_route]}"
  no_advertise: true
  tls { cert_file: "$2/nats.pem", key_file: "$2/nats.key", ca_file: "$2/ca.pem", verify: true }
  routes: [$(nats_list "${routes[@]}")]
}
CONF
}

# The relay makes and checks the streams, writes to them and reads back what it wrote. The groups' records it only
# keeps the stream for. The service consumes billing's events, and its own dead letters that were sent back; the letters it
# writes are the relay's and its own consumer's. Letters of groups that no service here has are a follower's.
nats_relay_subjects() {
    printf '%s\n' 'tenant.>' 'TENANT.DLQ.relay.*' 'TENANT.DLQ.consumer.tenant-service.*' "\$JS.API.INFO" "\$JS.API.STREAM.NAMES" "\$JS.API.STREAM.LIST"
    printf '%s\n' "\$JS.API.CONSUMER.CREATE.BILLING.tenant-service.billing.subscription.>" \
        "\$JS.API.CONSUMER.INFO.BILLING.tenant-service" "\$JS.API.CONSUMER.MSG.NEXT.BILLING.tenant-service" \
        "\$JS.ACK.BILLING.tenant-service.>"
    nats_requeued_subjects tenant-service
    nats_per_stream GROUPS STREAM.CREATE STREAM.UPDATE STREAM.INFO
    nats_per_stream "${PARTITIONS[*]} DLQ" STREAM.CREATE STREAM.UPDATE STREAM.INFO STREAM.MSG.GET DIRECT.GET 'DIRECT.GET+'
}

# A consuming service makes consumers of its own, fetches and acknowledges. For its groups (STACK_GROUPS) it keeps
# the record of who has which partition, stores dead letters, and gets those that an operator sent back.
nats_consumer_subjects() {
    local group
    printf '%s\n' "\$JS.API.INFO" "\$JS.API.STREAM.NAMES" "\$JS.API.STREAM.LIST" \
        "\$JS.API.STREAM.INFO.TENANT_DLQ" "\$JS.API.STREAM.MSG.GET.TENANT_GROUPS"
    nats_per_stream "${PARTITIONS[*]}" STREAM.INFO CONSUMER.CREATE 'CONSUMER.CREATE+' 'CONSUMER.DURABLE.CREATE+' \
        'CONSUMER.INFO+' 'CONSUMER.DELETE+' 'CONSUMER.MSG.NEXT+' CONSUMER.NAMES CONSUMER.LIST 'ACK+' 'FC+'
    for group in ${STACK_GROUPS:-sync-service}; do
        printf '%s\n' "TENANT.GROUPS.$group" "TENANT.DLQ.consumer.$group.*"
        nats_requeued_subjects "$group"
    done
}

# The dead letters that an operator sends back to a group.
nats_requeued_subjects() { # GROUP
    printf '%s\n' "\$JS.API.CONSUMER.CREATE.TENANT_DLQ.${1}_requeue.TENANT.DLQ.requeue.$1.>" \
        "\$JS.API.CONSUMER.INFO.TENANT_DLQ.${1}_requeue" "\$JS.API.CONSUMER.DELETE.TENANT_DLQ.${1}_requeue" \
        "\$JS.API.CONSUMER.MSG.NEXT.TENANT_DLQ.${1}_requeue" "\$JS.ACK.TENANT_DLQ.${1}_requeue.>"
}

# Billing's stream, which that team would have made.
nats_billing_make() {
    local replicas=${#NATS_SERVERS[@]}
    FAILED=nats
    printf 'the stream BILLING could not be made\n' >"$RUN/nats.why"
    nats_request billing "\$JS.API.STREAM.CREATE.BILLING" '{"name":"BILLING","subjects":["billing.>"],
        "storage":"file","retention":"limits","discard":"old","max_age":2592000000000000,"num_replicas":'"$replicas}" |
        grep -q '"name":"BILLING"'
}

nats_request() { # IDENTITY SUBJECT PAYLOAD
    /usr/bin/python3 "$here/stack.d/nats.py" request "$(nats_url_of nats)" "$DIR/pki/ca.pem" \
        "$DIR/pki/$1.pem" "$DIR/pki/$1.key" "$DIR/nats/$1.nk" "$2" "$3"
}

nats_public() { cat "$DIR/nats/$1.pub"; }

nats_quoted() {
    local text=${1//\\/\\\\}
    printf '%s\n' "${text//\"/\\\"}"
}

# nats_per_stream STREAMS VERB...: the API subjects of these verbs for each of the streams. A "+" stands for
# everything below. Acknowledgements and flow control do not lie below the API.
nats_per_stream() {
    local verb stream tail prefix streams=$1
    shift
    for verb in "$@"; do
        tail='' prefix="\$JS.API."
        case $verb in
            ACK+ | FC+) prefix="\$JS." ;;
        esac
        case $verb in
            *+) tail='.>' ;;
        esac
        for stream in $streams; do
            printf '%s%s.TENANT_%s%s\n' "$prefix" "${verb%+}" "$stream" "$tail"
        done
    done
}

nats_list() {
    local quoted
    printf -v quoted '"%s", ' "$@"
    printf '%s\n' "${quoted%, }"
}

# A node of a cluster is ready when JetStream has a leader, which takes two nodes.
nats_start() { # SERVER
    server_spawn "$1" "$NATS" -c "$DATA/$1/nats.conf"
    until_ready "$1" "a request to JetStream" nats_answers "$1"
}

nats_answers() { # SERVER
    /usr/bin/python3 "$here/stack.d/nats.py" request "$(nats_url_of "$1")" "$DIR/pki/ca.pem" \
        "$DIR/pki/admin.pem" "$DIR/pki/admin.key" "$DIR/nats/admin.nk" "\$JS.API.INFO" |
        grep -q '"max_storage"'
}

nats_url_of() { printf 'tls://127.0.0.1:%s\n' "${PORT[${1/-/_}]}"; } # SERVER

nats_ports() {
    local server ports=()
    for server in "${NATS_SERVERS[@]}"; do
        ports+=("${PORT[${server/-/_}]}")
    done
    printf '%s\n' "${ports[*]}"
}

# All nodes, separated by commas.
nats_url() {
    local server urls=
    for server in "${NATS_SERVERS[@]}"; do
        urls+=${urls:+,}$(nats_url_of "$server")
    done
    printf '%s\n' "$urls"
}
