/* Loading from file, environment and defaults; every complaint names its place. */
#include "config/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct arena *arena;
    struct ctx ctx;
    struct config_notes notes;
    struct config *config;
    char file[64];
};

static struct fixture f;
static char *no_environment[] = {NULL};

static void set_up(void)
{
    f = (struct fixture){.arena = arena_new(0)};
    ctx_init(&f.ctx, NULL, f.arena);
}

static void tear_down(void)
{
    config_free(f.config);
    config_notes_deinit(&f.notes);
    if (f.file[0] != '\0')
        unlink(f.file);
    arena_free(f.arena);
}

static void write_file(const char *yaml, size_t size)
{
    strcpy(f.file, "/tmp/test_config_XXXXXX");
    int fd = mkstemp(f.file);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, yaml, size), (ssize_t)size);
    close(fd);
}

static int load_for(const char *yaml, char **environment, unsigned use)
{
    if (yaml != NULL)
        write_file(yaml, strlen(yaml));
    struct config_source source = {
        .file = yaml == NULL ? NULL : f.file, .environment = environment, .use = use};
    return config_load(&f.ctx, &source, &f.notes, &f.config);
}

static int load(const char *yaml, char **environment)
{
    return load_for(yaml, environment, 0);
}

/* The notes with the file's name replaced, so that a test can say "FILE:3". */
static const char *text_of(struct buf *lines)
{
    static char out[16384];
    const char *text = buf_str(lines);
    size_t used = 0;
    while (*text != '\0' && used < sizeof out - 8) {
        size_t length = strlen(f.file);
        if (length > 0 && strncmp(text, f.file, length) == 0) {
            memcpy(out + used, "FILE", 4);
            used += 4;
            text += length;
        } else {
            out[used++] = *text++;
        }
    }
    out[used] = '\0';
    return out;
}

static void expect_errors(const char *yaml, char **environment, const char *errors)
{
    ck_assert_int_eq(load(yaml, environment), FAULT_CONFIG);
    ck_assert_ptr_null(f.config);
    ck_assert_str_eq(text_of(&f.notes.errors), errors);
}

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

START_TEST(bad_values_name_file_line_key_and_what_was_expected)
    {
        expect_errors(
            "region: xx\n"
            "server:\n"
            "  port: 70000\n"
            "  workers: many\n"
            "  drain_grace: 5\n"
            "log:\n"
            "  level: loud\n"
            "limits: {header_bytes: 16KB, message_bytes: 1}\n",
            no_environment,
            "FILE:1: key region: expected us, eu, me or ap, got \"xx\"\n"
            "FILE:7: key log.level: expected debug, info, warn or error, got \"loud\"\n"
            "FILE:3: key server.port: expected a number from 0 to 65535, got \"70000\"\n"
            "FILE:4: key server.workers: expected a number from 0 to 256, got \"many\"\n"
            "FILE:5: key server.drain_grace: expected a duration from 100ms to 1h, got \"5\"\n"
            "FILE:8: key limits.header_bytes: expected a size from 1KiB to 1MiB, got \"16KB\"\n"
            "FILE:8: key limits.message_bytes: expected a size from 1KiB to 64MiB, got \"1\"\n");
        ck_assert_uint_eq(f.notes.error_count, 7);
        ck_assert_ptr_nonnull(strstr(ctx_fault_text(&f.ctx), "(and 6 more)"));
    }
END_TEST

