/* Loading from file, environment and defaults: which value holds, and what must be there. */
#include "tests/unit/config/loaded.h"

START_TEST(defaults_are_those_of_the_documentation)
    {
        ck_assert_int_eq(load(NULL, no_environment), OK);
        ck_assert_str_eq(f.config->environment, "production");
        ck_assert_str_eq(f.config->region, "");
        ck_assert_uint_eq(f.config->server.port, 3000);
        ck_assert_uint_eq(f.config->ops.port, 9090);
        ck_assert_uint_eq(f.config->server.drain_grace_ns, 25 * NS_PER_S);
        ck_assert_uint_eq(f.config->redis.op_timeout_ns, 10 * NS_PER_MS);
        ck_assert_uint_eq(f.config->limits.header_bytes, 16384);
        ck_assert_uint_eq(f.config->limits.header_table_bytes, 4096);
        ck_assert_uint_eq(f.config->limits.frame_bytes, 16384);
        ck_assert_uint_eq(f.config->limits.stream_window, 65536);
        ck_assert_uint_eq(f.config->limits.connection_window, 1048576);
        ck_assert_uint_eq(f.config->limits.message_bytes, 1048576);
        ck_assert_uint_eq(f.config->limits.age_ns, 1800 * NS_PER_S);
        ck_assert_uint_eq(f.config->nats.replicas, 3);
        ck_assert_uint_eq(f.config->nats.duplicate_window_ns, 120 * NS_PER_S);
        ck_assert(f.config->relay.enabled);
        ck_assert_str_eq(f.config->identities[1].name, "api-gateway");
        ck_assert_str_eq(f.config->identities[1].uri, "");
    }
END_TEST

START_TEST(file_sets_every_kind)
    {
        ck_assert_int_eq(load("region: eu\n"
                              "log: {level: warn, format: text}\n"
                              "server:\n  address: \"::1\"\n  port: 0\n  drain_grace: 1500ms\n"
                              "identities:\n  api-gateway: spiffe://ghasi.local/ns/a/sa/b\n"
                              "database:\n  url: postgresql://u:p@h:1/d?sslmode=require\n"
                              "relay: {enabled: no, window: 7}\n"
                              "limits:\n  header_bytes: 32KiB\n  message_bytes: 2048\n"
                              "limits-api-gateway: {connections: 256, concurrent_streams: 500}\n"
                              "tls: {cert_file: a.pem}\n",
                              no_environment),
                         OK);
        ck_assert_str_eq(f.config->region, "eu");
        ck_assert_int_eq(f.config->log.level, 2);
        ck_assert_int_eq(f.config->log.format, CONFIG_LOG_TEXT);
        ck_assert_str_eq(f.config->server.address, "::1");
        ck_assert_uint_eq(f.config->server.port, 0);
        ck_assert_uint_eq(f.config->server.drain_grace_ns, 1500 * NS_PER_MS);
        ck_assert_str_eq(f.config->identities[1].uri, "spiffe://ghasi.local/ns/a/sa/b");
        ck_assert_uint_eq(f.config->identity_limits[1].connections, 256);
        ck_assert_uint_eq(f.config->identity_limits[1].concurrent_streams, 500);
        ck_assert_uint_eq(f.config->identity_limits[1].client_resets_burst, 0);
        ck_assert_uint_eq(f.config->identity_limits[0].connections, 0);
        ck_assert_str_eq(f.config->database.url, "postgresql://u:p@h:1/d?sslmode=require");
        ck_assert(!f.config->relay.enabled);
        ck_assert_uint_eq(f.config->relay.window, 7);
        ck_assert_uint_eq(f.config->limits.header_bytes, 32768);
        ck_assert_uint_eq(f.config->limits.message_bytes, 2048);
        ck_assert_str_eq(f.config->tls.cert_file, "a.pem");
    }
END_TEST

