# shellcheck shell=bash disable=SC2154,SC2034
# What all parts of tools/stack share: where things are, messages, files of the servers' user.

# The others are NATS nodes, which vary: nats_nodes_load makes SERVERS_ALL and PORT_NAMES.
SERVERS_BASE=(postgres pgbouncer redis-1 redis-2 redis-3)
IDENTITIES=(tenant-service api-gateway sync-service follower billing admin stranger)
TIMEOUT=${STACK_TIMEOUT:-30}

say() { printf 'stack %s: %s\n' "$STACK_NAME" "$*" >&2; }

die() {
    printf 'stack%s: error: %s\n' "${STACK_NAME:+ $STACK_NAME}" "$*" >&2
    exit 1
}

# stack_select NAME: sets where this stack's things are; nothing is created.
stack_select() {
    STACK_NAME=
    [[ $1 =~ ^[a-z0-9][a-z0-9_-]{0,39}$ ]] ||
        die "'$1' is no name for a stack (a-z, 0-9, - and _, at most 40)"
    STACK_NAME=$1
    STACKS=$tree/build/stack
    DIR=$STACKS/$STACK_NAME
    LOGS=$DIR/log
    RUN=$DIR/run
    user_select
    DATA=$DIR/servers
    [ ! -L "$DATA" ] || DATA=$(readlink "$DATA")
    nats_nodes_load
}

# Root's servers run as somebody without rights (PostgreSQL insists); anybody else's as themselves.
user_select() {
    AS_SERVER=()
    SERVER_USER=
    [ "$(id -u)" = 0 ] || return 0
    SERVER_USER=${STACK_USER:-nobody}
    if [ -r "$RUN/user" ]; then
        SERVER_USER=$(cat "$RUN/user")
    fi
    SERVER_GROUP=$(id -g "$SERVER_USER" 2>/dev/null) || die "there is no user '$SERVER_USER' (STACK_USER)"
    [ "$(id -u "$SERVER_USER")" != 0 ] || die "STACK_USER must not be root"
    AS_SERVER=(setpriv --reuid "$SERVER_USER" --regid "$SERVER_GROUP" --clear-groups --no-new-privs --)
}

# One command at a time on a stack. The lock lies beside the folder, which --purge removes.
stack_lock() {
    mkdir -p "$STACKS"
    exec 8>"$STACKS/.$STACK_NAME.lock"
    flock -w 120 8 || die "another tools/stack works on this stack for two minutes already"
}

# The servers' data folder. Where their user cannot reach the tree (below a closed home, say), the
# data goes to /var/tmp and a link stands in its place.
data_make() {
    mkdir -p "$DIR" "$LOGS" "$RUN" || die "cannot create $DIR"
    printf '%s\n' "$SERVER_USER" >"$RUN/user"
    DATA=$DIR/servers
    mkdir "$DATA"
    data_own "$DATA"
    if [ -n "$SERVER_USER" ] && ! "${AS_SERVER[@]}" test -w "$DATA" 2>/dev/null; then
        rmdir "$DATA"
        DATA=$(data_elsewhere)
        mkdir "$DATA" || die "cannot create $DATA"
        data_own "$DATA"
        "${AS_SERVER[@]}" test -w "$DATA" || die "user $SERVER_USER can reach neither $DIR nor $DATA"
        ln -s "$DATA" "$DIR/servers"
    fi
}

data_elsewhere() {
    printf '/var/tmp/tenant-stack-%s-%s\n' "$(id -u)" "$(sha256sum <<<"$DIR" | cut -c 1-16)"
}

data_own() {
    [ -z "$SERVER_USER" ] || chown "$SERVER_USER:$SERVER_GROUP" "$1"
    chmod 700 "$1"
}

data_remove() {
    rm -rf "$DIR/servers" "$(data_elsewhere)"
}

# server_folder NAME: an empty folder of the servers' user; it will be that server's working
# directory.
server_folder() {
    mkdir "$DATA/$1"
    data_own "$DATA/$1"
}

# server_file PATH: standard input becomes a private file of the servers' user.
server_file() {
    cat >"$DATA/$1"
    chmod 600 "$DATA/$1"
    [ -z "$SERVER_USER" ] || chown "$SERVER_USER:$SERVER_GROUP" "$DATA/$1"
}

# server_program WHAT PATH: dies when the servers' user could not run it.
server_program() {
    [ -n "$2" ] || die "$1 is not installed: run tools/deps stack"
    [ -x "$2" ] || die "$1 is not installed as $2: run tools/deps stack"
    "${AS_SERVER[@]}" test -x "$2" ||
        die "user $SERVER_USER cannot run $2: choose another TENANT_DEPS or STACK_USER"
}

server_known() {
    local server
    for server in "${SERVERS_ALL[@]}"; do
        [ "$server" != "$1" ] || return 0
    done
    die "there is no server '$1' (${SERVERS_ALL[*]})"
}

env_required() {
    [ -f "$DIR/stack.env" ] || die "it does not run (no $DIR/stack.env): tools/stack up $STACK_NAME"
}

random_hex() { # BYTES
    od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

# url_path TEXT: percent-encoded for a connection URL's parameter.
url_path() {
    local LC_ALL=C text=$1 out='' char i
    for ((i = 0; i < ${#text}; i++)); do
        char=${text:i:1}
        case $char in
            [A-Za-z0-9/._~-]) out+=$char ;;
            *) out+=$(printf '%%%02X' "'$char") ;;
        esac
    done
    printf '%s\n' "$out"
}

# shell_quoted TEXT: one word for any shell, and for those who read the file without one.
shell_quoted() {
    case $1 in
        '' | *[!A-Za-z0-9/._:,@%+=-]*) printf "'%s'\n" "${1//\'/\'\\\'\'}" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

milliseconds() { printf '%s\n' "${EPOCHREALTIME/[.,]/}" | cut -c 1-13; }
