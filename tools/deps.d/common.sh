# shellcheck shell=bash
# What all parts of tools/deps share: messages, the private folder, running a step with its log.

default_deps() {
    if [ "$(id -u)" = 0 ]; then
        # Not root's home: the stack's servers run as another user, who must reach their programs.
        printf '%s\n' /var/cache/tenant-service
        return
    fi
    printf '%s\n' "${HOME:?HOME is not set}/.cache/tenant-service"
}

DEPS=${TENANT_DEPS:-$(default_deps)}

say() { printf 'deps: %s\n' "$*" >&2; }

die() {
    printf 'deps: error: %s\n' "$*" >&2
    exit 1
}

# step_run NAME WHAT COMMAND...: one line of progress; the output goes to a log, whose end is shown
# on failure.
step_run() {
    local name=$1 what=$2 log started=$SECONDS
    shift 2
    log=$DEPS/log/$name.log
    say "$what"
    if "$@" >"$log" 2>&1 9>&- </dev/null; then
        return 0
    fi
    say "$what: failed after $((SECONDS - started)) s, the end of $log:"
    tail -n 12 "$log" | sed 's/^/    /' >&2
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
        return
    fi
    sudo "$@"
}

version_at_least() { # HAVE WANT
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# TENANT_DEPS_WITHOUT names programs to do without, so that the stand-ins can be tested.
have() {
    case " ${TENANT_DEPS_WITHOUT:-} " in
        *" ${1##*/} "*) return 1 ;;
    esac
    command -v "$1" >/dev/null
}