START_TEST(bad_variables_are_named)
    {
        char *environment[] = {"TENANT_SERVER_PORT=-1", "REGION=mars", "TENANT_RELAY_ENABLED=maybe",
                               NULL};
        expect_errors(
            NULL, environment,
            "REGION: key region: expected us, eu, me or ap, got \"mars\"\n"
            "TENANT_SERVER_PORT: key server.port: expected a number from 0 to 65535, got \"-1\"\n"
            "TENANT_RELAY_ENABLED: key relay.enabled: expected true or false, got \"maybe\"\n");
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

START_TEST(unknown_keys_are_refused_with_a_suggestion)
    {
        expect_errors(
            "server:\n  prot: 1\n  workers: 2\nservr: {port: 1, list: [a, {b: c}]}\n"
            "nonsense_of_all_kinds: 1\nregion: xx\n",
            no_environment,
            "FILE:2: key server.prot: expected a known key, got this one; did you mean server.port?\n"
            "FILE:4: key servr: expected a known key, got this one\n"
            "FILE:5: key nonsense_of_all_kinds: expected a known key, got this one\n"
            "FILE:6: key region: expected us, eu, me or ap, got \"xx\"\n");
    }
END_TEST

START_TEST(wrong_structure_is_refused_with_its_line)
    {
        static const struct {
            const char *yaml;
            const char *error;
        } cases[] = {
            {"server: 5\n", "FILE:1: key server: expected a section of keys, got a value\n"},
            {"server:\n", "FILE:1: key server: expected a section of keys, got a value\n"},
            {"region: [eu]\n", "FILE:1: key region: expected one value, got a list\n"},
            {"region: {eu: 1}\n", "FILE:1: key region: expected one value, got a section\n"},
            {"server:\n  port: {a: [b]}\n",
             "FILE:2: key server.port: expected one value, got a section\n"},
            {"region: eu\nregion: us\n",
             "FILE:2: key region: expected once, got it again after line 1\n"},
            {"log: {level: info}\nlog: {format: json}\n",
             "FILE:2: key log: expected once, got the section again\n"},
            {"- a\n- b\n", "FILE:1: expected a key, got a list\n"},
            {"just text\n", "FILE:1: expected keys with values, got plain text\n"},
            {"region: &a eu\nenvironment: *a\n",
             "FILE:2: key environment: expected one value, got an alias\n"},
            {"region: eu\n---\nregion: us\n",
             "FILE:2: expected one document, got another \"---\"\n"},
            {"[a, b]: c\nregion: [x]\n", "FILE:1: expected a key, got a list\n"
                                         "FILE:2: key region: expected one value, got a list\n"},
            {"\"region\\0\": eu\n", "FILE:1: expected a key, got one with a NUL byte\n"},
            {"server:\n  \"port\\0x\": {a: b}\n  workers: x\n",
             "FILE:2: expected a key, got one with a NUL byte\n"},
            {"\"server\\0\": {port: 1}\n", "FILE:1: expected a key, got one with a NUL byte\n"},
            {"region: \"e\\0u\"\n", "FILE:1: key region: expected text, got a NUL byte\n"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            expect_errors(cases[i].yaml, no_environment, cases[i].error);
            tear_down();
            set_up();
        }
    }
END_TEST

START_TEST(broken_yaml_is_refused_with_its_line)
    {
        ck_assert_int_eq(load("region: eu\nserver:\n  port: 1\nops: }\n", no_environment),
                         FAULT_CONFIG);
        const char *error = text_of(&f.notes.errors);
        ck_assert_msg(strncmp(error, "FILE:4: expected YAML, got: ", 28) == 0, "%s", error);
        ck_assert_uint_eq(f.notes.error_count, 1);
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

START_TEST(files_that_cannot_be_read_are_named)
    {
        struct config_source source = {.file = "/nonexistent/x.yaml",
                                       .environment = no_environment};
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &f.config), FAULT_CONFIG);
        ck_assert_str_eq(buf_str(&f.notes.errors),
                         "/nonexistent/x.yaml: expected a readable file, got: "
                         "No such file or directory\n");
        config_notes_deinit(&f.notes);
        source.file = "/tmp";
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &f.config), FAULT_CONFIG);
        ck_assert_str_eq(buf_str(&f.notes.errors),
                         "/tmp: expected a readable file, got: Is a directory\n");
        config_notes_deinit(&f.notes);
        source.file = "/dev/zero";
        source.use = CONFIG_FOR_SERVE; /* what an unusable file lacks is no error of its own */
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &f.config), FAULT_CONFIG);
        ck_assert_str_eq(buf_str(&f.notes.errors),
                         "/dev/zero: expected at most 1048576 bytes, got more\n");
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

