# shellcheck shell=bash
# Debian packages of tools/deps: which are missing, and their installation without leaving a
# service.

# debian_missing OUT GROUP...: OUT becomes the array of packages that are not installed.
debian_missing() {
    # shellcheck disable=SC2034 # a name reference: the caller reads it
    local -n out_=$1
    shift
    local group wanted=()
    for group in "$@"; do
        local -n list_="DEBIAN_${group^^}"
        wanted+=("${list_[@]}")
        case $group in
            stack | test) have npm || [ -n "${TENANT_DEPS_WITHOUT:-}" ] || wanted+=("${DEBIAN_NPM[@]}") ;;
        esac
    done
    debian_absent out_ "${wanted[@]}"
}

# A package counts only when fully installed; an unknown one makes dpkg-query fail, which is an
# answer too.
debian_absent() {
    local -n absent_=$1
    shift
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    # shellcheck disable=SC2034 # a name reference: the caller reads it
    mapfile -t absent_ < <(comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(sed -n 's/^installed //p' <<<"$installed" | sort -u))
}

# A note for each installed package that is older than it should be: a machine to develop on goes on with it.
debian_outdated() {
    local line name least why version
    for line in "${DEBIAN_LEAST[@]}"; do
        read -r name least why <<<"$line"
        version=$(dpkg-query -W -f '${Version}' "$name" 2>/dev/null) || continue
        if dpkg --compare-versions "$version" lt "$least"; then
            say "note: $name $version is too old to be served to strangers: $why. As root: apt-get install $name" \
                "(at least $least)"
        fi
    done
}

debian_install() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this needs Debian's apt-get; install by other means: $*"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "Debian packages are missing and neither root nor sudo is there; as root: apt-get install $*"
    fi
    as_root true || die "Debian packages are missing and sudo refuses; as root: apt-get install $*"
    debian_lists_fresh || debian_update
    local strangers
    mapfile -t strangers < <(services_absent)
    policy_install
    trap policy_remove EXIT
    if ! step_run apt "installing from Debian: $*" debian_get "$@"; then
        debian_update
        debian_retry "$@"
    fi
    services_disable "${strangers[@]}"
    policy_remove
    trap - EXIT
}

# npm alone can be done without: PostgreSQL 15 of Debian stands in for what it would bring.
debian_retry() {
    local name rest=()
    if step_run apt "installing again with new lists: $*" debian_get "$@"; then
        return 0
    fi
    for name in "$@"; do
        [ "$name" = npm ] || rest+=("$name")
    done
    [ ${#rest[@]} -lt $# ] || debian_explain "$@"
    if [ ${#rest[@]} -gt 0 ]; then
        step_run apt "installing without npm: ${rest[*]}" debian_get "${rest[@]}" ||
            debian_explain "${rest[@]}"
    fi
}

debian_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get install -y -qq \
        --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-unsafe-io -o Acquire::Retries=3 "$@"
}

debian_update() {
    step_run apt-update "reading Debian's package lists" \
        as_root apt-get update -qq -o Acquire::Retries=3 ||
        die "Debian's package lists cannot be read (network? sources?)"
}

debian_lists_fresh() {
    [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -60 -print -quit 2>/dev/null)" ]
}

# Says which package it was: apt names the unknown ones, else each is tried by itself without
# installing.
debian_explain() {
    local name bad=()
    for name in "$@"; do
        apt-get install -s -qq --no-install-recommends "$name" >/dev/null 2>&1 || bad+=("$name")
    done
    [ ${#bad[@]} -gt 0 ] || die "apt-get could not install: $* (see $DEPS/log/apt.log)"
    die "not installable from Debian on this machine: ${bad[*]} (see $DEPS/log/apt.log)"
}

# Maintainer scripts ask policy-rc.d before they start a service. One that is already there is kept.
POLICY=/usr/sbin/policy-rc.d
policy_made=no

policy_install() {
    if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then
        return 0
    fi
    policy_made=yes
    printf '#!/bin/sh\n# temporary, by tools/deps\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

policy_remove() {
    if [ "$policy_made" = yes ]; then
        as_root rm -f "$POLICY"
        policy_made=no
    fi
}

# The PACKAGE:SERVICE pairs that are not installed yet; one that is there belongs to somebody else.
services_absent() {
    local pair
    for pair in "${SERVICES[@]}"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "${pair%%:*}" 2>/dev/null)" != installed ]; then
            printf '%s\n' "$pair"
        fi
    done
}

services_disable() {
    local pair
    for pair in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "${pair%%:*}" 2>/dev/null)" = installed ]; then
            service_disable "${pair#*:}" >/dev/null 2>&1 9>&- || true
        fi
    done
}

# For both kinds of init; neither needs to run now.
service_disable() {
    if [ -e "/etc/init.d/$1" ]; then
        as_root update-rc.d "$1" disable
    fi
    if command -v systemctl; then
        as_root systemctl disable "$1.service"
        return
    fi
    as_root rm -f "/etc/systemd/system/multi-user.target.wants/$1.service"
}
