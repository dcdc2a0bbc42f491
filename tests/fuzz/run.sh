#!/bin/sh
# Fuzzes the parsers of strangers' bytes (libFuzzer, ASan, UBSan).
#
#   tests/fuzz/run.sh TARGET|all [SECONDS]    clean run of SECONDS (60), then the planted bugs
#   tests/fuzz/run.sh --planted TARGET|all    only the proof that the target finds its planted bugs
#   tests/fuzz/run.sh --runs N TARGET...|all  a campaign: N executions of each, however long they take
#   tests/fuzz/run.sh --status                the campaigns on record, and whether what they ran on has changed since
#
# A planted bug is compiled in by a macro, one at a time, and must be found within FUZZ_SECONDS (60).  Output stays
# under build/fuzz/: a clean run and a campaign go on from the corpus that earlier ones left there.  A
# campaign that is interrupted says how far it came; one of 10^7 executions or more that found nothing goes into
# tests/fuzz/campaigns.  The last line is `N passed, N failed`.
set -u
cd "$(dirname "$0")/../.." || exit 1

# the fastest first
TARGETS="scan json filter schema image unpack metadata dead_letter consumer framing page_token connect answer gzip pact session config"
OUT=build/fuzz
CAMPAIGNS=tests/fuzz/campaigns
CAMPAIGN=10000000 # executions
CC=${FUZZ_CC:-clang}
FLAGS="-std=gnu17 -O1 -g -fno-omit-frame-pointer -D_GNU_SOURCE -Isrc -I. -Igen -Igen/pb -Ibuild/fuzz/pb"
SANITIZE="-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"
passed=0
failed=0

