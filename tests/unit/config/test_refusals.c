/* Every complaint about a file, a key or a variable names its place. */
#include "tests/unit/config/loaded.h"

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

Suite *suite_config_refusals(void);
Suite *suite_config_refusals(void)
{
    Suite *suite = suite_create("config_refusals");
    TCase *tcase = tcase_create("refusals");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, bad_values_name_file_line_key_and_what_was_expected);
    tcase_add_test(tcase, bad_variables_are_named);
    tcase_add_test(tcase, unknown_keys_are_refused_with_a_suggestion);
    tcase_add_test(tcase, wrong_structure_is_refused_with_its_line);
    tcase_add_test(tcase, broken_yaml_is_refused_with_its_line);
    tcase_add_test(tcase, files_that_cannot_be_read_are_named);
    tcase_add_test(tcase, cut_and_broken_files_never_crash);
    suite_add_tcase(suite, tcase);
    return suite;
}
