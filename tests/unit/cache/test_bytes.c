/* Parser bounds, the format in Redis, the breaker. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cache/breaker.h"
#include "cache/redis_reply.h"
#include "cache/stored_value.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static enum redis_parsed parse(const char *bytes, size_t size)
{
    struct redis_parser *parser = redis_parser_new();
    const struct redis_reply *reply = NULL;
    redis_parser_feed(parser, bytes, size);
    enum redis_parsed parsed = redis_parser_next(parser, &reply);
    redis_parser_free(parser);
    return parsed;
}

START_TEST(answers_arrive_byte_by_byte)
{
    static const char bytes[] =
        "*5\r\n$3\r\nab\n\r\n:-7\r\n+OK\r\n$-1\r\n*1\r\n$0\r\n\r\n-ERR no\r\n";
    struct redis_parser *parser = redis_parser_new();
    const struct redis_reply *reply = NULL;
    size_t whole = strlen(bytes) - strlen("-ERR no\r\n");
    for (size_t i = 0; i < strlen(bytes); i++) {
        redis_parser_feed(parser, bytes + i, 1);
        enum redis_parsed parsed = redis_parser_next(parser, &reply);
        bool complete = i + 1 == whole || i + 1 == strlen(bytes);
        ck_assert_int_eq(parsed, complete ? REDIS_PARSED_REPLY : REDIS_PARSED_PART);
        if (i + 1 != whole)
            continue;
        ck_assert_int_eq(reply->kind, REDIS_ARRAY);
        ck_assert_uint_eq(reply->count, 5);
        ck_assert(slice_is(reply->elements[0]->text, "ab\n"));
        ck_assert_int_eq(reply->elements[1]->integer, -7);
        ck_assert_int_eq(reply->elements[2]->kind, REDIS_STATUS);
        ck_assert_int_eq(reply->elements[3]->kind, REDIS_NIL);
        ck_assert_int_eq(reply->elements[4]->kind, REDIS_ARRAY);
        ck_assert_uint_eq(reply->elements[4]->elements[0]->text.size, 0);
    }
    ck_assert(redis_reply_is_error(reply, "ERR"));
    ck_assert(!redis_reply_is_error(reply, "ER"));
    ck_assert(!redis_reply_is_error(reply, "ERR no!"));
    redis_parser_free(parser);
}
END_TEST

START_TEST(several_answers_in_one_read)
{
    static const char bytes[] = ":1\r\n:2\r\n:3\r\n:";
    struct redis_parser *parser = redis_parser_new();
    const struct redis_reply *reply = NULL;
    redis_parser_feed(parser, bytes, strlen(bytes));
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(redis_parser_next(parser, &reply), REDIS_PARSED_REPLY);
        ck_assert_int_eq(reply->integer, i);
    }
    ck_assert_int_eq(redis_parser_next(parser, &reply), REDIS_PARSED_PART);
    redis_parser_free(parser);
}
END_TEST

START_TEST(garbage_is_told_from_answers)
{
    static const char *const texts[] = {"HTTP/1.1 400 Bad Request\r\n",
                                        "\x16\x03\x01\x02",
                                        "$x\r\n",
                                        "$-2\r\n",
                                        "*-2\r\n",
                                        "*1\r\n!\r\n",
                                        ":abc\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_msg(parse(texts[i], strlen(texts[i])) == REDIS_PARSED_GARBAGE, "case %zu", i);
}
END_TEST

START_TEST(a_huge_bulk_is_not_waited_for)
{
    size_t size = REDIS_STRING_BYTES + 64;
    char *bytes = malloc(size);
    memset(bytes, 'x', size);
    memcpy(bytes, "$999999999\r\n", 12);
    ck_assert_int_eq(parse(bytes, size), REDIS_PARSED_LARGE);
    ck_assert_int_eq(parse(bytes, 4096), REDIS_PARSED_PART);
    memset(bytes, 'x', size); /* a line that does not end */
    bytes[0] = '+';
    ck_assert_int_eq(parse(bytes, size), REDIS_PARSED_LARGE);
    free(bytes);
}
END_TEST