START_TEST(secrets_are_never_repeated)
    {
        char *environment[] = {"DATABASE_URL=mysql://u:hunter2@h/d", NULL};
        expect_errors(NULL, environment,
                      "DATABASE_URL: key database.url: expected a URL with a host that begins with "
                      "postgresql:// or postgres://, got something else (21 bytes, not shown)\n");
        tear_down();
        set_up();
        char *seed[] = {"NATS_CREDS=SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
                        NULL};
        ck_assert_int_eq(load(NULL, seed), FAULT_CONFIG);
        ck_assert_ptr_null(strstr(text_of(&f.notes.errors), "SUACSSL"));
        ck_assert_ptr_nonnull(strstr(text_of(&f.notes.errors), "NATS_CREDS: key nats.seed_file: "));
    }
END_TEST

/* A file of its own for a secret; removed by the test. */
static const char *write_secret(const char *content, size_t size, unsigned mode)
{
    static char path[32];
    strcpy(path, "/tmp/test_secret_XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

START_TEST(urls_come_from_files_too)
    {
        static const char *const contents[] = {"postgresql://u:s3cret@h/d",
                                               "postgresql://u:s3cret@h/d\n",
                                               "postgresql://u:s3cret@h/d\r\n\n"};
        for (size_t i = 0; i < 3; i++) {
            const char *path = write_secret(contents[i], strlen(contents[i]), 0644);
            char variable[64];
            snprintf(variable, sizeof variable, "%s=%s",
                     i == 0 ? "DATABASE_URL_FILE" : "TENANT_DATABASE_URL_FILE", path);
            char *environment[] = {variable, "TENANT_DATABASE_URL=", NULL};
            ck_assert_int_eq(load("region: eu\n", environment), OK);
            unlink(path);
            ck_assert_str_eq(f.config->database.url, "postgresql://u:s3cret@h/d");
            tear_down();
            set_up();
        }
    }
END_TEST

START_TEST(a_secret_from_a_file_is_shown_masked_and_can_be_loaded_again)
    {
        const char *path = write_secret("redis://:s3cret@h:1\n", 20, 0600);
        char yaml[96];
        snprintf(yaml, sizeof yaml, "redis:\n  url_file: %s\n", path);
        ck_assert_int_eq(load(yaml, no_environment), OK);
        ck_assert_str_eq(f.config->redis.url, "redis://:s3cret@h:1");
        struct buf out = BUF_EMPTY;
        config_print_effective(f.config, &out);
        char expected[160];
        snprintf(expected, sizeof expected,
                 "redis:\n  # url: \"redis://:****@h:1\"  # content of %s\n"
                 "  url_file: \"%s\"  # FILE:2\n",
                 path, path);
        ck_assert_ptr_nonnull(strstr(text_of(&out), expected));
        ck_assert_ptr_null(strstr(buf_str(&out), "s3cret"));
        FILE *file = fopen(f.file, "w");
        fputs(buf_str(&out), file);
        fclose(file);
        struct config_source source = {.file = f.file, .environment = no_environment};
        struct config *again = NULL;
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &again), OK);
        ck_assert_str_eq(again->redis.url, "redis://:s3cret@h:1");
        unlink(path);
        buf_deinit(&out);
        config_free(again);
    }
END_TEST

static void expect_secret_refused(const char *path, const char *got)
{
    char variable[128];
    char expected[512];
    snprintf(variable, sizeof variable, "TENANT_NATS_URL_FILE=%s", path);
    char *environment[] = {variable, NULL};
    snprintf(expected, sizeof expected,
             "TENANT_NATS_URL_FILE: key nats.url_file: expected a readable file, got: %s: %s\n",
             path, got);
    /* one complaint, though the relay also misses what the file should have held */
    ck_assert_int_eq(load_for("region: eu\n", environment, CONFIG_FOR_RELAY), FAULT_CONFIG);
    const char *errors = text_of(&f.notes.errors);
    ck_assert_ptr_nonnull(strstr(errors, expected));
    ck_assert_ptr_null(strstr(errors, "key nats.url:"));
    ck_assert_ptr_null(strstr(errors, "hunter2"));
    tear_down();
    set_up();
}