START_TEST(environment_wins_over_alias_over_file)
    {
        char *all[] = {"TENANT_REGION=ap", "REGION=me", NULL};
        ck_assert_int_eq(load("region: eu\n", all), OK);
        ck_assert_str_eq(f.config->region, "ap");
        ck_assert_str_eq(text_of(&f.notes.warnings),
                         "REGION: another value than TENANT_REGION, which wins; ignored\n");
        tear_down();
        set_up();
        char *same[] = {"TENANT_REGION=me", "REGION=me", NULL};
        ck_assert_int_eq(load("region: eu\n", same), OK);
        ck_assert_str_eq(f.config->region, "me");
        ck_assert_uint_eq(f.notes.warning_count, 0);
        tear_down();
        set_up();
        ck_assert_int_eq(load("region: eu\n", all + 1), OK);
        ck_assert_str_eq(f.config->region, "me");
        tear_down();
        set_up();
        char *empty[] = {"REGION=", "TENANT_REDIS_URL=", "TENANT_IDENTITIES_API_GATEWAY=x:y", NULL};
        ck_assert_int_eq(load("region: eu\nredis:\n  url: redis://h:1\n", empty), OK);
        ck_assert_str_eq(f.config->region, "eu");
        ck_assert_str_eq(f.config->redis.url, "");
        ck_assert_str_eq(f.config->identities[1].uri, "x:y");
    }
END_TEST

START_TEST(seed_aliases_are_understood)
    {
        char *environment[] = {"DATABASE_URL=postgres://h/d",
                               "REDIS_URL=rediss://h:1",
                               "NATS_CREDS=/keys/seed",
                               "OTEL_SERVICE_NAME=tenants",
                               "REGION=us",
                               "OTEL_EXPORTER_OTLP_ENDPOINT=https://c:4317",
                               "OTEL_TRACES_SAMPLER_ARG=0.25",
                               NULL};
        ck_assert_int_eq(load(NULL, environment), OK);
        ck_assert_str_eq(f.config->database.url, "postgres://h/d");
        ck_assert_str_eq(f.config->redis.url, "rediss://h:1");
        ck_assert_str_eq(f.config->nats.seed_file, "/keys/seed");
        ck_assert_str_eq(f.config->telemetry.service_name, "tenants");
        ck_assert_str_eq(f.config->telemetry.otlp_endpoint, "https://c:4317");
        ck_assert_uint_eq(f.config->telemetry.trace_ratio, 250000000);
        ck_assert_str_eq(f.config->region, "us");
        ck_assert_uint_eq(f.notes.warning_count, 0);
    }
END_TEST

START_TEST(unknown_variables_warn_and_do_not_stop)
    {
        char *environment[] = {"TENANT_SERVICE_PORT=tcp://10.0.0.1:3000",
                               "TENANT_SERVER_PROT=1",
                               "TENANT_CONFIG=x.yaml",
                               "TENANTCTL_ADDR=x",
                               "HOME=/",
                               NULL};
        ck_assert_int_eq(load(NULL, environment), OK);
        ck_assert_uint_eq(f.notes.warning_count, 2);
        ck_assert_str_eq(text_of(&f.notes.warnings),
                         "TENANT_SERVICE_PORT: no such setting; ignored\n"
                         "TENANT_SERVER_PROT: no such setting; ignored\n");
    }
END_TEST

START_TEST(a_flood_of_unknown_variables_is_counted)
    {
        char names[40][32];
        char *environment[41];
        for (int i = 0; i < 40; i++) {
            snprintf(names[i], sizeof names[i], "TENANT_SERVICE_%d=x", i);
            environment[i] = names[i];
        }
        environment[40] = NULL;
        ck_assert_int_eq(load(NULL, environment), OK);
        ck_assert_uint_eq(f.notes.warning_count, 17);
        ck_assert_ptr_nonnull(
            strstr(text_of(&f.notes.warnings), "24 more unknown TENANT_ variables"));
    }
END_TEST

