/* Tokens open for whom they were sealed and for nobody else; keys rotate. */
#include "tokens/consistency_token.h"
#include "tokens/digest.h"
#include "tokens/page_token.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define HEX_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F"

static struct ctx ctx;
static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
}

static void tear_down(void)
{
    arena_free(arena);
}

static struct token_keys *keys_of(const char *text)
{
    struct token_keys *keys = NULL;
    int rc = token_keys_parse(&ctx, slice_of_str(text), &keys);
    ck_assert_msg(rc == OK, "%s", ctx.fault.text);
    return keys;
}

static void expect_bad_keys(const char *text, const char *rule)
{
    struct token_keys *keys = NULL;
    ck_assert_int_eq(token_keys_parse(&ctx, slice_of_str(text), &keys), FAULT_CONFIG);
    ck_assert_ptr_null(keys);
    ck_assert_msg(strstr(ctx.fault.text, rule) != NULL, "wanted %s, got %s", rule, ctx.fault.text);
    ck_assert_msg(strstr(ctx.fault.text, "0102") == NULL, "the key is told: %s", ctx.fault.text);
}

static struct consistency_point some_point(void)
{
    return (struct consistency_point){
        .tenant = {{1, 2, 3}}, .epoch = {7, INT64_MAX}, .sequence = 42};
}

START_TEST(consistency_tokens_come_back)
    {
        struct token_keys *keys = keys_of("k1:" HEX_A);
        const struct consistency_point point = some_point();
        const char *text = consistency_token_make(arena, keys, &point);
        struct consistency_point again;
        ck_assert(consistency_token_parse(arena, keys, slice_of_str(text), &again));
        ck_assert(uuid_equal(&again.tenant, &point.tenant));
        ck_assert_int_eq(epoch_compare(again.epoch, point.epoch), 0);
        ck_assert_int_eq(again.sequence, 42);
        token_keys_free(keys);
    }
END_TEST

START_TEST(every_changed_character_is_seen)
    {
        struct token_keys *keys = keys_of("k1:" HEX_A);
        const struct consistency_point point = some_point();
        char *text = consistency_token_make(arena, keys, &point);
        struct consistency_point again;
        for (size_t i = 0; text[i] != '\0'; i++) {
            char kept = text[i];
            text[i] = kept == 'A' ? 'B' : 'A';
            ck_assert_msg(!consistency_token_parse(arena, keys, slice_of_str(text), &again),
                          "character %zu", i);
            text[i] = kept;
        }
        for (size_t size = 0; size < strlen(text); size++)
            ck_assert(!consistency_token_parse(arena, keys, slice_make(text, size), &again));
        ck_assert(consistency_token_parse(arena, keys, slice_of_str(text), &again));
        ck_assert(!consistency_token_parse(arena, keys,
                                           slice_of_str(arena_printf(arena, "%s=", text)), &again));
        token_keys_free(keys);
    }
END_TEST

START_TEST(page_tokens_belong_to_their_query)
    {
        struct token_keys *keys = keys_of("k1:" HEX_A);
        const struct page_query query = {"admin", "/s/List", {{0}}, "a = b", "slug"};
        const struct page_cursor cursor = {"acme", {{9}}};
        struct slice text = slice_of_str(page_token_make(arena, keys, &query, &cursor));
        const struct page_cursor *again = page_token_parse(arena, keys, &query, text);
        ck_assert_ptr_nonnull(again);
        ck_assert_str_eq(again->key, "acme");
        ck_assert(uuid_equal(&again->id, &cursor.id));
        const struct page_query others[] = {
            {"gateway", "/s/List", {{0}}, "a = b", "slug"},
            {"admin", "/s/Other", {{0}}, "a = b", "slug"},
            {"admin", "/s/List", {{1}}, "a = b", "slug"},
            {"admin", "/s/List", {{0}}, "a = c", "slug"},
            {"admin", "/s/List", {{0}}, "a = b", ""},
            {"admin", "/s/List", {{0}}, "a = bs", "lug"},
        };
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
            ck_assert_msg(page_token_parse(arena, keys, &others[i], text) == NULL, "other %zu", i);
        struct consistency_point point;
        ck_assert_msg(!consistency_token_parse(arena, keys, text, &point), "another purpose");
        token_keys_free(keys);
    }
END_TEST