sources_of() {
    case $1 in
    framing) echo src/rpc/framing.c src/base/buf.c src/base/alloc.c ;;
    gzip) echo src/rpc/gzip.c src/base/buf.c src/base/alloc.c ;;
    scan) echo src/rpc/scan.c ;;
    filter) echo src/domain/tenant_filter.c src/domain/time_text.c src/domain/tenant.c \
        src/domain/string_sets.c src/base/arena.c src/base/alloc.c ;;
    page_token) echo src/tokens/*.c src/base/ctx.c src/base/trace_ctx.c src/base/id.c src/base/clock.c \
        src/base/random.c src/base/arena.c src/base/base64.c src/base/buf.c src/base/alloc.c ;;
    metadata) echo src/rpc/coding.c src/base/trace_ctx.c src/base/id.c src/base/clock.c \
        src/base/random.c src/base/arena.c src/base/base64.c src/base/buf.c src/base/alloc.c ;;
    config) echo src/config/*.c src/base/ctx.c src/base/trace_ctx.c src/base/id.c src/base/clock.c \
        src/base/random.c src/base/arena.c src/base/buf.c src/base/alloc.c ;;
    json) echo src/protojson/*.c src/rpc/scan.c src/base/ctx.c src/base/trace_ctx.c src/base/id.c \
        src/base/clock.c src/base/hash.c src/base/random.c src/base/base64.c src/base/arena.c src/base/buf.c src/base/alloc.c ;;
    connect) echo src/rpc/connect_query.c src/rpc/protocol.c src/rpc/coding.c \
        src/base/clock.c src/base/arena.c src/base/base64.c src/base/buf.c src/base/alloc.c ;;
    unpack) echo src/rpc/scan.c src/base/arena.c src/base/buf.c src/base/alloc.c ;;
    session) echo src/rpc/*.c src/loop/*.c src/tls/*.c src/protojson/*.c src/base/*.c gen/*.c ;;
    answer) echo src/client/stream.c src/client/stream_callbacks.c src/client/answer.c src/client/retry.c src/client/details.c \
        src/rpc/coding.c src/rpc/gzip.c src/rpc/request_headers.c src/rpc/framing.c src/rpc/status.c src/loop/*.c gen/errors.c src/base/*.c ;;
    dead_letter) echo src/events/dead_letter.c src/events/message.c src/events/json_scan.c src/events/subjects.c \
        src/domain/time_text.c src/base/base64.c src/base/id.c src/base/clock.c src/base/hash.c src/base/random.c src/base/arena.c \
        src/base/buf.c src/base/alloc.c ;;
    consumer) echo src/inbound/billing.c src/domain/subscription.c src/domain/tenant_rules.c src/domain/tenant.c \
        src/domain/string_sets.c src/consumer/event.c src/consumer/group_table.c src/events/ack_place.c src/events/dead_letter.c src/events/message.c \
        src/events/json_scan.c src/events/subjects.c src/events/lease_plan.c src/domain/time_text.c gen/events.c src/base/base64.c \
        src/base/id.c src/base/clock.c src/base/hash.c src/base/random.c src/base/arena.c src/base/buf.c src/base/alloc.c ;;
    schema) echo tools/tenantctl/schema_text.c src/base/arena.c src/base/buf.c src/base/alloc.c ;;
    image) echo tools/schema-compat/compare*.c tools/schema-compat/image*.c tools/schema-compat/wire_depth.c \
        tools/schema-compat/place.c tools/schema-compat/ranges.c tools/schema-compat/findings.c \
        tools/schema-compat/rules.c tools/schema-compat/report_text.c tools/schema-compat/report_json.c \
        src/base/buf.c src/base/alloc.c ;;
    pact) echo tools/contract-verify/pact*.c tools/contract-verify/rules.c tools/contract-verify/path.c \
        tools/contract-verify/pattern.c tools/contract-verify/when.c tools/contract-verify/generate.c \
        tools/contract-verify/match.c tools/contract-verify/match_parts.c tools/contract-verify/match_scalar.c \
        tools/contract-verify/value.c tools/contract-verify/wire_*.c tools/schema-compat/image*.c \
        tools/schema-compat/wire_depth.c tools/schema-compat/place.c src/protojson/text.c src/rpc/status.c gen/errors.c \
        gen/descriptors.c src/base/*.c ;;
    *) return 1 ;;
    esac
}

verdict() { # verdict STATUS TEXT
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        echo "PASS $2"
    else
        failed=$((failed + 1))
        echo "FAIL $2"
    fi
}

# What protoc wrote is linked uninstrumented: it holds data, the parser is in the library.
build() { # build TARGET VARIANT [FLAG...]
    target=$1
    program=$OUT/$target-$2
    shift 2
    libraries=
    case $target in
    scan | image) libraries="$(generated) $(pkg-config --libs libprotobuf-c)" ;;
    json) libraries="$(all_types) $(generated) $(pkg-config --libs libprotobuf-c libcrypto) -lm" ;;
    filter | page_token | metadata | connect | dead_letter | schema) libraries=$(pkg-config --libs libprotobuf-c libcrypto) ;;
    consumer) libraries="-Iinclude $(generated) $(pkg-config --libs libprotobuf-c libcrypto)" ;;
    pact) libraries="$(generated) $(pkg-config --libs libprotobuf-c jansson libpcre2-8 openssl) -lpthread -lm" ;;
    gzip) libraries=$(pkg-config --libs zlib libdeflate) ;;
    unpack) libraries="$(all_types) $(generated) $(pkg-config --libs libprotobuf-c)" ;;
    answer)
        libraries="$(generated) -D__SANITIZE_ADDRESS__ -DTENANT_VERSION=\"fuzz\" -DGZIP_IS_SOUND $(pkg-config --libs libnghttp2 \
            libuv openssl zlib libdeflate libprotobuf-c) -lboost_context -lpthread -lm"
        ;;
    session)
        libraries="$(generated) -D__SANITIZE_ADDRESS__ $(pkg-config --libs libnghttp2 libuv openssl zlib libdeflate \
            libprotobuf-c) -lboost_context -lpthread -lm"
        ;;
    config) libraries=$(pkg-config --libs libcyaml yaml-0.1 libcrypto) ;;
    esac
    # shellcheck disable=SC2046,SC2086
    $CC $FLAGS $SANITIZE -Wall -Wextra -Werror "$@" -o "$program" "tests/fuzz/${target}_fuzz.c" \
        $(sources_of "$target") $libraries
}

generated() {
    for source in $(find gen/pb -name '*.c' | sort); do
        object=$OUT/gen/$(echo "$source" | tr / _).o
        if [ ! -f "$object" ] || [ -n "$(find "$source" -newer "$object")" ]; then
            # shellcheck disable=SC2086
            $CC $FLAGS -w -c -o "$object" "$source" || return 1
        fi
        echo "$object"
    done
}

# The message that has one of everything, of tests/protojson.
all_types() {
    mkdir -p "$OUT/pb"
    protoc -Itests/protojson -I/usr/include --plugin=protoc-gen-c=tests/protojson/protoc-gen-c-optional \
        --c_out="$OUT/pb" all_types.proto google/protobuf/struct.proto google/protobuf/wrappers.proto || return 1
    for name in all_types google/protobuf/struct google/protobuf/wrappers; do
        [ -f "gen/pb/$name.pb-c.c" ] && continue # the service has it too
        # shellcheck disable=SC2086
        $CC $FLAGS -w -c -o "$OUT/pb/$name.o" "$OUT/pb/$name.pb-c.c" || return 1
        echo "$OUT/pb/$name.o"
    done
}

report() { # report LOG: executions and edges
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$1" | tail -1)
    echo "${executions:-0} executions, ${edges:-0} edges"
}

fuzz() { # fuzz PROGRAM TARGET LIMIT LOG: libFuzzer's status
    corpus=$OUT/corpus/${1##*/}
    mkdir -p "$corpus"
    words=
    [ ! -f "tests/fuzz/dictionaries/$2" ] || words=-dict=tests/fuzz/dictionaries/$2
    # shellcheck disable=SC2086
    "$1" "$3" $words -max_len=4096 -rss_limit_mb=1024 -timeout="$patience" -print_final_stats=1 \
        -artifact_prefix="$OUT/${1##*/}-" "$corpus" "tests/fuzz/corpus/$2" >"$4" 2>&1
}

