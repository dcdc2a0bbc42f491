# shellcheck shell=bash disable=SC2154,SC2016
# The cases of stack_test.sh, in its order. Commands in single quotes run where the env file was
# sourced.

cases_arguments() {
    check 'help is given' says 'usage: tools/stack up' stack_at "$open_tree" --help
    check 'an unknown command is refused' refused 'usage' stack_at "$open_tree" begin
    check 'a name that is none is refused' refused "is no name" stack_at "$open_tree" up ../x
    check 'status of a stack that does not run is not 0' refused 'nats +down' stack_at "$open_tree" status one
    check 'env of a stack that does not run says so' refused 'does not run' stack_at "$open_tree" env one
    check 'down of a stack that never ran succeeds' stack_at "$open_tree" down never
}

cases_two_at_once() {
    local first second
    stack_at "$open_tree" up one >"$work/one.out" 2>"$work/one.err" </dev/null &
    first=$!
    setsid "$shut_tree/tools/stack" up two >"$work/two.out" 2>"$work/two.err" </dev/null &
    second=$!
    check 'two stacks start at once: the first' wait_for "$first" "$work/one.err"
    check 'two stacks start at once: the second, without a terminal' wait_for "$second" "$work/two.err"
    check 'up prints the env file and nothing else' \
        test "$(cat "$work/one.out")" = "$open_tree/build/stack/one/stack.env"
    check 'all of the first run' says 'redis-3 +running' stack_at "$open_tree" status one
    check 'all of the second run' says 'pgbouncer +running' stack_at "$shut_tree" status two
    check 'they share no port' ports_differ
    check 'up again is a no-op' up_again
    check 'no server runs as root' nobody_is_root
    if [ "$(id -u)" = 0 ]; then
        check 'data moves where the servers can reach it' test -L "$shut_tree/build/stack/two/servers"
    fi
}