START_TEST(keys_rotate)
    {
        struct token_keys *keys = keys_of("old:" HEX_A "\n");
        const struct consistency_point point = some_point();
        const char *old = consistency_token_make(arena, keys, &point);
        struct consistency_point again;
        token_keys_replace(keys, keys_of("# rotated\n\nnew " HEX_B "\r\nold\t" HEX_A "\n"));
        ck_assert_msg(consistency_token_parse(arena, keys, slice_of_str(old), &again),
                      "the old key still verifies");
        char id[TOKEN_KEY_ID_MAX + 1];
        token_keys_signer(keys, id);
        ck_assert_str_eq(id, "new");
        const char *new = consistency_token_make(arena, keys, &point);
        token_keys_replace(keys, keys_of("new:" HEX_B));
        ck_assert(consistency_token_parse(arena, keys, slice_of_str(new), &again));
        ck_assert_msg(!consistency_token_parse(arena, keys, slice_of_str(old), &again),
                      "its key is gone");
        token_keys_replace(keys, keys_of("new:" HEX_A));
        ck_assert_msg(!consistency_token_parse(arena, keys, slice_of_str(new), &again),
                      "another key of the same name");
        token_keys_free(keys);
    }
END_TEST

START_TEST(bad_key_files_are_refused)
    {
        char many[TOKEN_KEYS_MAX * 80 + 200] = "";
        expect_bad_keys("", "holds no key");
        expect_bad_keys("# nothing\n", "holds no key");
        expect_bad_keys("k1", "line 1: after the id must stand 64");
        expect_bad_keys("\nk1:00", "line 2: after the id must stand 64");
        expect_bad_keys("k1:" HEX_A "0", "after the id must stand 64");
        expect_bad_keys("k1:" HEX_A " more", "after the id must stand 64");
        expect_bad_keys("k1:g" HEX_A, "after the id must stand 64");
        expect_bad_keys("k 1:" HEX_A, "after the id must stand 64");
        expect_bad_keys("k!:" HEX_A, "the id must be 1 to 16");
        expect_bad_keys("a1234567890123456:" HEX_A, "the id must be 1 to 16");
        expect_bad_keys("k1:" HEX_A "\nk1:" HEX_B, "line 2: this id stands in it twice");
        for (int i = 0; i <= TOKEN_KEYS_MAX; i++)
            snprintf(many + strlen(many), sizeof many - strlen(many), "k%d:%s\n", i, HEX_A);
        expect_bad_keys(many, "line 17: more than 16 keys");
        struct token_keys *keys = NULL;
        ck_assert_int_eq(token_keys_load(&ctx, "/nowhere/keys", &keys), FAULT_CONFIG);
        ck_assert_ptr_nonnull(strstr(ctx.fault.text, "/nowhere/keys: No such file"));
    }
END_TEST

START_TEST(random_keys_differ)
    {
        struct token_keys *one = token_keys_random();
        struct token_keys *two = token_keys_random();
        const struct consistency_point point = some_point();
        const char *text = consistency_token_make(arena, one, &point);
        struct consistency_point again;
        ck_assert(consistency_token_parse(arena, one, slice_of_str(text), &again));
        ck_assert(!consistency_token_parse(arena, two, slice_of_str(text), &again));
        token_keys_free(one);
        token_keys_free(two);
    }
END_TEST

/* FIPS 180-4, example of SHA-256 in two parts: "abc". */
START_TEST(digest_is_sha256)
    {
        uint8_t out[DIGEST_BYTES];
        struct digest digest;
        digest_begin(&digest);
        digest_put(&digest, slice_of_str("a"));
        digest_put(&digest, slice_of_str("bc"));
        digest_end(&digest, out);
        static const uint8_t start[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
        ck_assert_mem_eq(out, start, sizeof start);
    }
END_TEST

Suite *suite_tokens_tokens(void);
Suite *suite_tokens_tokens(void)
{
    Suite *suite = suite_create("tokens");
    TCase *cases = tcase_create("tokens");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, consistency_tokens_come_back);
    tcase_add_test(cases, every_changed_character_is_seen);
    tcase_add_test(cases, page_tokens_belong_to_their_query);
    tcase_add_test(cases, keys_rotate);
    tcase_add_test(cases, bad_key_files_are_refused);
    tcase_add_test(cases, random_keys_differ);
    tcase_add_test(cases, digest_is_sha256);
    suite_add_tcase(suite, cases);
    return suite;
}
