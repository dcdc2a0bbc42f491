#!/usr/bin/env bash
# Tests of tools/stack and tools/deps with real servers. Works on copies of the tools in temporary
# folders with awkward names: one that the servers' user can reach, one that it cannot. Leaves
# nothing behind.
#
#   tests/stack/stack_test.sh          the last line is `N passed, N failed`
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d /tmp/stack-test.XXXXXX)
open_tree="$work/open/it's a tree"
shut_tree="$work/shut/tree"
passed=0
failed=0

# shellcheck disable=SC1091 # it stands beside this file
. "$root/tests/stack/stack_cases.sh"
# shellcheck disable=SC1091 # it stands beside this file
. "$root/tests/stack/deps_cases.sh"

main() {
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    unset STACK "${!STACK_@}" "${!PG@}"
    mkdir -p "$open_tree" "$shut_tree"
    chmod 755 "$work" "$work/open"
    chmod 700 "$work/shut"
    local tree
    for tree in "$open_tree" "$shut_tree"; do
        cp -r "$root/tools" "$tree/tools"
        mkdir "$tree/migrations"
        cp -r "$root/migrations/bootstrap" "$tree/migrations/bootstrap"
    done

    cases_deps
    cases_arguments
    cases_two_at_once
    cases_reached
    cases_refused
    cases_roles
    cases_nats_rights
    cases_files
    cases_single_servers
    cases_nats_cluster
    cases_down
    cases_broken_start
    cases_killed_start
    cases_ports_taken
}

# check WHAT COMMAND...: one case. What a failing command said is shown.
check() {
    local what=$1 said started=${EPOCHREALTIME/./}
    shift
    if said=$("$@" 2>&1 </dev/null); then
        passed=$((passed + 1))
        printf 'ok   %s (%d ms)\n' "$what" $(((${EPOCHREALTIME/./} - started) / 1000))
        return
    fi
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$what"
    printf '%s\n' "$said" | tail -n 15 | sed 's/^/       /'
}

# refused PATTERN COMMAND...: succeeds when the command fails and says why in words that match.
refused() {
    local pattern=$1 said
    shift
    if said=$("$@" 2>&1); then
        printf 'it succeeded: %s\n' "$said"
        return 1
    fi
    printf '%s\n' "$said"
    grep -qiE "$pattern" <<<"$said"
}

says() { # PATTERN COMMAND...
    local pattern=$1 said
    shift
    said=$("$@" 2>&1) || { printf 'status %s: %s\n' $? "$said"; return 1; }
    printf '%s\n' "$said"
    grep -qE "$pattern" <<<"$said"
}

stack_at() { # TREE ARGUMENT...
    local tree=$1
    shift
    "$tree/tools/stack" "$@"
}

# within NAME COMMAND...: in a subshell that has sourced the stack's env file.
within() {
    local file
    case $1 in
        one) file="$open_tree/build/stack/one/stack.env" ;;
        two) file="$shut_tree/build/stack/two/stack.env" ;;
        *) file="$open_tree/build/stack/$1/stack.env" ;;
    esac
    shift
    (
        # shellcheck source=/dev/null
        . "$file" && "$@"
    )
}

# no_process: nobody has a working directory or an argument below this test's folders. It does not
# ask the tool under test.
no_process() {
    local pid text left=0
    for pid in /proc/[0-9]*; do
        [ "${pid#/proc/}" != $$ ] || continue
        text=$({ tr '\0' ' ' <"$pid/cmdline"; readlink "$pid/cwd"; } 2>/dev/null)
        case $text in
            *"$work"*/servers/* | *"$work"*/build/stack/* | */var/tmp/tenant-stack-*"$data_mark"*)
                printf '%s: %s\n' "$pid" "$text"
                left=1
                ;;
        esac
    done
    return $left
}
data_mark=$(printf '%s\n' "$shut_tree/build/stack/two" | sha256sum | cut -c 1-16)

finish() {
    local tree folder
    trap - EXIT
    for tree in "$open_tree" "$shut_tree"; do
        for folder in "$tree"/build/stack/*/; do
            [ ! -d "$folder" ] || stack_at "$tree" down "$(basename "$folder")" --purge >/dev/null 2>&1
        done
    done
    rm -rf "$work"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

main "$@"