START_TEST(arrays_are_bounded_before_they_are_allocated)
{
    ck_assert_int_eq(parse("*2147483647\r\n", 13), REDIS_PARSED_LARGE);
    ck_assert_int_eq(parse("*65537\r\n", 8), REDIS_PARSED_LARGE);
    ck_assert_int_eq(parse("*65536\r\n", 8), REDIS_PARSED_PART);
    struct buf many = BUF_EMPTY; /* many small ones add up */
    buf_put_str(&many, "*60000\r\n");
    for (int i = 0; i < 30000; i++)
        buf_put_str(&many, "*2\r\n:1\r\n:1\r\n");
    ck_assert_int_eq(parse((const char *)many.data, buf_size(&many)), REDIS_PARSED_LARGE);
    buf_deinit(&many);
}
END_TEST

/* --- the format -------------------------------------------------------------------------------- */

static const struct stored_value sample = {.rule = CACHE_EPOCH,
                                           .stamp = {.era = UINT64_MAX, .seen = {{3, 41}, 7777}},
                                           .version = UINT64_C(0xfedcba9876543210),
                                           .began_us = 1795418284000000,
                                           .wall_us = 1795418284000123,
                                           .key = {(const uint8_t *)"slugs/{a}", 9},
                                           .value = {(const uint8_t *)"va\0ue", 5}};

START_TEST(stored_values_round_trip)
{
    struct buf bytes = BUF_EMPTY;
    struct stored_value back;
    stored_value_encode(&sample, &bytes);
    ck_assert(memcmp(bytes.data + STORED_RANK_AT + 32, "fedcba9876543210", 16) == 0);
    ck_assert(stored_value_decode(buf_slice(&bytes), sample.key, &back));
    ck_assert(back.version == sample.version && back.began_us == sample.began_us);
    ck_assert_uint_eq(back.wall_us, sample.wall_us);
    ck_assert_int_eq(back.rule, CACHE_EPOCH);
    ck_assert_uint_eq(back.stamp.era, UINT64_MAX);
    ck_assert_uint_eq(back.stamp.seen.xmin, 7777);
    ck_assert_int_eq(epoch_compare(back.stamp.seen.epoch, (struct epoch){3, 41}), 0);
    ck_assert(slice_equal(back.value, sample.value));
    buf_deinit(&bytes);
}
END_TEST

START_TEST(every_changed_byte_and_every_cut_is_found)
{
    struct buf bytes = BUF_EMPTY;
    struct stored_value back;
    stored_value_encode(&sample, &bytes);
    size_t size = buf_size(&bytes);
    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.data[i] ^= (uint8_t)(1u << bit);
            ck_assert_msg(!stored_value_decode(buf_slice(&bytes), sample.key, &back),
                          "byte %zu", i);
            bytes.data[i] ^= (uint8_t)(1u << bit);
        }
        ck_assert(!stored_value_decode(slice_make(bytes.data, i), sample.key, &back));
    }
    buf_deinit(&bytes);
}
END_TEST

START_TEST(another_keys_value_is_refused)
{
    struct buf bytes = BUF_EMPTY;
    struct stored_value back = {.version = 5};
    stored_value_encode(&sample, &bytes);
    ck_assert(!stored_value_decode(buf_slice(&bytes), slice_of_str("slugs/{b}"), &back));
    ck_assert(!stored_value_decode(buf_slice(&bytes), slice_of_str("slugs/{a}x"), &back));
    ck_assert(!stored_value_decode(buf_slice(&bytes), slice_of_str("slugs/{a"), &back));
    ck_assert_uint_eq(back.version, 5);
    /* a key longer than what follows, with a right checksum */
    memcpy(bytes.data + STORED_HEAD_SIZE - 4, "00ff", 4);
    char sum[9];
    snprintf(sum, sizeof sum, "%08x", hash_fnv1a32(slice_skip(buf_slice(&bytes), 12)));
    memcpy(bytes.data + 4, sum, 8);
    ck_assert(!stored_value_decode(buf_slice(&bytes), sample.key, &back));
    buf_deinit(&bytes);
}
END_TEST

