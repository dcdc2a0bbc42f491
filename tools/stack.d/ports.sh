# shellcheck shell=bash disable=SC2154,SC2034
# Ports of a stack: fixed ones for dev, free ones where these are taken and for every other name.
#
# Between choosing a port and the server's listening on it another stack could choose the same. A
# file per port, made atomically and naming the choosing process, keeps stacks of one user apart;
# against others a failed start is repeated with new ports.

PORTS_BASE=(postgres pgbouncer redis_1 redis_2 redis_3 bus_1 bus_2 bus_3)
declare -A PORT_DEV=([postgres]=15432 [pgbouncer]=15433 [redis_1]=15441 [redis_2]=15442 [redis_3]=15443
    [bus_1]=15451 [bus_2]=15452 [bus_3]=15453 [nats]=15460
    [nats_2]=15461 [nats_3]=15462 [nats_route]=15470 [nats_2_route]=15471 [nats_3_route]=15472)
declare -A PORT=()
CLAIMS=/tmp/tenant-stack-ports-$(id -u)

# Free ports are looked for below the range that the kernel hands out to clients.
PORT_LOW=16000
PORT_HIGH=28000

ports_choose() { # ATTEMPT
    local name
    local -a taken
    (umask 077 && mkdir -p "$CLAIMS") || die "cannot create $CLAIMS"
    [ -O "$CLAIMS" ] || die "$CLAIMS is not ours"
    claims_sweep
    ports_taken taken
    PORT=()
    for name in "${PORT_NAMES[@]}"; do
        if [ "$STACK_NAME" = dev ] && [ "$1" = 1 ] && port_claim taken "${PORT_DEV[$name]}"; then
            PORT[$name]=${PORT_DEV[$name]}
            continue
        fi
        PORT[$name]=$(port_free taken) || die "no free port between $PORT_LOW and $PORT_HIGH"
    done
    ports_save
}

# Claims of starts that were killed.
claims_sweep() {
    local file owner
    for file in "$CLAIMS"/*; do
        if read -r owner 2>/dev/null <"$file" && ! kill -0 "$owner" 2>/dev/null; then
            rm -f "$file"
        fi
    done
}

ports_taken() { # OUT: every local port of any socket
    local -n taken_=$1
    local hex
    while read -r hex; do
        taken_[16#$hex]=1
    done < <(awk 'FNR > 1 { sub(/.*:/, "", $2); print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u)
}

port_free() { # TAKEN
    local tries port
    for ((tries = 0; tries < 2000; tries++)); do
        port=$((PORT_LOW + SRANDOM % (PORT_HIGH - PORT_LOW)))
        if port_claim "$1" "$port"; then
            printf '%s\n' "$port"
            return 0
        fi
    done
    return 1
}

# $$ is this tools/stack also inside of $(...).
port_claim() { # TAKEN PORT
    local -n used_=$1
    [ -z "${used_[$2]:-}" ] || return 1
    (set -o noclobber && printf '%s\n' $$ >"$CLAIMS/$2") 2>/dev/null
}

ports_release() {
    local name
    for name in "${!PORT[@]}"; do
        if [ "$(cat "$CLAIMS/${PORT[$name]}" 2>/dev/null || true)" = $$ ]; then
            rm -f "$CLAIMS/${PORT[$name]}"
        fi
    done
}

ports_save() {
    local name
    for name in "${PORT_NAMES[@]}"; do
        printf '%s %s\n' "$name" "${PORT[$name]}"
    done >"$RUN/ports"
}

ports_load() {
    local name port
    PORT=()
    while read -r name port; do
        PORT[$name]=$port
    done <"$RUN/ports"
}

port_of() { # SERVER
    sed -n "s/^${1/-/_} //p" "$RUN/ports"
}

# Whether a server's log shows that somebody else was faster.
port_was_taken() { # SERVER
    grep -qi 'address already in use' "$LOGS/$1.log" 2>/dev/null
}
