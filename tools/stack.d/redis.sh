# shellcheck shell=bash disable=SC2154
# A Redis cluster of three masters: TLS with client certificates and a password, nothing in clear
# text.

redis_find() {
    REDIS=${STACK_REDIS_SERVER:-$(command -v redis-server || true)}
    server_program Redis "$REDIS"
    command -v redis-cli >/dev/null || die "redis-cli is not installed: run tools/deps stack"
}

redis_prepare() { # N
    server_folder "redis-$1"
    redis_config "$1" | server_file "redis-$1/redis.conf"
}

# The title stays the command line, so that the processes of several stacks can be told apart.
redis_config() {
    local tls
    tls=$(redis_quoted "$DATA/tls")
    cat <<CONF
bind 127.0.0.1
port 0
tls-port ${PORT[redis_$1]}
tls-cert-file "$tls/redis.pem"
tls-key-file "$tls/redis.key"
tls-ca-cert-file "$tls/ca.pem"
tls-auth-clients yes
tls-protocols "TLSv1.3"
tls-cluster yes
tls-replication yes
requirepass $PASSWORD_REDIS
masterauth $PASSWORD_REDIS
cluster-enabled yes
cluster-config-file nodes.conf
cluster-port ${PORT[bus_$1]}
cluster-announce-ip 127.0.0.1
cluster-node-timeout 3000
maxmemory 128mb
maxmemory-policy allkeys-lru
maxclients 1000
save ""
appendonly no
daemonize no
set-proc-title no
CONF
}

redis_quoted() {
    local text=${1//\\/\\\\}
    printf '%s\n' "${text//\"/\\\"}"
}

redis_start() { # N
    server_spawn "redis-$1" "$REDIS" "$DATA/redis-$1/redis.conf"
    until_ready "redis-$1" 'PING over TLS' redis_answers "$1" PONG PING
}

# Each node gets its third of the slots and its own epoch before any of them knows another one
# (Redis refuses epochs later): then nothing has to be negotiated, and the cluster is whole as soon
# as Redis allows it, two seconds after a start.
redis_join() { # N
    local n=$1 other first=$((($1 - 1) * 5461)) last=$(($1 * 5461 - 1))
    [ "$n" != 3 ] || last=16383
    if ! redis_answers "$n" OK CLUSTER ADDSLOTSRANGE "$first" "$last" ||
        ! redis_answers "$n" OK CLUSTER SET-CONFIG-EPOCH "$n"; then
        printf 'it did not take its slots\n' >"$RUN/redis-$n.why"
        return 1
    fi
    : >"$RUN/redis-$n.slots"
    until_ready "redis-$n" 'the other nodes have their slots' \
        test -e "$RUN/redis-1.slots" -a -e "$RUN/redis-2.slots" -a -e "$RUN/redis-3.slots" || return 1
    for other in 1 2 3; do
        [ "$other" = "$n" ] || redis_cli "$n" CLUSTER MEET 127.0.0.1 \
            "${PORT[redis_$other]}" "${PORT[bus_$other]}" >/dev/null
    done
    redis_cluster_ready "$n"
}

redis_cluster_ready() { # N
    until_ready "redis-$1" 'cluster_state:ok with all slots on three nodes' redis_whole "$1"
}

redis_whole() {
    local info
    info=$(redis_cli "$1" CLUSTER INFO | tr -d '\r') || return 1
    [[ $info == *cluster_state:ok* && $info == *cluster_slots_ok:16384* && $info == *cluster_known_nodes:3* ]]
}

redis_answers() { # N WANTED COMMAND...
    local n=$1 wanted=$2 said
    shift 2
    said=$(redis_cli "$n" "$@") || return 1
    [ "$said" = "$wanted" ] || { printf '%s\n' "$said"; return 1; }
}

redis_cli() { # N COMMAND...
    local n=$1
    shift
    REDISCLI_AUTH=$PASSWORD_REDIS timeout 3 redis-cli -h 127.0.0.1 -p "${PORT[redis_$n]}" --tls \
        --cacert "$DIR/pki/ca.pem" --cert "$DIR/pki/admin.pem" --key "$DIR/pki/admin.key" "$@" </dev/null
}
