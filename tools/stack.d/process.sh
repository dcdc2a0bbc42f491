# shellcheck shell=bash disable=SC2154
# Processes of a stack. What marks them is their working directory below the stack's data folder:
# every server has its own there, children inherit it, and it can be seen after a crash and after
# `make clean`.

# processes_map OUT [SERVER]: OUT[pid]=server for every process of this stack, or of one server.
# Both places where the data may be count, also when the folder was removed meanwhile. The servers'
# user looks, because root without CAP_SYS_PTRACE (in containers) may not see another user's working
# directory.
processes_map() {
    local -n map_=$1
    local link target pid elsewhere
    elsewhere=$(data_elsewhere)
    map_=()
    while IFS=$'\t' read -r link target; do
        target=${target% (deleted)}/
        case $target in
            "$DIR/servers/${2:+$2/}"* | "$elsewhere/${2:+$2/}"*)
                pid=${link#/proc/}
                target=${target#"$DIR/servers/"}
                target=${target#"$elsewhere/"}
                target=${target:-initdb}
                # shellcheck disable=SC2034 # a name reference: the caller reads it
                map_[${pid%%/*}]=${target%%/*}
                ;;
        esac
    done < <("${AS_SERVER[@]}" find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -printf '%p\t%l\n' 2>/dev/null)
}

server_pid() { # NAME: the recorded pid, nothing when there is none
    cat "$RUN/$1.pid" 2>/dev/null || true
}

stack_runs() {
    local server pid
    local -A running
    [ -f "$DIR/stack.env" ] || return 1
    processes_map running
    for server in "${SERVERS_ALL[@]}"; do
        pid=$(server_pid "$server")
        [ -n "$pid" ] && [ -n "${running[$pid]:-}" ] || return 1
    done
}

# server_spawn NAME COMMAND...: in the background, in a session of its own, with none of our
# descriptors.
server_spawn() {
    local name=$1
    shift
    (
        fds_close
        trap - EXIT INT TERM HUP
        cd "$DATA/$name" || exit 1
        exec setsid "${AS_SERVER[@]}" "$@"
    ) </dev/null >>"$LOGS/$name.log" 2>&1 &
    printf '%s\n' $! >"$RUN/$name.pid"
}

fds_close() {
    local path fd
    for path in /proc/self/fd/*; do
        fd=${path##*/}
        [ "$fd" -le 2 ] || eval "exec $fd>&-" 2>/dev/null || true
    done
}

# server_alive NAME: during start only, while the process is a child of ours or lives.
server_alive() {
    local pid
    pid=$(server_pid "$1")
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}

# until_ready NAME WHAT COMMAND...: tries until it succeeds, the server dies or time is up.
until_ready() {
    local name=$1 what=$2 said
    shift 2
    while true; do
        if said=$("$@" 2>&1); then
            return 0
        fi
        if ! server_alive "$name"; then
            printf 'it ended while it was started\n' >"$RUN/$name.why"
            return 1
        fi
        if [ "$(milliseconds)" -ge "$DEADLINE" ]; then
            printf 'no success within %s s: %s%s\n' "$TIMEOUT" "$what" "${said:+ (${said##*$'\n'})}" \
                >"$RUN/$name.why"
            return 1
        fi
        sleep 0.05
    done
}

server_signal() { # NAME SIGNAL
    local pid
    local -A running
    pid=$(server_pid "$1")
    processes_map running
    if [ -z "$pid" ] || [ -z "${running[$pid]:-}" ]; then
        die "$1 does not run"
    fi
    kill "-$2" "$pid"
}

# What makes each stop at once without waiting for its clients, and still properly.
server_stop_signal() {
    case $1 in
        postgres | nats*) printf 'INT\n' ;;
        *) printf 'TERM\n' ;;
    esac
}

server_stop() {
    server_signal "$1" "$(server_stop_signal "$1")"
    server_gone "$1"
}

server_gone() {
    local pid tries
    local -A running
    pid=$(server_pid "$1")
    for ((tries = 0; tries < 100; tries++)); do
        processes_map running
        [ -n "${running[$pid]:-}" ] || return 0
        sleep 0.05
    done
    die "$1 (pid $pid) does not end"
}

# Children that outlive a killed server still hold its files for a moment; for longer where a busy disk keeps them.
server_children_gone() {
    local tries
    local -A children
    for ((tries = 0; tries < TIMEOUT * 20; tries++)); do
        processes_map children "$1"
        [ ${#children[@]} -gt 0 ] || return 0
        sleep 0.05
    done
    die "processes of an earlier $1 do not end: ${!children[*]}"
}

# Stops whatever of this stack lives: first asked, after three seconds killed. Nothing is left, or
# it says so.
processes_stop() {
    local pid parent started
    local -A running
    processes_map running
    [ ${#running[@]} -gt 0 ] || return 0
    for pid in "${!running[@]}"; do
        parent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
        # A server ends its own children.
        [ -z "${running[${parent:-0}]:-}" ] || continue
        kill -CONT "$pid" 2>/dev/null || true
        kill "-$(server_stop_signal "${running[$pid]}")" "$pid" 2>/dev/null || true
    done
    started=$(milliseconds)
    while [ ${#running[@]} -gt 0 ]; do
        sleep 0.05
        processes_map running
        if [ $(($(milliseconds) - started)) -gt 3000 ]; then
            [ ${#running[@]} = 0 ] || kill -KILL "${!running[@]}" 2>/dev/null || true
        fi
        [ $(($(milliseconds) - started)) -le 10000 ] || die "processes do not end: ${!running[*]}"
    done
}
