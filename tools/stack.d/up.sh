# shellcheck shell=bash disable=SC2154,SC2034
# Starting and stopping a whole stack. Either everything runs afterwards, or nothing does.

stack_start() {
    local started attempt
    started=$(milliseconds)
    DEADLINE=$((started + TIMEOUT * 1000))
    programs_find
    stack_stop
    trap stack_abandon EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    for attempt in 1 2 3; do
        stack_fresh "$attempt"
        if servers_start && nats_billing_make; then
            env_write
            ports_release
            trap - EXIT INT TERM HUP
            say "up in $(seconds_since "$started") s: PostgreSQL ${PORT[postgres]}, PgBouncer ${PORT[pgbouncer]}," \
                "Redis ${PORT[redis_1]} ${PORT[redis_2]} ${PORT[redis_3]}, NATS $(nats_ports)"
            return 0
        fi
        port_was_taken "$FAILED" || break
        processes_stop
        data_remove
        ports_release
    done
    failure_tell
    exit 1
}

seconds_since() {
    local ms=$(($(milliseconds) - $1))
    printf '%d.%d\n' $((ms / 1000)) $((ms % 1000 / 100))
}

programs_find() {
    local found
    found=$("$here/deps" --env) || die "tools/deps does not say where things are"
    eval "$found"
    postgres_find
    pgbouncer_find
    redis_find
    nats_find
    command -v psql >/dev/null || die "psql is not installed: run tools/deps stack"
}

# Everything of an older start goes, except its logs, which are kept as NAME.log.1.
stack_fresh() { # ATTEMPT
    local log
    rm -rf "$RUN" "$DIR/pki" "$DIR/nats"
    data_remove
    data_make
    nats_nodes_choose
    for log in "$LOGS"/*.log; do
        [ ! -e "$log" ] || mv -f "$log" "$log.1"
    done
    ports_choose "$1"
    secrets_make
    pki_make || die "the certificates could not be made"
    nkeys_make || die "the NKeys could not be made"
    config_write
}

# All at once; the first that fails ends the wait. FAILED names it.
servers_start() {
    local server pid
    local -A jobs=()
    for server in redis-1 redis-2 redis-3 postgres "${NATS_SERVERS[@]}" pgbouncer; do
        server_bring_up "$server" &
        jobs[$!]=$server
    done
    while [ ${#jobs[@]} -gt 0 ]; do
        if ! wait -n -p pid "${!jobs[@]}"; then
            FAILED=${jobs[$pid]}
            kill "${!jobs[@]}" 2>/dev/null || true
            wait "${!jobs[@]}" 2>/dev/null || true
            return 1
        fi
        unset "jobs[$pid]"
    done
}

# In a background shell of its own, where the cleaning up of the main one must not happen.
server_bring_up() {
    trap - EXIT INT TERM HUP
    case $1 in
        redis-*) redis_prepare "${1#redis-}" && redis_start "${1#redis-}" && redis_join "${1#redis-}" ;;
        postgres) postgres_prepare && postgres_start && postgres_bootstrap ;;
        nats*) nats_prepare "$1" && nats_start "$1" ;;
        pgbouncer) pgbouncer_prepare && pgbouncer_start ;;
    esac
}

failure_tell() {
    local why
    why=$(cat "$RUN/$FAILED.why" 2>/dev/null || echo 'it could not be started')
    say "error: $FAILED failed: $why; the end of $LOGS/$FAILED.log:"
    tail -n 12 "$LOGS/$FAILED.log" 2>/dev/null | sed 's/^/    /' >&2
}

# On every way out of a start that did not succeed.
stack_abandon() {
    trap - EXIT INT TERM HUP
    local job
    for job in $(jobs -p); do
        kill "$job" 2>/dev/null || true
    done
    processes_stop
    ports_release
    stack_forget
}

stack_stop() {
    processes_stop
    stack_forget
}

# A stack that does not run has no env file, no secrets and no data; its logs stay.
stack_forget() {
    rm -f "$DIR/stack.env" "$DIR/config.yaml" "$DIR/tokens.keys"
    rm -rf "$DIR/pki" "$DIR/nats" "$RUN"
    data_remove
}

# One server of a running stack again, with the data it had.
server_start() {
    local pid
    local -A running
    pid=$(server_pid "$1")
    processes_map running
    [ -z "$pid" ] || [ -z "${running[$pid]:-}" ] || die "$1 runs already"
    server_children_gone "$1"
    # Without a process of its own PostgreSQL's lock is stale, though the pid in it may be in use again.
    [ "$1" != postgres ] || rm -f "$DATA/postgres/postmaster.pid"
    DEADLINE=$(($(milliseconds) + TIMEOUT * 1000))
    FAILED=$1
    programs_find
    secrets_load
    case $1 in
        redis-*) redis_start "${1#redis-}" && redis_cluster_ready "${1#redis-}" ;;
        nats*) nats_start "$1" ;;
        *) "$1_start" ;;
    esac || {
        failure_tell
        exit 1
    }
}