wait_for() { # the status that this background job had: check runs in a subshell, so it was noted
    local pid=$1
    while [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do
        sleep 0.1
    done
    cat "$2"
    grep -q ': up in ' "$2"
}

ports_differ() {
    local doubled
    doubled=$({ stack_at "$open_tree" status one && stack_at "$shut_tree" status two; } |
        sed 's/.*://' | sort | uniq -d)
    printf '%s\n' "$doubled"
    [ -z "$doubled" ]
}

up_again() {
    local before after
    before=$(stack_at "$open_tree" status one)
    says 'one/stack.env$' stack_at "$open_tree" up one || return 1
    after=$(stack_at "$open_tree" status one)
    [ "$before" = "$after" ]
}

nobody_is_root() {
    local pid
    for pid in $(stack_at "$open_tree" status one | sed 's/.*pid \([0-9]*\).*/\1/'); do
        grep '^Uid:' "/proc/$pid/status"
        [ "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")" != 0 ] || return 1
    done
}

sql() { psql -X -A -t -q -v ON_ERROR_STOP=1 "$@"; }

redis() { # PORT-INDEX OPTION... -- COMMAND...: with the stack's password
    local n=$1 rest=${STACK_REDIS_URL#rediss://:} password ports
    shift
    password=${REDIS_WRONG:-${rest%%@*}}
    ports=${rest#*@}
    REDISCLI_AUTH=$password timeout 5 redis-cli -h 127.0.0.1 \
        -p "$(cut -d, -f"$n" <<<"$ports" | sed 's/.*://')" "$@"
}

redis_tls() { # N WHO COMMAND...
    local n=$1 who=$2
    shift 2
    redis "$n" --tls --cacert "$STACK_PKI/ca.pem" --cert "$STACK_PKI/$who.pem" --key "$STACK_PKI/$who.key" "$@"
}

nats() { # VERB WHO SUBJECT [PAYLOAD]
    local verb=$1 who=$2
    shift 2
    /usr/bin/python3 "$root/tools/stack.d/nats.py" "$verb" "$STACK_NATS_URL" "$STACK_PKI/ca.pem" \
        "$STACK_PKI/admin.pem" "$STACK_PKI/admin.key" "$STACK_NATS_CREDS/$who.nk" "$@"
}

nats_raw() { # URL CERT-NAME SEED
    local cert=- key=-
    [ "$2" = - ] || cert=$STACK_PKI/$2.pem key=$STACK_PKI/$2.key
    /usr/bin/python3 "$root/tools/stack.d/nats.py" request "$1" "$STACK_PKI/ca.pem" "$cert" "$key" "$3" \
        '$JS.API.INFO'
}

cases_reached() {
    local name login
    for name in one two; do
        for login in DATABASE:app RELAY:relay PLATFORM:platform; do
            check "$name: tenant_${login#*:} logs in through PgBouncer" says "^tenant_${login#*:}\$" \
                within "$name" eval 'sql -c "SELECT current_user" "$STACK_'"${login%:*}"'_URL"'
        done
        check "$name: the migrator acts as the owner" says '^tenant_owner$' \
            within "$name" eval 'sql -c "SELECT current_user" "$STACK_MIGRATE_URL"'
        check "$name: the superuser logs in directly" says '^t$' within "$name" eval \
            'sql -c "SELECT usesuper FROM pg_user WHERE usename = current_user" "$STACK_SUPERUSER_URL"'
        check "$name: Redis is one cluster" says '^OK$' within "$name" eval 'redis_tls 1 tenant-service -c SET key value'
        check "$name: Redis sends to the node of the slot" says '^value$' within "$name" eval 'redis_tls 3 admin -c GET key'
        check "$name: NATS has JetStream" says '"max_storage"' within "$name" eval 'nats request admin "\$JS.API.INFO"'
    done
    check 'PostgreSQL is a 16, or the fallback was announced' within one eval \
        'sql -c "SHOW server_version" "$STACK_SUPERUSER_URL" | grep -E "^1[56]\."'
    check 'PgBouncer pools transactions' says '^transaction$' within one eval \
        'sql -c "SHOW POOLS" "$STACK_PGBOUNCER_URL" | awk -F"|" "\$1 == \"tenant\" { print \$NF }" | sort -u'
    check 'PgBouncer speaks TLS 1.3 to PostgreSQL' says '^TLSv1.3$' within one eval \
        'sql -c "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()" "$STACK_DATABASE_URL"'
    check 'fsync is on unless asked' says '^on$' within one eval 'sql -c "SHOW fsync" "$STACK_SUPERUSER_URL"'
    check 'sql runs psql on database tenant' says '^tenant$' \
        stack_at "$open_tree" sql one -Atc 'SELECT current_database()'
    check 'logs shows one log' says 'ready to accept connections' stack_at "$open_tree" logs one postgres
}

cases_refused() {
    local url
    for url in STACK_DATABASE_URL STACK_MIGRATE_URL; do
        check "$url: clear text is refused" refused 'encryption|ssl required' within one eval \
            'sql -c "SELECT 1" "${'$url'/verify-full/disable}"'
        check "$url: TLS 1.2 is refused" refused 'protocol version|alert' within one eval \
            'sql -c "SELECT 1" "$'$url'&ssl_max_protocol_version=TLSv1.2"'
        check "$url: a wrong password is refused" refused 'authentication failed' within one eval \
            'sql -c "SELECT 1" "$(sed "s#:[0-9a-f]*@#:wrong@#" <<<"$'$url'")"'
    done
    check 'PostgreSQL: the other stack is not trusted' refused 'certificate verify failed' within one eval \
        'sql -c "SELECT 1" "${STACK_MIGRATE_URL%%sslrootcert=*}sslrootcert='"$shut_tree"'/build/stack/two/pki/ca.pem"'
    check 'Redis: clear text is refused' refused '' within one eval 'redis 1 PING'
    check 'Redis: no client certificate is refused' refused '' within one eval \
        'redis 1 --tls --cacert "$STACK_PKI/ca.pem" PING'
    check 'Redis: a certificate of the other stack is refused' refused '' within one eval \
        'STACK_PKI='"$shut_tree"'/build/stack/two/pki; redis 2 --tls --insecure --cert "$STACK_PKI/admin.pem" --key "$STACK_PKI/admin.key" PING'
    check 'Redis: TLS 1.2 is refused' refused 'alert|wrong version|protocol' within one eval 'openssl_to_redis -tls1_2'
    check 'Redis: TLS 1.3 is what it speaks' says 'TLSv1.3' within one eval 'openssl_to_redis -tls1_3'
    check 'Redis: a wrong password is refused' says 'WRONGPASS|NOAUTH' within one eval \
        'REDIS_WRONG=wrong redis_tls 1 admin PING'
    check 'NATS: clear text is refused' refused 'Secure Connection|closed' within one eval \
        'nats_raw "${STACK_NATS_URL/tls:/nats:}" - "$STACK_NATS_CREDS/admin.nk"'
    check 'NATS: no client certificate is refused' refused 'certificate|closed|reset' within one eval \
        'nats_raw "$STACK_NATS_URL" - "$STACK_NATS_CREDS/admin.nk"'
    check 'NATS: no NKey is refused' refused 'Authorization Violation' within one eval \
        'nats_raw "$STACK_NATS_URL" admin -'
    check 'NATS: an unknown NKey is refused' refused 'Authorization Violation' within one eval \
        'nats_raw "$STACK_NATS_URL" admin '"$shut_tree"'/build/stack/two/nats/admin.nk'
}

openssl_to_redis() {
    local port
    port=${STACK_REDIS_URL%%,*}
    port=${port##*:}
    openssl s_client -connect "127.0.0.1:$port" -CAfile "$STACK_PKI/ca.pem" -cert "$STACK_PKI/admin.pem" \
        -key "$STACK_PKI/admin.key" -verify_return_error "$@" </dev/null
}

superuser_says() { # PATTERN QUERY
    says "$1" within one eval 'sql -c "$QUERY" "$STACK_SUPERUSER_URL"'
}

cases_roles() {
    local QUERY login
    export QUERY
    QUERY="SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tenant\_%' AND
        (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
    check 'no role of ours has rights over others' superuser_says '^0$'
    QUERY="SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'tenant\_%' AND rolcanlogin"
    check 'the owner cannot log in, the others can' \
        superuser_says '^tenant_app tenant_migrator tenant_platform tenant_relay$'
    QUERY="SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
        WHERE r.rolname IN ('tenant_app', 'tenant_relay', 'tenant_platform')"
    check 'the logins of the service are members of nothing' superuser_says '^0$'
    QUERY="SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tenant\_%' AND rolcanlogin AND
        (SELECT count(*) FROM unnest(rolconfig) c WHERE c ~ '^(statement|lock|idle_in_transaction_session)_timeout=') = 3"
    check 'every login has its three time-outs' superuser_says '^4$'
    QUERY="SELECT r.rolname FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = 'tenant'"
    check 'the database belongs to the owner' superuser_says '^tenant_owner$'
    QUERY="SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = 'tenant' AND a.grantee = 0"
    check 'PUBLIC has no right on the database' superuser_says '^0$'
    QUERY="SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = 'public' AND a.grantee = 0"
    check 'PUBLIC has no right on schema public' superuser_says '^0$'
    QUERY="SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'"
    check 'the extensions are there' superuser_says '^ltree pg_trgm pgcrypto uuid-ossp$'
    for login in DATABASE RELAY PLATFORM; do
        check "STACK_${login}_URL may create nothing" refused 'permission denied' within one eval \
            'sql -c "CREATE TABLE public.t (i int)" "$STACK_'$login'_URL"'
        check "STACK_${login}_URL may not become the owner" refused 'permission denied' within one eval \
            'sql -c "SET ROLE tenant_owner" "$STACK_'$login'_URL"'
    done
    check 'what the migrator makes belongs to the owner' says '^tenant_owner$' within one eval \
        'sql -c "CREATE SCHEMA probe; SELECT nspowner::regrole FROM pg_namespace WHERE nspname = '"'probe'"'; DROP SCHEMA probe" "$STACK_MIGRATE_URL"'
    check 'roles.sql can be run again, takes back rights and sets new passwords' roles_again
}

roles_again() {
    within two eval 'sql -c "ALTER ROLE tenant_app BYPASSRLS; GRANT tenant_owner TO tenant_app; GRANT CREATE ON SCHEMA public TO PUBLIC" "$STACK_SUPERUSER_URL" &&
        sql -v migrator_password=m -v app_password=a -v relay_password=r -v platform_password=p \
            -f "$root/migrations/bootstrap/roles.sql" "$STACK_SUPERUSER_URL"' || return 1
    says '^f\|0\|f$' within two eval 'sql -c "SELECT rolbypassrls,
        (SELECT count(*) FROM pg_auth_members WHERE member = r.oid),
        has_schema_privilege(r.oid, '"'public', 'CREATE'"') FROM pg_roles r WHERE rolname = '"'tenant_app'"'" "$STACK_SUPERUSER_URL"' || return 1
    refused 'authentication failed' within two eval 'sql -c "SELECT 1" "${STACK_MIGRATE_URL}"'
}

stream_config() { # NAME SUBJECT
    printf '{"name":"%s","subjects":["%s"],"storage":"file","retention":"limits","allow_direct":true,"num_replicas":1}' "$@"
}

cases_nats_rights() {
    local CONFIG LETTERS
    export CONFIG LETTERS
    CONFIG=$(stream_config TENANT_07 'tenant.*.*.*.07')
    LETTERS=$(stream_config TENANT_DLQ 'TENANT.DLQ.>')
    check 'tenant-service makes a stream' says '"name":"TENANT_07"' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.CREATE.TENANT_07" "$CONFIG"'
    check 'tenant-service reads its configuration' says '"subjects":' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.INFO.TENANT_07"'
    check 'tenant-service publishes and is answered' says '"seq": ?1' within one eval \
        'nats request tenant-service tenant.org.provisioned.v1.07 hello'
    check 'tenant-service reads the last message' says 'aGVsbG8=' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.MSG.GET.TENANT_07" "{\"seq\":1}"'
    check 'tenant-service gets it directly' says '^hello$' within one eval \
        'nats request tenant-service "\$JS.API.DIRECT.GET.TENANT_07.tenant.org.provisioned.v1.07"'
    check 'tenant-service makes no other stream' refused 'Permissions Violation' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.CREATE.OTHER" "{}"'
    check 'tenant-service deletes no stream' refused 'Permissions Violation' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.DELETE.TENANT_07"'
    check 'tenant-service keeps dead letters' says '"name":"TENANT_DLQ"' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.CREATE.TENANT_DLQ" "$LETTERS"'
    check 'tenant-service writes its own' says '"seq": ?1' within one eval \
        'nats request tenant-service TENANT.DLQ.relay.07 letter'
    check "tenant-service writes its consumer's" says '"seq": ?2' within one eval \
        'nats request tenant-service TENANT.DLQ.consumer.tenant-service.07 letter'
    check "tenant-service writes no consumer's but its own" refused 'Permissions Violation' within one eval \
        'nats request tenant-service TENANT.DLQ.consumer.sync-service.07 letter'
    check 'tenant-service sends nothing back to itself' refused 'Permissions Violation' within one eval \
        'nats request tenant-service TENANT.DLQ.requeue.tenant-service.07 letter'
    check 'a follower stores letters of any group' says '"seq": ?3' within one eval \
        'nats request follower TENANT.DLQ.consumer.anybody.07 letter'
    check 'a follower does nothing else' refused 'Permissions Violation' within one eval \
        'nats publish follower TENANT.DLQ.relay.07 letter || nats publish follower tenant.org.updated.v1.07 forged'
    check 'sync-service makes a consumer' says '"durable_name":"sync"' within one eval \
        'nats request sync-service "\$JS.API.CONSUMER.DURABLE.CREATE.TENANT_07.sync" \
            "{\"stream_name\":\"TENANT_07\",\"config\":{\"durable_name\":\"sync\",\"ack_policy\":\"explicit\"}}"'
    check 'sync-service fetches' says '^hello$' within one eval \
        'nats request sync-service "\$JS.API.CONSUMER.MSG.NEXT.TENANT_07.sync" "{\"batch\":1}"'
    check 'sync-service acknowledges' within one eval \
        'nats publish sync-service "\$JS.ACK.TENANT_07.sync.1.1.1.1.0" +ACK'
    check 'sync-service publishes no event' refused 'Permissions Violation' within one eval \
        'nats publish sync-service tenant.org.provisioned.v1.07 forged'
    CONFIG=$(stream_config TENANT_GROUPS 'TENANT.GROUPS.*')
    check 'tenant-service makes room for the groups' says '"name":"TENANT_GROUPS"' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.CREATE.TENANT_GROUPS" "$CONFIG"'
    check 'tenant-service changes it' says '"name":"TENANT_GROUPS"' within one eval \
        'nats request tenant-service "\$JS.API.STREAM.UPDATE.TENANT_GROUPS" "$CONFIG"'
    check 'sync-service does not' refused 'Permissions Violation' within one eval \
        'nats request sync-service "\$JS.API.STREAM.UPDATE.TENANT_GROUPS" "$CONFIG"'
    check "sync-service keeps its group's record" says '"seq": ?1' within one eval \
        'nats request sync-service TENANT.GROUPS.sync-service hello'
    check 'sync-service reads it' says 'aGVsbG8=' within one eval \
        'nats request sync-service "\$JS.API.STREAM.MSG.GET.TENANT_GROUPS" "{\"last_by_subj\":\"TENANT.GROUPS.sync-service\"}"'
    check "sync-service touches no other group's record" refused 'Permissions Violation' within one eval \
        'nats publish sync-service TENANT.GROUPS.other hello'
    check 'sync-service stores its dead letters' within one eval \
        'nats publish sync-service TENANT.DLQ.consumer.sync-service.07 letter'
    check "sync-service stores no other group's, nor the relay's" refused 'Permissions Violation' within one eval \
        'nats publish sync-service TENANT.DLQ.consumer.other.07 letter || nats publish sync-service TENANT.DLQ.relay.07 letter'
    check 'sync-service sends nothing back to itself' refused 'Permissions Violation' within one eval \
        'nats publish sync-service TENANT.DLQ.requeue.sync-service.07 letter'
    check 'sync-service reads no dead letters but its own' refused 'Permissions Violation' within one eval \
        'nats request sync-service "\$JS.API.CONSUMER.CREATE.TENANT_DLQ.sync-service_requeue.TENANT.DLQ.>" "{}"'
    check 'billing has its stream' says '"subjects": ?\["billing\.(>|.u003e)"\]' within one eval \
        'nats request billing "\$JS.API.STREAM.INFO.BILLING"'
    check 'billing publishes' says '"seq": ?1' within one eval 'nats request billing billing.subscription.created.v1 hello'
    check 'nobody else does' refused 'Permissions Violation' within one eval \
        'nats publish tenant-service billing.subscription.created.v1 forged || nats publish sync-service billing.x forged'
    check "billing publishes none of our events" refused 'Permissions Violation' within one eval \
        'nats publish billing tenant.org.provisioned.v1.07 forged'
    check 'sync-service makes no stream' refused 'Permissions Violation' within one eval \
        'nats request sync-service "\$JS.API.STREAM.CREATE.TENANT_08" "{}"'
    check 'admin publishes no event' refused 'Permissions Violation' within one eval \
        'nats publish admin tenant.org.provisioned.v1.07 forged'
    check 'admin hands a dead letter back' within one eval \
        'nats publish admin TENANT.DLQ.requeue.sync.07 letter'
    check 'admin forges no dead letter' refused 'Permissions Violation' within one eval \
        'nats publish admin TENANT.DLQ.consumer.sync.07 forged'
    check 'admin manages streams' says '"success":true' within one eval \
        'nats request admin "\$JS.API.STREAM.PURGE.TENANT_07"'
    check 'stranger publishes nothing' refused 'Permissions Violation' within one eval \
        'nats publish stranger anything'
    check 'stranger reads nothing' refused 'Permissions Violation' within one eval \
        'nats request stranger "\$JS.API.INFO"'
}

certificate_names() { # NAME
    openssl x509 -in "$STACK_PKI/$1.pem" -noout -ext subjectAltName,extendedKeyUsage
}

cases_files() {
    local name
    for name in tenant-service api-gateway sync-service follower billing admin stranger; do
        check "the certificate of $name names its SPIFFE URI" \
            says "URI:spiffe://ghasi.local/ns/$name/sa/$name(,|\$)" within one certificate_names "$name"
        check "the certificate of $name serves and calls" \
            says 'Server Authentication, TLS Web Client' within one certificate_names "$name"
        check "the key of $name is private" says '^600$' within one eval 'stat -c %a "$STACK_PKI/'"$name"'.key"'
    done
    check 'the certificate of tenant-service names localhost' \
        says 'DNS:localhost, IP Address:127.0.0.1' within one certificate_names tenant-service
    check 'stack.env is private' says '^600$' within one eval 'stat -c %a "$STACK_DIR/stack.env"'
    check 'config.yaml is YAML with the stack in it' within one eval '/usr/bin/python3 -c "
import sys, yaml
c = yaml.safe_load(open(sys.argv[1]))
assert c[\"database\"][\"url\"] == sys.argv[2] and c[\"tls\"][\"ca_file\"] == sys.argv[3] + \"/ca.pem\"
assert c[\"redis\"][\"url\"] == sys.argv[4] and c[\"nats\"][\"url\"] == sys.argv[5]
key = open(c[\"tokens\"][\"keys_file\"]).read().strip().split(\":\")
assert key[0] and len(bytes.fromhex(key[1])) == 32 and open(c[\"nats\"][\"seed_file\"]).read().startswith(\"SU\")
" "$STACK_CONFIG" "$STACK_DATABASE_URL" "$STACK_PKI" "$STACK_REDIS_URL" "$STACK_NATS_URL"'
    check 'set puts a line into the env file' set_and_unset
    check 'set refuses what is no name' refused 'no variable' stack_at "$open_tree" set one 'A B' c
}

set_and_unset() {
    local before
    before=$(cat "$open_tree/build/stack/one/stack.env")
    stack_at "$open_tree" set one SERVICE_ADDR 127.0.0.1:1 &&
        stack_at "$open_tree" set one SERVICE_ADDR "it's 127.0.0.1:3000" || return 1
    [ "$(within one eval 'printf "%s" "$SERVICE_ADDR"')" = "it's 127.0.0.1:3000" ] || return 1
    [ "$(grep -c SERVICE_ADDR "$open_tree/build/stack/one/stack.env")" = 1 ] || return 1
    stack_at "$open_tree" unset one SERVICE_ADDR || return 1
    [ "$before" = "$(cat "$open_tree/build/stack/one/stack.env")" ]
}

cases_single_servers() {
    check 'a killed server is seen' refused 'pgbouncer +down' kill_and_look
    check 'a killed server starts again' stack_at "$open_tree" server one pgbouncer start
    check 'a stopped node of Redis comes back with its slots' redis_node_again
    check 'PostgreSQL starts again with its data' postgres_again
    check 'a paused server does not answer' refused '' pause_and_ask
    check 'a resumed server answers' says PONG resume_and_ask
    check 'all run again' says 'nats +running' stack_at "$open_tree" status one
    check 'a server that is none is refused' refused 'no server' stack_at "$open_tree" server one mysql stop
}

kill_and_look() {
    stack_at "$open_tree" server one pgbouncer kill && stack_at "$open_tree" status one
}

redis_node_again() {
    stack_at "$open_tree" server one redis-2 stop && stack_at "$open_tree" server one redis-2 start &&
        says OK within one eval 'redis_tls 1 admin -c SET other value'
}

postgres_again() {
    stack_at "$open_tree" sql one -qc 'CREATE TABLE kept (i int)' &&
        stack_at "$open_tree" server one postgres kill && stack_at "$open_tree" server one postgres start &&
        stack_at "$open_tree" sql one -qc 'DROP TABLE kept'
}

pause_and_ask() {
    stack_at "$open_tree" server one redis-1 pause && within one eval 'redis_tls 1 admin PING'
}

resume_and_ask() {
    stack_at "$open_tree" server one redis-1 resume && within one eval 'redis_tls 1 admin PING'
}

cases_nats_cluster() {
    check 'another number of NATS nodes is refused' refused "not 1 or 3" env STACK_NATS_NODES=2 \
        "$open_tree/tools/stack" up three
    check 'three NATS nodes start' says 'three/stack.env$' env STACK_NATS_NODES=3 "$open_tree/tools/stack" up three
    check 'all three run' says 'nats-3 +running' stack_at "$open_tree" status three
    check 'the URL names all three' within three eval '[ "$(tr -cd , <<<"$STACK_NATS_URL")" = ,, ]'
    check 'they keep a stream with three replicas' says '"num_replicas":3' within three eval \
        'nats_node 1 request tenant-service "\$JS.API.STREAM.CREATE.TENANT_07" \
            "{\"name\":\"TENANT_07\",\"subjects\":[\"tenant.*.*.*.07\"],\"num_replicas\":3}"'
    check 'what one node takes' says '"seq": ?1' within three eval \
        'nats_node 2 request tenant-service tenant.org.provisioned.v1.07 hello'
    check 'a node is killed' refused 'nats +down' kill_a_node
    check 'another shows' says 'aGVsbG8=' within three eval \
        'nats_node 3 request tenant-service "\$JS.API.STREAM.MSG.GET.TENANT_07" "{\"seq\":1}"'
    check 'the killed node comes back' stack_at "$open_tree" server three nats start
    check 'a cluster leaves nothing' stack_at "$open_tree" down three --purge
    check 'nor a process' no_process_of three
}

nats_node() { # N VERB WHO SUBJECT [PAYLOAD]
    local STACK_NATS_URL=$STACK_NATS_URL tries
    STACK_NATS_URL=$(cut -d, -f"$1" <<<"$STACK_NATS_URL")
    shift
    # a stream whose leader was killed has a new one after some seconds
    for ((tries = 0; tries < 6; tries++)); do
        nats "$@" && return
    done
    return 1
}

kill_a_node() {
    stack_at "$open_tree" server three nats kill && stack_at "$open_tree" status three
}

no_process_of() { # NAME
    ! pgrep -f "/build/stack/$1/servers" >/dev/null
}

cases_down() {
    check 'a paused server is stopped too' down_with_pause
    check 'down forgets the env file and the keys' test ! -e "$open_tree/build/stack/one/stack.env" -a \
        ! -e "$open_tree/build/stack/one/pki"
    check 'down keeps the logs' test -s "$open_tree/build/stack/one/log/postgres.log"
    check 'the other stack still runs' says 'nats +running' stack_at "$shut_tree" status two
    check 'down finds servers whose folder was removed' down_without_folder
    check 'after down no process is left' no_process
    check 'down --purge removes the folder' purge
    check 'nothing is left in /var/tmp' test ! -e "/var/tmp/tenant-stack-$(id -u)-$data_mark"
}

down_with_pause() {
    stack_at "$open_tree" server one nats pause && stack_at "$open_tree" down one
}

down_without_folder() {
    rm -rf "$shut_tree/build"
    stack_at "$shut_tree" down two
}

purge() {
    stack_at "$open_tree" down one --purge && [ ! -e "$open_tree/build/stack/one" ]
}

# broken WHO VARIABLE VALUE PATTERN: the start fails, names the server and leaves nothing.
broken() {
    local who=$1 assignment=$2 pattern=$3
    check "a broken $who is named" refused "error: $pattern" \
        env STACK_TIMEOUT=15 "$assignment" "$open_tree/tools/stack" up broken
    check "after a broken $who no process is left" no_process
    check "after a broken $who there is no env file" test ! -e "$open_tree/build/stack/broken/stack.env"
}

cases_broken_start() {
    mkdir -p "$work/open/bin"
    ln -sf /bin/false "$work/open/bin/postgres"
    ln -sf /bin/false "$work/open/bin/initdb"
    printf '#!/bin/sh\nexec sleep 60\n' >"$work/open/bin/hangs"
    chmod 755 "$work/open/bin/hangs"
    printf '#!/bin/sh\necho "no luck today"\nexit 3\n' >"$work/open/bin/complains"
    chmod 755 "$work/open/bin/complains"
    broken PostgreSQL "STACK_POSTGRES_BIN=$work/open/bin" 'postgres failed: initdb'
    broken PgBouncer STACK_PGBOUNCER_SERVER=/bin/false 'pgbouncer failed: it ended'
    broken Redis STACK_REDIS_SERVER=/bin/false 'redis-[123] failed: it ended'
    broken NATS STACK_NATS_SERVER=/bin/false 'nats failed: it ended'
    broken 'NATS that hangs' "STACK_NATS_SERVER=$work/open/bin/hangs" 'nats failed: no success within 15 s'
    check 'the last lines of its log are shown' refused 'no luck today' \
        env "STACK_PGBOUNCER_SERVER=$work/open/bin/complains" "$open_tree/tools/stack" up broken
    check 'a program that is not there is named' refused 'Redis is not installed as /nowhere' \
        env STACK_REDIS_SERVER=/nowhere "$open_tree/tools/stack" up broken
    check 'the same stack starts when nothing is broken' stack_at "$open_tree" up broken
    check 'and stops' stack_at "$open_tree" down broken
}

# A start that is ended after SECONDS by SIGNAL, in the background so that the pid is the tool's.
interrupted() { # SIGNAL SECONDS
    local pid
    "$open_tree/tools/stack" up killed >/dev/null 2>&1 </dev/null &
    pid=$!
    sleep "$2"
    kill "-$1" "$pid" && { wait "$pid" 2>/dev/null; true; }
}

cases_killed_start() {
    local after
    for after in 0.4 0.9 1.6; do
        interrupted TERM "$after"
        check "a start ended by TERM after $after s leaves no process" no_process
        interrupted KILL "$after"
        check "down cleans up after a start killed after $after s" stack_at "$open_tree" down killed
        check "and leaves no process ($after s)" no_process
    done
    interrupted KILL 1.2
    check 'up works after a killed start' stack_at "$open_tree" up killed
    check 'and its servers answer' says PONG within killed eval 'redis_tls 1 admin PING'
    stack_at "$open_tree" down killed --purge
}

# Somebody else sits on NATS's port of the stack called dev.
cases_ports_taken() {
    local pid
    /usr/bin/python3 -c '
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind(("127.0.0.1", 15460))
    s.listen()
except OSError:
    pass
time.sleep(120)' &
    pid=$!
    sleep 0.3
    check 'dev starts beside a taken port' stack_at "$open_tree" up
    check 'and has another one there' within dev eval '[ "${STACK_NATS_URL##*:}" != 15460 ]'
    check 'and needed no second attempt' test ! -e "$open_tree/build/stack/dev/log/nats.log.1"
    kill "$pid"
    wait "$pid" 2>/dev/null
    check 'dev stops' stack_at "$open_tree" down --purge
    check 'at the end no process is left' no_process
}
