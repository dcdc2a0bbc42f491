/* What the feed's statement says of its snapshot. */
#include "store/epoch_store.h"

#include <check.h>

static bool parse(const char *text, uint64_t *xmin, uint64_t *xmax)
{
    return epoch_snapshot_parse(slice_of_str(text), xmin, xmax);
}

START_TEST(snapshots_are_read)
{
    uint64_t xmin = 0;
    uint64_t xmax = 0;
    ck_assert(parse("748:748:", &xmin, &xmax));
    ck_assert(xmin == 748 && xmax == 748);
    ck_assert(parse("9:4294967400:9,4294967399", &xmin, &xmax));
    ck_assert(xmin == 9 && xmax == UINT64_C(4294967400));
}
END_TEST

START_TEST(what_is_none_is_refused)
{
    static const char *const none[] = {
        "",      ":",      "1",      "1:",       "1:2",
        "a:2:",  "1:b:",   "-1:2:",  "1 :2:",    "5:4:",
        "0:4:",  ":4:",    "1::",    "99999999999999999999:99999999999999999999:",
    };
    uint64_t xmin = 77;
    uint64_t xmax = 77;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        ck_assert_msg(!parse(none[i], &xmin, &xmax), "\"%s\"", none[i]);
    ck_assert(xmin == 77 && xmax == 77);
}
END_TEST

Suite *suite_store_epochs(void);
Suite *suite_store_epochs(void)
{
    Suite *suite = suite_create("store/epochs");
    TCase *tcase = tcase_create("epochs");
    tcase_add_test(tcase, snapshots_are_read);
    tcase_add_test(tcase, what_is_none_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