run_clean() { # run_clean TARGET -max_total_time=N|-runs=N [LEAST]: LEAST executions prove something
    log=$OUT/$1-clean.log
    if ! build "$1" clean; then
        verdict 1 "$1: does not build"
        return
    fi
    began=$(date +%s)
    fuzz "$OUT/$1-clean" "$1" "$2" "$log"
    status=$?
    took=$(($(date +%s) - began))
    figures=$(report "$log")
    [ "$status" -eq 0 ] || grep -E 'ERROR|SUMMARY|runtime error|artifact|Assertion' "$log"
    [ "${figures%% *}" -ge "${3:-1}" ] || status=1
    verdict "$status" "$1: $took s, $figures"
    [ "$status" -ne 0 ] || [ "${figures%% *}" -lt "$CAMPAIGN" ] || on_record "$1" "$figures"
}

# Each kind of value has its own.  Not those of other targets in the same sources.
bugs_of() { # bugs_of TARGET
    case $1 in
    metadata) echo PLANTED_BUG PLANTED_BASE64_BUG PLANTED_TIMEOUT_BUG PLANTED_ID_BUG ;;
    session) echo PLANTED_SESSION_BUG ;;
    unpack) echo PLANTED_DEPTH_BUG ;;
    pact) echo PLANTED_WIRE_BUG ;;
    *) echo PLANTED_BUG ;;
    esac
}

run_planted() { # run_planted TARGET
    for bug in $(bugs_of "$1"); do
        find_planted "$1" "$bug"
    done
}

# The crash must be the sanitizer's or a check's: a program that only fails to start proves nothing.
find_planted() { # find_planted TARGET BUG
    log=$OUT/$1-planted.log
    rm -rf "$OUT/corpus/$1-planted"
    if ! build "$1" planted "-D$2"; then
        verdict 1 "$1: does not build with $2"
        return
    fi
    fuzz "$OUT/$1-planted" "$1" -max_total_time="${FUZZ_SECONDS:-60}" "$log"
    status=$?
    figures=$(report "$log")
    found=$(grep -m 1 '^SUMMARY: ' "$log")
    if [ "$status" -ne 0 ] && [ -n "$found" ]; then
        verdict 0 "$1: $2 found after $figures: $(echo "$found" | cut -d' ' -f2-3)"
    else
        verdict 1 "$1: $2 not found in ${FUZZ_SECONDS:-60} s, $figures"
    fi
}

# All of the project that a target is made of, headers too; protobuf-c's generated code is not instrumented.
digest_of() { # digest_of TARGET
    # shellcheck disable=SC2046,SC2086
    $CC $FLAGS -Iinclude -DTENANT_VERSION=\"fuzz\" -MM -MG "tests/fuzz/$1_fuzz.c" $(sources_of "$1") | tr -d '\\' | tr ' ' '\n' |
        grep -E '\.[ch]$' | grep -v '^build/' | sort -u | xargs sha256sum | sha256sum | cut -c1-16
}

on_record() { # on_record TARGET FIGURES: in place of the one before
    mkdir -p "$OUT"
    {
        grep '^#' "$CAMPAIGNS"
        {
            grep -v -e '^#' -e "^$1 " "$CAMPAIGNS"
            echo "$1 $(digest_of "$1") $(date -u +%F) $2"
        } | sort
    } >"$OUT/campaigns"
    cp "$OUT/campaigns" "$CAMPAIGNS"
}

status_of() { # status_of TARGET
    line=$(grep "^$1 " "$CAMPAIGNS") || {
        echo "$1: no campaign on record"
        return
    }
    # shellcheck disable=SC2086
    set -- $line
    target=$1 digest=$2 day=$3
    shift 3
    same='as it is'
    [ "$digest" = "$(digest_of "$target")" ] || same='changed since'
    echo "$target: $*, on $day, $same"
}

mode=clean
patience=10 # seconds for one input
case ${1:-} in
--status)
    for target in $TARGETS; do
        status_of "$target"
    done
    exit 0
    ;;
--planted)
    mode=planted
    shift
    ;;
--runs)
    mode=campaign
    patience=120 # it may run for a day beside other work, and be stopped meanwhile
    # Half of a session's time went into filling fresh memory and into pages of a quarantine of 256 MiB.  What an input
    # frees is still in one of 8 when it ends.
    export ASAN_OPTIONS="quarantine_size_mb=8:max_malloc_fill_size=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
    runs=${2:?how many executions}
    shift 2
    ;;
esac
seconds=60
if [ "$mode" = campaign ]; then
    chosen=${*:-all}
else
    chosen=${1:-all}
    seconds=${2:-60}
fi
[ "$chosen" = all ] && chosen=$TARGETS
mkdir -p "$OUT/gen"
interrupted=no
trap 'interrupted=yes' INT # after the report of the target that runs
for target in $chosen; do
    [ "$interrupted" = no ] || break
    if ! sources_of "$target" >/dev/null; then
        verdict 1 "$target: no such target; there are: $TARGETS"
        continue
    fi
    case $mode in
    campaign) run_clean "$target" -runs="$runs" "$runs" ;;
    clean)
        run_clean "$target" -max_total_time="$seconds"
        run_planted "$target"
        ;;
    planted) run_planted "$target" ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
