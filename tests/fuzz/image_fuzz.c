/* Reads the input as one or two images of the schema gate and compares them: an image is compatible with itself, and
 * whatever was read can be compared and reported.
 *
 * Input: two bytes that tell the size of the first image, the first image, the second image. */
#include "tools/schema-compat/compare.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

static void compare_both(struct named_image *old, struct image *new, bool same)
{
    static const char *const events[] = {"a", "tenant.events", NULL};
    static const char *const drafts[] = {"a.draft", NULL};
    struct policy policy = {.releases = old, .release_count = 1};
    for (enum rule rule = 0; rule < RULE_COUNT; rule++)
        policy.rules[rule] = true;
    struct findings findings = {0};
    compare_images(&policy, old, new, &findings);
    EXPECT(!same || findings.count == 0);
    policy.events = policy.envelopes = policy.retired = events;
    policy.drafts = drafts;
    compare_images(&policy, old, new, &findings);
    compare_drafts(&policy, new, &findings);
    findings_sort(&findings);
    struct buf out = BUF_EMPTY;
    struct report report = {&findings, NULL, 1};
    report_text(&report, &out);
    report_json(&report, &out);
    EXPECT(buf_size(&out) > 0);
    buf_deinit(&out);
    findings_deinit(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t first = ((size_t)data[0] << 8 | data[1]) % (size - 1);
    char *why = NULL;
    struct named_image old = {.name = (char[]){"old"}};
    if (!image_read(&old.image, slice_make(data + 2, first), &why)) {
        EXPECT(why != NULL && old.image.set == NULL);
        free(why);
        return 0;
    }
    compare_both(&old, &old.image, true);
    struct image new;
    if (image_read(&new, slice_make(data + 2 + first, size - 2 - first), &why)) {
        compare_both(&old, &new, false);
        image_deinit(&new);
    }
    free(why);
    image_deinit(&old.image);
    return 0;
}