/* What an older release left in Redis. */
START_TEST(the_old_format_is_refused)
{
    struct stored_value back;
    const char *rest = "0000000000000001"
                       "0000000000000002"
                       "0000000000000003"
                       "0009"
                       "slugs/{a}none";
    char old[160];
    snprintf(old, sizeof old, "tc1:%08x%s", hash_fnv1a32(slice_of_str(rest)), rest);
    ck_assert(!stored_value_decode(slice_of_str(old), sample.key, &back));
    memset(old + strlen(old), 'x', 60); /* nor when it is longer */
    old[159] = '\0';
    ck_assert(!stored_value_decode(slice_make(old, 150), sample.key, &back));
}
END_TEST

/* --- the breaker ------------------------------------------------------------------------------- */

START_TEST(breaker_opens_after_errors_or_timeouts_in_a_row)
{
    struct breaker breaker = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 1; i < BREAKER_ERRORS; i++)
            ck_assert(!breaker_error(&breaker));
        for (int i = 1; i < BREAKER_TIMEOUTS; i++)
            ck_assert(!breaker_timeout(&breaker));
        breaker_success(&breaker);
    }
    ck_assert(!breaker_timeout(&breaker) && !breaker_timeout(&breaker));
    ck_assert(breaker_timeout(&breaker));
    ck_assert(breaker.open);
    ck_assert(!breaker_timeout(&breaker) && !breaker_error(&breaker));
    breaker = (struct breaker){0};
    for (int i = 1; i < BREAKER_ERRORS; i++)
        ck_assert(!breaker_error(&breaker));
    ck_assert(breaker_error(&breaker));
}
END_TEST

static void expect_pause(const struct breaker *breaker, uint64_t seconds)
{
    for (int i = 0; i < 50; i++) {
        uint64_t pause = breaker_pause_ns(breaker);
        ck_assert(pause >= seconds * NS_PER_S && pause < seconds * NS_PER_S * 5 / 4);
    }
}

START_TEST(pauses_double_until_a_request_succeeds)
{
    struct breaker breaker = {0};
    while (!breaker_timeout(&breaker)) {
    }
    expect_pause(&breaker, 1);
    breaker_probe_failed(&breaker);
    expect_pause(&breaker, 2);
    breaker_probe_succeeded(&breaker); /* it greets, then stalls again */
    ck_assert(!breaker.open);
    while (!breaker_timeout(&breaker)) {
    }
    expect_pause(&breaker, 4);
    for (int i = 0; i < 100; i++)
        breaker_probe_failed(&breaker);
    expect_pause(&breaker, 8);
    breaker_probe_succeeded(&breaker);
    breaker_success(&breaker);
    while (!breaker_error(&breaker)) {
    }
    expect_pause(&breaker, 1);
}
END_TEST

Suite *suite_cache_bytes(void);
Suite *suite_cache_bytes(void)
{
    Suite *suite = suite_create("cache/bytes");
    TCase *tcase = tcase_create("bytes");
    tcase_add_test(tcase, answers_arrive_byte_by_byte);
    tcase_add_test(tcase, several_answers_in_one_read);
    tcase_add_test(tcase, garbage_is_told_from_answers);
    tcase_add_test(tcase, a_huge_bulk_is_not_waited_for);
    tcase_add_test(tcase, arrays_are_bounded_before_they_are_allocated);
    tcase_add_test(tcase, stored_values_round_trip);
    tcase_add_test(tcase, the_old_format_is_refused);
    tcase_add_test(tcase, every_changed_byte_and_every_cut_is_found);
    tcase_add_test(tcase, another_keys_value_is_refused);
    tcase_add_test(tcase, breaker_opens_after_errors_or_timeouts_in_a_row);
    tcase_add_test(tcase, pauses_double_until_a_request_succeeds);
    suite_add_tcase(suite, tcase);
    return suite;
}
