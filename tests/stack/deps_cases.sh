# shellcheck shell=bash disable=SC2154,SC2016
# The cases of stack_test.sh that concern tools/deps; nothing is installed by them.

cases_deps() {
    check 'deps: help is given' says 'usage: tools/deps' "$root/tools/deps" --help
    check 'deps: an unknown group is refused' refused "unknown group or option 'everything'" \
        "$root/tools/deps" everything
    check 'deps: build and stack are there' "$root/tools/deps" --check build stack
    check 'deps: a run with nothing to do is silent and takes less than a second' quick_and_silent
    check 'deps: the versions are recorded' says '^redis-server 5:7' "$root/tools/deps" --versions
    check 'deps: what is missing is named, and nothing is installed' refused 'missing: .*postgres nats' \
        env TENANT_DEPS="$work/nothing" "$root/tools/deps" --check stack
    check 'deps: the check made no folder' test ! -e "$work/nothing"
    check 'deps: a folder that cannot be made is named' refused 'cannot create /proc/nothing' \
        env TENANT_DEPS=/proc/nothing "$root/tools/deps" stack
    check 'deps: a package that is too old is named' says 'note: libnghttp2-14 1.52.0-1\+deb12u2 is too old' \
        old_package
    check 'deps: the programs are where it says' eval "$("$root/tools/deps" --env)"'
        test -x "$DEPS_PG_BIN/initdb" -a -x "$DEPS_NATS_SERVER"'
}

quick_and_silent() {
    local started=${EPOCHREALTIME/./} said
    said=$("$root/tools/deps" build stack 2>&1) || return 1
    started=$(((${EPOCHREALTIME/./} - started) / 1000))
    printf '%s (%d ms)\n' "$said" "$started"
    [ "$started" -lt 1000 ] && ! grep -v '^deps: note:' <<<"$said" | grep -q .
}

# A dpkg-query that knows every package, in the revision before.
old_package() {
    mkdir -p "$work/old"
    cat >"$work/old/dpkg-query" <<'EOF'
#!/bin/sh
shift 2
case $1 in
*Version*) echo 1.52.0-1+deb12u2 ;;
*) shift && printf 'installed %s\n' "$@" ;;
esac
EOF
    chmod 755 "$work/old/dpkg-query"
    PATH=$work/old:$PATH "$root/tools/deps" build
}
