/* Acknowledgement subjects, in both forms and in none. */
#include "events/ack_place.h"

#include <check.h>
#include <stdlib.h>

#define SHORT "$JS.ACK.TENANT_07.sync.3.1234.56.1700000000000000001.9"
#define LONG "$JS.ACK.hub.AAAA1111.TENANT_07.sync.3.1234.56.1700000000000000001.9"

static bool parse(const char *text, struct ack_place *place)
{
    return ack_place_parse(slice_of_str(text), place);
}

START_TEST(both_forms_say_the_same)
    {
        static const char *const forms[] = {SHORT, LONG, LONG ".later", LONG ".a.b.c"};
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            struct ack_place place = {.delivered = 0};
            ck_assert(parse(forms[i], &place));
            ck_assert(slice_is(place.stream, "TENANT_07"));
            ck_assert(slice_is(place.consumer, "sync"));
            ck_assert_uint_eq(place.delivered, 3);
            ck_assert_uint_eq(place.stream_seq, 1234);
            ck_assert_uint_eq(place.stored_ns, UINT64_C(1700000000000000001));
            ck_assert_uint_eq(place.pending, 9);
        }
    }
END_TEST

START_TEST(anything_else_is_refused)
    {
        static const char *const wrong[] = {
            "",
            "$JS.ACK.",
            "_INBOX.abc.7",
            "$JS.ACK.TENANT_07.sync.3.1234.56.17",
            "$JS.ACK.TENANT_07.sync.3.1234.56.17.9.8",
            "$JS.ACK.TENANT_07.sync.x.1234.56.17.9",
            "$JS.ACK.TENANT_07.sync.3.-1.56.17.9",
            "$JS.ACK.TENANT_07.sync.3.1234.56.17.99999999999999999999999",
            "$JS.ACK.TENANT_07..3.1234.56.17.9",
            "$JS.ACK.TENANT_07.sync.3.1234.56.17.9.",
        };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            struct ack_place place = {.delivered = 77};
            ck_assert_msg(!parse(wrong[i], &place), "%s", wrong[i]);
            ck_assert_uint_eq(place.delivered, 77);
        }
    }
END_TEST

START_TEST(no_byte_beyond_the_subject_is_read)
    {
        for (size_t size = 0; size < strlen(LONG); size++) {
            char *copy = malloc(size == 0 ? 1 : size);
            struct ack_place place;
            memcpy(copy, LONG, size);
            (void)ack_place_parse(slice_make(copy, size), &place);
            free(copy);
        }
    }
END_TEST

Suite *suite_events_ack_place(void);
Suite *suite_events_ack_place(void)
{
    Suite *suite = suite_create("events_ack_place");
    TCase *tcase = tcase_create("subjects");
    tcase_add_test(tcase, both_forms_say_the_same);
    tcase_add_test(tcase, anything_else_is_refused);
    tcase_add_test(tcase, no_byte_beyond_the_subject_is_read);
    suite_add_tcase(suite, tcase);
    return suite;
}