START_TEST(empty_files_leave_the_defaults)
    {
        static const char *const empty[] = {"", "# only a comment\n", "---\n", "{}\n"};
        for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
            ck_assert_int_eq(load(empty[i], no_environment), OK);
            ck_assert_uint_eq(f.config->server.port, 3000);
            tear_down();
            set_up();
        }
    }
END_TEST

START_TEST(what_a_use_needs_must_be_there)
    {
        ck_assert_int_eq(load_for("region: eu\n", no_environment, CONFIG_FOR_MIGRATE),
                         FAULT_CONFIG);
        ck_assert_str_eq(
            text_of(&f.notes.errors),
            "FILE: key database.migrate_url: expected a URL with a host that begins with "
            "postgresql:// or postgres://, got nothing; set it here or as "
            "TENANT_DATABASE_MIGRATE_URL\n");
        tear_down();
        set_up();
        ck_assert_int_eq(load_for(NULL, no_environment, CONFIG_FOR_SERVE), FAULT_CONFIG);
        const char *errors = text_of(&f.notes.errors);
        ck_assert_uint_eq(f.notes.error_count, 6);
        ck_assert_ptr_nonnull(strstr(errors,
                                     "key region: expected us, eu, me or ap, got nothing; set it "
                                     "here or as TENANT_REGION or REGION\n"));
        ck_assert_ptr_nonnull(strstr(errors, "key tls.key_file: "));
    }
END_TEST

static char *serving[] = {"TENANT_REGION=eu",
                          "TENANT_TLS_CERT_FILE=c",
                          "TENANT_TLS_KEY_FILE=k",
                          "TENANT_TLS_CA_FILE=a",
                          "TENANT_DATABASE_URL=postgresql://h/d",
                          "TENANT_DATABASE_PLATFORM_URL=postgresql://h/d",
                          NULL};

START_TEST(serving_with_the_relay_needs_its_servers)
    {
        ck_assert_int_eq(load_for("relay: {enabled: false}\n", serving, CONFIG_FOR_SERVE), OK);
        tear_down();
        set_up();
        ck_assert_int_eq(load_for("relay: {enabled: true}\n", serving, CONFIG_FOR_SERVE),
                         FAULT_CONFIG);
        ck_assert_str_eq(
            text_of(&f.notes.errors),
            "FILE: key database.relay_url: expected a URL while relay.enabled is true, got "
            "nothing\n"
            "FILE: key nats.url: expected a URL while relay.enabled is true, got nothing\n");
    }
END_TEST

START_TEST(rules_between_keys_hold)
    {
        expect_errors(
            "identities:\n  admin: a:x\n  sync-service: a:x\n"
            "server: {port: 4000, max_tasks: 10}\nops:\n  port: 4000\n"
            "limits:\n  deadline_default: 40s\n  running_handlers: 10\n",
            no_environment,
            "FILE:3: key identities.sync-service: expected a URI of its own, got that of "
            "identities.admin\n"
            "FILE:6: key ops.port: expected another port than server.port, got 4000\n"
            "FILE:8: key limits.deadline_default: expected at most limits.deadline_cap (30s), got "
            "40s\n");
    }
END_TEST