START_TEST(secret_files_that_will_not_do_are_named)
    {
        static char large[9000];
        memset(large, 'x', sizeof large);
        const struct {
            const char *content;
            size_t size;
            unsigned mode;
            const char *got;
        } cases[] = {
            {"nats://a:hunter2@h", 18, 0666, "one that everybody may write (chmod o-w)"},
            {large, sizeof large, 0600, "more than 8192 bytes"},
            {"", 0, 0600, "an empty one"},
            {"\n\n", 2, 0600, "an empty one"},
            {"nats://h\0hunter2", 16, 0600, "a NUL byte in it"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const char *path = write_secret(cases[i].content, cases[i].size, cases[i].mode);
            expect_secret_refused(path, cases[i].got);
            unlink(path);
        }
        expect_secret_refused("/nonexistent/secret", "No such file or directory");
        expect_secret_refused("/tmp", "something that is no regular file");
        expect_secret_refused("/dev/zero", "something that is no regular file");
    }
END_TEST

START_TEST(a_bad_value_in_a_secret_file_is_not_repeated)
    {
        const char *path = write_secret("mysql://u:hunter2@h/d\n", 22, 0600);
        char variable[64];
        snprintf(variable, sizeof variable, "TENANT_DATABASE_URL_FILE=%s", path);
        char *environment[] = {variable, NULL};
        char expected[256];
        snprintf(expected, sizeof expected,
                 "%s: key database.url: expected a URL with a host that begins with postgresql:// "
                 "or postgres://, got something else (21 bytes, not shown)\n",
                 path);
        expect_errors(NULL, environment, expected);
        unlink(path);
    }
END_TEST

START_TEST(a_value_and_a_file_for_it_are_one_too_many)
    {
        const char *path = write_secret("redis://h:1\n", 12, 0600);
        char variable[64];
        snprintf(variable, sizeof variable, "TENANT_REDIS_URL_FILE=%s", path);
        char *environment[] = {variable, NULL};
        expect_errors("redis:\n  url: redis://:hunter2@h:2\n", environment,
                      "TENANT_REDIS_URL_FILE: key redis.url_file: expected either this or "
                      "redis.url, got both (the other at FILE:2)\n");
        unlink(path);
    }
END_TEST

START_TEST(files_of_secrets_that_everybody_may_write_are_refused)
    {
        const char *path = write_secret("k1:00\n", 6, 0666);
        char variable[64];
        snprintf(variable, sizeof variable, "TENANT_TOKENS_KEYS_FILE=%s", path);
        char *environment[] = {variable, NULL};
        char expected[256];
        snprintf(expected, sizeof expected,
                 "TENANT_TOKENS_KEYS_FILE: key tokens.keys_file: expected a readable file, got: "
                 "%s: one that everybody may write (chmod o-w)\n",
                 path);
        expect_errors(NULL, environment, expected);
        tear_down();
        set_up();
        ck_assert_int_eq(chmod(path, 0664), 0);
        ck_assert_int_eq(load(NULL, environment), OK);
        unlink(path);
    }
END_TEST

START_TEST(effective_configuration_shows_values_and_origins_without_secrets)
    {
        char *environment[] = {"TENANT_REDIS_URL=rediss://:s3cret@h1:1,h2:2",
                               "DATABASE_URL=postgresql://u:a@b:p@h/d?password=x&sslmode=require",
                               NULL};
        ck_assert_int_eq(load("region: eu\nserver:\n  drain_grace: 90s\n", environment), OK);
        struct buf out = BUF_EMPTY;
        config_print_effective(f.config, &out);
        const char *text = text_of(&out);
        ck_assert_ptr_nonnull(strstr(text, "region: \"eu\"  # FILE:1\n"));
        ck_assert_ptr_nonnull(strstr(text, "server:\n  address: \"0.0.0.0\"  # default\n"));
        ck_assert_ptr_nonnull(strstr(text, "  drain_grace: 90s  # FILE:3\n"));
        ck_assert_ptr_nonnull(strstr(text, "  header_bytes: 16KiB  # default\n"));
        ck_assert_ptr_nonnull(
            strstr(text, "  url: \"rediss://:****@h1:1,h2:2\"  # variable TENANT_REDIS_URL\n"));
        ck_assert_ptr_nonnull(strstr(
            text,
            "  url: \"postgresql://u:****@h/d?password=****&sslmode=require\"  # variable DATABASE_URL\n"));
        ck_assert_ptr_null(strstr(text, "s3cret"));
        buf_deinit(&out);
    }
END_TEST

START_TEST(effective_configuration_can_be_loaded_again)
    {
        ck_assert_int_eq(
            load("region: ap\nlimits: {age: 31m}\nenvironment: 'a\"b\\c'\n", no_environment), OK);
        struct buf first = BUF_EMPTY;
        config_print_effective(f.config, &first);
        struct config_source source = {.file = f.file, .environment = no_environment};
        FILE *file = fopen(f.file, "w");
        fputs(buf_str(&first), file);
        fclose(file);
        struct config *again = NULL;
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &again), OK);
        ck_assert_str_eq(again->region, "ap");
        ck_assert_str_eq(again->environment, "a\"b\\c");
        ck_assert_uint_eq(again->limits.age_ns, f.config->limits.age_ns);
        ck_assert_mem_eq(&again->limits, &f.config->limits, sizeof again->limits);
        buf_deinit(&first);
        config_free(again);
    }
