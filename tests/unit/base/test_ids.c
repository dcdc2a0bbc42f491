/* uuids, ids, hashes, request ids and trace parents, clocks. */
#include "base/clock.h"
#include "base/ctx.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/random.h"
#include "base/trace_ctx.h"

#include <check.h>
#include <ctype.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

START_TEST(id_round_trips_for_random_values)
{
    for (int i = 0; i < 2000; i++) {
        struct uuid uuid;
        random_bytes(uuid.bytes, sizeof uuid.bytes);
        char text[ID_TEXT_SIZE];
        id_format(ID_TENANT, &uuid, text);
        ck_assert_uint_eq(strlen(text), 30);
        struct uuid back;
        ck_assert(id_parse(ID_TENANT, slice_of_str(text), &back));
        ck_assert(uuid_equal(&uuid, &back));
        for (char *c = text + 4; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        ck_assert(id_parse(ID_TENANT, slice_of_str(text), &back));
        ck_assert(uuid_equal(&uuid, &back));
    }
}
END_TEST

START_TEST(id_text_is_the_ulid_of_the_bits)
{
    struct uuid uuid;
    ck_assert(uuid_parse(slice_of_str("01890a5d-ac96-774b-bcce-b302099a8057"), &uuid));
    char text[ID_TEXT_SIZE];
    id_format(ID_TENANT, &uuid, text);
    ck_assert_str_eq(text, "tnt_01H455VB4PEX5VSKNK084SN02Q");
    struct uuid all = {{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    id_format(ID_EVENT, &all, text);
    ck_assert_str_eq(text, "evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}
END_TEST

/* Against arithmetic of 128 bits, one bit at a time: every bit is in the digit where a ULID has it. */
START_TEST(every_bit_has_its_digit)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (unsigned bit = 0; bit < 128; bit++) {
        struct uuid uuid = {{0}}, back;
        uuid.bytes[15 - bit / 8] = (uint8_t)(1 << bit % 8);
        char text[ID_TEXT_SIZE], wanted[ID_TEXT_SIZE] = "tnt_00000000000000000000000000";
        wanted[4 + 25 - bit / 5] = digits[1 << bit % 5];
        id_format(ID_TENANT, &uuid, text);
        ck_assert_str_eq(text, wanted);
        ck_assert(id_parse(ID_TENANT, slice_of_str(text), &back));
        ck_assert(uuid_equal(&uuid, &back));
    }
}
END_TEST

/* Every byte at every place: 26 digits take 22 letters in two cases and 10 figures each, the first only eight. */
START_TEST(id_takes_digits_and_nothing_else)
{
    for (size_t place = 4; place < ID_TEXT_SIZE - 1; place++) {
        unsigned taken = 0;
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "tnt_01H455VB4PEX5VSKNK084SN02Q";
            struct uuid uuid;
            text[place] = (char)byte;
            taken += id_parse(ID_TENANT, slice_make(text, ID_TEXT_SIZE - 1), &uuid);
        }
        ck_assert_uint_eq(taken, place == 4 ? 8 : 54);
    }
}
END_TEST

START_TEST(id_refuses_what_is_not_one)
{
    static const char *const wrong[] = {
        "",
        "tnt_",
        "tnt_01H455VB4PEX5VSKNK084SN02",   /* short */
        "tnt_01H455VB4PEX5VSKNK084SN02QQ", /* long */
        "tnt_81H455VB4PEX5VSKNK084SN02Q",  /* over 128 bits */
        "tnt_01H455VB4PEX5VSKNK084SN0IQ",  /* I */
        "tnt_01H455VB4PEX5VSKNK084SN0UQ",  /* U */
        "TNT_01H455VB4PEX5VSKNK084SN02Q",
        "usr_01H455VB4PEX5VSKNK084SN02Q",
        "01890a5d-ac96-774b-bcce-b302099a8057",
    };
    struct uuid uuid = {{9}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(!id_parse(ID_TENANT, slice_of_str(wrong[i]), &uuid), "%s", wrong[i]);
        ck_assert_uint_eq(uuid.bytes[0], 9);
    }
    ck_assert(id_parse(ID_TENANT, slice_of_str("ten_01H455VB4PEX5VSKNK084SN02Q"), &uuid));
    ck_assert(!id_parse(ID_EVENT, slice_of_str("ten_01H455VB4PEX5VSKNK084SN02Q"), &uuid));
}
END_TEST

START_TEST(uuid_text_round_trips_and_is_strict)
{
    struct uuid uuid = uuid_new();
    ck_assert_uint_eq(uuid.bytes[6] >> 4, 7);
    ck_assert_uint_eq(uuid.bytes[8] >> 6, 2);
    char text[UUID_TEXT_SIZE];
    uuid_format(&uuid, text);
    struct uuid back;
    ck_assert(uuid_parse(slice_of_str(text), &back));
    ck_assert(uuid_equal(&uuid, &back));
    ck_assert(!uuid_parse(slice_of_str("01890a5dac96774bbcceb302099a8057"), &back));
    ck_assert(!uuid_parse(slice_of_str("01890a5d-ac96-774b-bcce-b302099a805g"), &back));
    ck_assert(!uuid_parse(slice_of_str("{1890a5d-ac96-774b-bcce-b302099a8057"), &back));
    struct uuid nil = {{0}};
    ck_assert(uuid_is_nil(&nil));
    ck_assert(!uuid_is_nil(&uuid));
}
END_TEST

START_TEST(uuids_are_ordered_by_time)
{
    struct uuid first = uuid_new();
    struct timespec pause = {.tv_nsec = 3000000};
    nanosleep(&pause, NULL);
    struct uuid second = uuid_new();
    ck_assert_int_lt(memcmp(first.bytes, second.bytes, 6), 0);
}
END_TEST

START_TEST(fnv_matches_published_vectors)
{
    ck_assert_uint_eq(hash_fnv1a32(slice_of_str("")), 0x811c9dc5u);
    ck_assert_uint_eq(hash_fnv1a32(slice_of_str("a")), 0xe40c292cu);
    ck_assert_uint_eq(hash_fnv1a32(slice_of_str("foobar")), 0xbf9cf968u);
}
END_TEST

START_TEST(table_hash_is_stable_within_the_process)
{
    ck_assert_uint_eq(hash_table(slice_of_str("abc")), hash_table(slice_of_str("abc")));
    ck_assert_uint_ne(hash_table(slice_of_str("abc")), hash_table(slice_of_str("abd")));
    ck_assert_uint_ne(hash_table(slice_make("\0", 1)), hash_table(slice_make("\0\0", 2)));
}
END_TEST

START_TEST(traceparent_is_taken_when_valid)
{
    struct trace_ctx trace = {0};
    const char *header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    trace_ctx_begin(&trace, slice_of_str(header));
    ck_assert_str_eq(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    ck_assert_str_eq(trace.parent_span_id, "00f067aa0ba902b7");
    ck_assert_str_ne(trace.span_id, "00f067aa0ba902b7");
    ck_assert_uint_eq(trace.flags, 1);
    char out[TRACEPARENT_SIZE];
    trace_ctx_format(&trace, out);
    ck_assert_uint_eq(strlen(out), 55);
    struct trace_ctx next = {0};
    trace_ctx_begin(&next, slice_of_str(out));
    ck_assert_str_eq(next.trace_id, trace.trace_id);
    ck_assert_str_eq(next.parent_span_id, trace.span_id);
}
END_TEST

START_TEST(traceparent_starts_anew_when_malformed)
{
    static const char *const wrong[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct trace_ctx trace = {0};
        trace_ctx_begin(&trace, slice_of_str(wrong[i]));
        ck_assert_uint_eq(strlen(trace.trace_id), 32);
        ck_assert_str_ne(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        ck_assert_str_eq(trace.parent_span_id, "");
    }
}
END_TEST

START_TEST(request_id_is_kept_or_made)
{
    struct trace_ctx trace = {0};
    trace_ctx_request_id(&trace, slice_of_str("edge-42"));
    ck_assert_str_eq(trace.request_id, "edge-42");
    trace_ctx_request_id(&trace, slice_of_str("has space"));
    ck_assert_uint_eq(strncmp(trace.request_id, "req_", 4), 0);
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = '\0';
    trace_ctx_request_id(&trace, slice_of_str(longest));
    ck_assert_str_eq(trace.request_id, longest);
    trace_ctx_request_id(&trace, slice_make(longest, 65));
    ck_assert_uint_eq(strncmp(trace.request_id, "req_", 4), 0);
}
END_TEST

START_TEST(deadlines_saturate)
{
    ck_assert_uint_eq(deadline_after(10, 5), 15);
    ck_assert_uint_eq(deadline_after(10, NO_DEADLINE), NO_DEADLINE);
    ck_assert_uint_eq(deadline_left(10, 15), 0);
    ck_assert_int_eq(deadline_poll_ms(NO_DEADLINE, 5), -1);
    ck_assert_int_eq(deadline_poll_ms(NS_PER_MS + 1, 0), 2);
    ck_assert_int_eq(deadline_poll_ms(UINT64_MAX - 1, 0), INT32_MAX);
    char text[CLOCK_TEXT_SIZE];
    clock_format(UINT64_C(1700000000123456789), text);
    ck_assert_str_eq(text, "2023-11-14T22:13:20.123456Z");
}
END_TEST

START_TEST(backoff_stays_in_its_range)
{
    for (unsigned attempt = 0; attempt < 80; attempt++) {
        uint64_t pause = backoff_ns(attempt, 100, 5000);
        ck_assert_uint_ge(pause, 100);
        ck_assert_uint_le(pause, 5000);
    }
    ck_assert_uint_eq(backoff_ns(0, 100, 5000), 100);
}
END_TEST

START_TEST(faults_are_remembered_with_their_place)
{
    struct arena *arena = arena_new(0);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ck_assert_str_eq(ctx_fault_text(&ctx), "no fault");
    ck_assert_int_eq(FAULT(&ctx, FAULT_DATABASE, "connect: %s", "refused"), FAULT_DATABASE);
    ck_assert_ptr_nonnull(strstr(ctx_fault_text(&ctx), "DATABASE: connect: refused ("));
    ck_assert_ptr_nonnull(strstr(ctx_fault_text(&ctx), "test_ids.c:"));
    ck_assert_int_eq(FAULT(NULL, FAULT_IO, "no context"), FAULT_IO);
    arena_free(arena);
}
END_TEST

/* Two threads must not walk the same sequence, nor one stand still. */
static void *draw_names(void *out)
{
    random_name_bytes(out, 64);
    return NULL;
}

START_TEST(names_differ_from_draw_to_draw_and_from_thread_to_thread)
{
    uint8_t drawn[3 * 64];
    pthread_t other;
    draw_names(drawn);
    draw_names(drawn + 64);
    ck_assert_int_eq(pthread_create(&other, NULL, draw_names, drawn + 128), 0);
    pthread_join(other, NULL);
    for (size_t a = 0; a < 3 * 64; a += 16) {
        for (size_t b = a + 16; b < 3 * 64; b += 16)
            ck_assert_mem_ne(drawn + a, drawn + b, 16);
    }
    uint8_t odd[16] = {0};
    random_name_bytes(odd, 13); /* not a byte more */
    ck_assert_mem_eq(odd + 13, "\0\0\0", 3);
}
END_TEST

/* What two forked writers once did: the same event id in the same millisecond. */
START_TEST(children_do_not_draw_what_their_siblings_draw)
{
    uint8_t drawn[3][2][16];
    random_bytes(drawn[0][0], 16);
    random_name_bytes(drawn[0][1], 16);
    for (int child = 1; child < 3; child++) {
        int pipes[2];
        ck_assert_int_eq(pipe(pipes), 0);
        pid_t pid = fork();
        if (pid == 0) {
            random_bytes(drawn[child][0], 16);
            random_name_bytes(drawn[child][1], 16);
            _exit(write(pipes[1], drawn[child], 32) == 32 ? 0 : 1);
        }
        ck_assert_int_eq(read(pipes[0], drawn[child], 32), 32);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close(pipes[0]);
        close(pipes[1]);
    }
    ck_assert_mem_ne(drawn[1][0], drawn[2][0], 16);
    ck_assert_mem_ne(drawn[1][1], drawn[2][1], 16);
}
END_TEST

START_TEST(name_uuids_are_uuids_of_now)
{
    uint64_t before = clock_wall() / NS_PER_MS;
    for (int i = 0; i < 1000; i++) {
        struct uuid uuid = uuid_new_name();
        uint64_t ms = 0;
        for (int byte = 0; byte < 6; byte++)
            ms = ms << 8 | uuid.bytes[byte];
        ck_assert_uint_ge(ms + 20, before);
        ck_assert_uint_le(ms, clock_wall() / NS_PER_MS);
        ck_assert_int_eq(uuid.bytes[6] >> 4, 7);
        ck_assert_int_eq(uuid.bytes[8] >> 6, 2);
    }
}
END_TEST

Suite *suite_base_ids(void);
Suite *suite_base_ids(void)
{
    Suite *suite = suite_create("base/ids");
    TCase *tcase = tcase_create("ids");
    tcase_add_test(tcase, names_differ_from_draw_to_draw_and_from_thread_to_thread);
    tcase_add_test(tcase, children_do_not_draw_what_their_siblings_draw);
    tcase_add_test(tcase, name_uuids_are_uuids_of_now);
    tcase_add_test(tcase, id_round_trips_for_random_values);
    tcase_add_test(tcase, id_text_is_the_ulid_of_the_bits);
    tcase_add_test(tcase, every_bit_has_its_digit);
    tcase_add_test(tcase, id_takes_digits_and_nothing_else);
    tcase_add_test(tcase, id_refuses_what_is_not_one);
    tcase_add_test(tcase, uuid_text_round_trips_and_is_strict);
    tcase_add_test(tcase, uuids_are_ordered_by_time);
    tcase_add_test(tcase, fnv_matches_published_vectors);
    tcase_add_test(tcase, table_hash_is_stable_within_the_process);
    tcase_add_test(tcase, traceparent_is_taken_when_valid);
    tcase_add_test(tcase, traceparent_starts_anew_when_malformed);
    tcase_add_test(tcase, request_id_is_kept_or_made);
    tcase_add_test(tcase, deadlines_saturate);
    tcase_add_test(tcase, backoff_stays_in_its_range);
    tcase_add_test(tcase, faults_are_remembered_with_their_place);
    suite_add_tcase(suite, tcase);
    return suite;
}