/* Each would make another limit a promise that is not kept. */
START_TEST(windows_fit_into_each_other)
    {
        ck_assert_int_eq(load("limits: {header_table_bytes: 0, frame_bytes: 1MiB,"
                              " stream_window: 1MiB, connection_window: 2MiB}\n",
                              no_environment),
                         OK);
        ck_assert_uint_eq(f.config->limits.header_table_bytes, 0);
        ck_assert_uint_eq(f.config->limits.frame_bytes, 1048576);
        ck_assert_uint_eq(f.config->limits.stream_window, 1048576);
        ck_assert_uint_eq(f.config->limits.connection_window, 2097152);
        tear_down();
        set_up();
        expect_errors("limits:\n  frame_bytes: 65KiB\n", no_environment,
                      "FILE:2: key limits.frame_bytes: expected at most limits.stream_window "
                      "(64KiB), got 65KiB\n");
        tear_down();
        set_up();
        expect_errors("limits:\n  stream_window: 128KiB\n  connection_window: 64KiB\n",
                      no_environment,
                      "FILE:2: key limits.stream_window: expected at most "
                      "limits.connection_window (64KiB), got 128KiB\n");
        tear_down();
        set_up();
        expect_errors("limits:\n  connection_window: 32MiB\n  connection_memory: 16MiB\n",
                      no_environment,
                      "FILE:2: key limits.connection_window: expected at most "
                      "limits.connection_memory (16MiB), got 32MiB\n");
        tear_down();
        set_up();
        expect_errors("limits:\n  concurrent_streams: 5000\n", no_environment,
                      "FILE: key limits.stream_window: expected at most "
                      "limits.connection_memory (256MiB) divided by limits.concurrent_streams "
                      "(5000), got 64KiB\n");
        tear_down();
        set_up();
        expect_errors("limits-api-gateway:\n  concurrent_streams: 5000\n", no_environment,
                      "FILE: key limits.stream_window: expected at most "
                      "limits.connection_memory (256MiB) divided by "
                      "limits-api-gateway.concurrent_streams (5000), got 64KiB\n");
        tear_down();
        set_up();
        expect_errors("limits: {frame_bytes: 16383, stream_window: 0, connection_window: 63KiB,"
                      " header_table_bytes: 65KiB}\n",
                      no_environment,
                      "FILE:1: key limits.header_table_bytes: expected a size from 0 to 64KiB, "
                      "got \"65KiB\"\n"
                      "FILE:1: key limits.frame_bytes: expected a size from 16KiB to 1MiB, got "
                      "\"16383\"\n"
                      "FILE:1: key limits.stream_window: expected a size from 16KiB to 16MiB, got "
                      "\"0\"\n"
                      "FILE:1: key limits.connection_window: expected a size from 64KiB to 64MiB, "
                      "got \"63KiB\"\n");
    }
END_TEST

START_TEST(looks_for_changes_come_within_the_age_they_vouch_for)
    {
        ck_assert_int_eq(load("cache: {max_age: 50001us}\n", no_environment), OK);
        ck_assert_uint_eq(f.config->cache.epoch_interval_ns, 50 * NS_PER_MS);
        tear_down();
        set_up();
        expect_errors("cache:\n  max_age: 20ms\n  epoch_interval: 20ms\n", no_environment,
                      "FILE:3: key cache.epoch_interval: expected less than cache.max_age (20ms), "
                      "got 20ms\n");
        tear_down();
        set_up();
        expect_errors("cache: {max_age: 20ms}\n", no_environment,
                      "FILE: key cache.epoch_interval: expected less than cache.max_age (20ms), "
                      "got 50ms\n");
    }
END_TEST

Suite *suite_config_config(void);
Suite *suite_config_config(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, defaults_are_those_of_the_documentation);
    tcase_add_test(tcase, file_sets_every_kind);
    tcase_add_test(tcase, environment_wins_over_alias_over_file);
    tcase_add_test(tcase, seed_aliases_are_understood);
    tcase_add_test(tcase, unknown_variables_warn_and_do_not_stop);
    tcase_add_test(tcase, a_flood_of_unknown_variables_is_counted);
    tcase_add_test(tcase, empty_files_leave_the_defaults);
    tcase_add_test(tcase, what_a_use_needs_must_be_there);
    tcase_add_test(tcase, serving_with_the_relay_needs_its_servers);
    tcase_add_test(tcase, rules_between_keys_hold);
    tcase_add_test(tcase, windows_fit_into_each_other);
    tcase_add_test(tcase, looks_for_changes_come_within_the_age_they_vouch_for);
    suite_add_tcase(suite, tcase);
    return suite;
}