END_TEST

START_TEST(differences_are_told_by_what_a_reload_can_do)
    {
        ck_assert_int_eq(load("redis: {url: 'redis://:a@h:1'}\nlog: {level: warn}\n", no_environment),
                         OK);
        struct config *first = f.config;
        unlink(f.file);
        f.config = NULL;
        ck_assert_int_eq(load("redis: {url: 'redis://:b@h:1'}\nlog: {level: 'warn'}\n"
                              "limits: {idle: 1m, header_bytes: 16384}\nrelay: {enabled: false}\n"
                              "identities: {admin: 'a:b'}\nserver: {port: 1}\n",
                              no_environment),
                         OK);
        struct buf live = BUF_EMPTY;
        struct buf restart = BUF_EMPTY;
        ck_assert_uint_eq(config_differences(first, f.config, CONFIG_CHANGE_LIVE, &live), 3);
        ck_assert_uint_eq(config_differences(first, f.config, CONFIG_CHANGE_RESTART, &restart), 2);
        ck_assert_str_eq(buf_str(&live), "identities.admin, redis.url, limits.idle");
        ck_assert_str_eq(buf_str(&restart), "server.port, relay.enabled");
        buf_clear(&live);
        ck_assert_uint_eq(config_differences(first, first, CONFIG_CHANGE_LIVE, &live), 0);
        ck_assert_uint_eq(config_differences(first, first, CONFIG_CHANGE_RESTART, &live), 0);
        ck_assert_uint_eq(buf_size(&live), 0);
        buf_deinit(&live);
        buf_deinit(&restart);
        config_free(first);
    }
END_TEST

START_TEST(of_a_databases_url_the_password_alone_is_live)
    {
        static const struct {
            const char *url;
            enum config_change change;
        } cases[] = {
            {"postgresql://u:b@h/d?sslmode=require", CONFIG_CHANGE_LIVE},
            {"postgresql://u:b@h:1/d?sslmode=require", CONFIG_CHANGE_RESTART},
            {"postgresql://v:a@h/d?sslmode=require", CONFIG_CHANGE_RESTART},
            {"postgresql://u:a@h/d?sslmode=disable", CONFIG_CHANGE_RESTART},
        };
        char first[] = "DATABASE_URL=postgresql://u:a@h/d?sslmode=require";
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char second[128];
            snprintf(second, sizeof second, "DATABASE_URL=%s", cases[i].url);
            char *one[] = {first, NULL};
            char *other[] = {second, NULL};
            ck_assert_int_eq(load(NULL, one), OK);
            struct config *before = f.config;
            ck_assert_int_eq(load(NULL, other), OK);
            for (int change = CONFIG_CHANGE_LIVE; change <= CONFIG_CHANGE_RESTART; change++) {
                struct buf paths = BUF_EMPTY;
                (void)config_differences(before, f.config, (enum config_change)change, &paths);
                ck_assert_str_eq(buf_str(&paths),
                                 (int)cases[i].change == change ? "database.url" : "");
                buf_deinit(&paths);
            }
            config_free(before);
            tear_down();
            set_up();
        }
    }
