/* Runs every Check suite of one kind.  The Makefile writes the list from the file names:
 * tests/unit/<room>/test_<name>.c defines `Suite *suite_<room>_<name>(void)`.
 *
 *   runner              all suites
 *   runner loop_task    suites whose name contains the text
 *
 * The last line is `N passed, N failed`; the status is 0 only when none failed and at least one ran. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) Suite *suite_##name(void);
#include SUITES
#undef SUITE

struct entry {
    const char *name;
    Suite *(*make)(void);
};

static const struct entry entries[] = {
#define SUITE(name) {#name, suite_##name},
#include SUITES
#undef SUITE
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    /* A limit for what hangs, not a judgement of speed: Check's own four seconds fail on a busy machine. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    const char *wanted = argc > 1 ? argv[1] : "";
    SRunner *runner = NULL;
    for (const struct entry *entry = entries; entry->name != NULL; entry++) {
        if (strstr(entry->name, wanted) == NULL)
            continue;
        Suite *suite = entry->make();
        if (runner == NULL)
            runner = srunner_create(suite);
        else
            srunner_add_suite(runner, suite);
    }
    if (runner == NULL) {
        fprintf(stderr, "no suite's name contains \"%s\"\n", wanted);
        puts("0 passed, 0 failed");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    srunner_run_all(runner, CK_NORMAL);
    int run = srunner_ntests_run(runner);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    printf("%d passed, %d failed\n", run - failed, failed);
    return failed == 0 && run > 0 ? 0 : 1;
}