END_TEST

START_TEST(markdown_has_a_row_for_each_key)
    {
        struct buf out = BUF_EMPTY;
        config_print_schema_markdown(&out);
        const char *text = buf_str(&out);
        ck_assert_ptr_nonnull(strstr(text, "| `server.port` | `3000` | `TENANT_SERVER_PORT` |  | "));
        ck_assert_ptr_nonnull(strstr(text, "| `log.level` | `info` | `TENANT_LOG_LEVEL` | yes | "));
        ck_assert_ptr_nonnull(strstr(text, "| `database.url` | needed | `TENANT_DATABASE_URL`, "
                                           "`DATABASE_URL` | "));
        ck_assert_ptr_nonnull(strstr(text, "`TENANT_IDENTITIES_API_GATEWAY`"));
        buf_deinit(&out);
    }
END_TEST

START_TEST(cut_and_broken_files_never_crash)
    {
        static const char yaml[] =
            "region: eu\nserver: {port: 3000, \"workers\": 2}\n"
            "identities:\n  admin: 'a:b'\nlimits:\n  - x\n  ? {a: b}\n  : [c]\n";
        for (size_t size = 0; size < sizeof yaml; size++) {
            for (int twist = 0; twist < 4; twist++) {
                char copy[sizeof yaml];
                memcpy(copy, yaml, sizeof yaml);
                if (twist > 0)
                    copy[size] = (char)(twist == 1 ? ':' : twist == 2 ? 0x80 : '[');
                write_file(copy, twist > 0 ? sizeof yaml - 1 : size);
                struct config_source source = {.file = f.file, .environment = no_environment};
                int result = config_load(&f.ctx, &source, &f.notes, &f.config);
                ck_assert_int_eq(result == OK, f.notes.error_count == 0);
                tear_down();
                set_up();
            }
        }
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
    tcase_add_test(tcase, bad_values_name_file_line_key_and_what_was_expected);
    tcase_add_test(tcase, bad_variables_are_named);
    tcase_add_test(tcase, unknown_variables_warn_and_do_not_stop);
    tcase_add_test(tcase, a_flood_of_unknown_variables_is_counted);
    tcase_add_test(tcase, unknown_keys_are_refused_with_a_suggestion);
    tcase_add_test(tcase, wrong_structure_is_refused_with_its_line);
    tcase_add_test(tcase, broken_yaml_is_refused_with_its_line);
    tcase_add_test(tcase, empty_files_leave_the_defaults);
    tcase_add_test(tcase, files_that_cannot_be_read_are_named);
    tcase_add_test(tcase, what_a_use_needs_must_be_there);
    tcase_add_test(tcase, serving_with_the_relay_needs_its_servers);
    tcase_add_test(tcase, rules_between_keys_hold);
    tcase_add_test(tcase, looks_for_changes_come_within_the_age_they_vouch_for);
    tcase_add_test(tcase, secrets_are_never_repeated);
    tcase_add_test(tcase, urls_come_from_files_too);
    tcase_add_test(tcase, a_secret_from_a_file_is_shown_masked_and_can_be_loaded_again);
    tcase_add_test(tcase, secret_files_that_will_not_do_are_named);
    tcase_add_test(tcase, a_bad_value_in_a_secret_file_is_not_repeated);
    tcase_add_test(tcase, a_value_and_a_file_for_it_are_one_too_many);
    tcase_add_test(tcase, files_of_secrets_that_everybody_may_write_are_refused);
    tcase_add_test(tcase, effective_configuration_shows_values_and_origins_without_secrets);
    tcase_add_test(tcase, effective_configuration_can_be_loaded_again);
    tcase_add_test(tcase, differences_are_told_by_what_a_reload_can_do);
    tcase_add_test(tcase, of_a_databases_url_the_password_alone_is_live);
    tcase_add_test(tcase, markdown_has_a_row_for_each_key);
    tcase_add_test(tcase, cut_and_broken_files_never_crash);
    suite_add_tcase(suite, tcase);
    return suite;
}
