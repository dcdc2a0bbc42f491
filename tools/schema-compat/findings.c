/* The list of findings; see findings.h. */
#include "findings.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int compare_findings(const void *a, const void *b);
static int compare_content(const struct finding *left, const struct finding *right);
static void finding_deinit(struct finding *finding);
static void merge(struct finding *into, struct finding *from);

void findings_add(struct findings *findings, struct finding finding)
{
    if ((findings->count & (findings->count - 1)) == 0) /* grows at every power of two */
        findings->items =
            xrealloc(findings->items,
                     (findings->count == 0 ? 1 : 2 * findings->count) * sizeof findings->items[0]);
    findings->items[findings->count++] = finding;
}

void findings_sort(struct findings *findings)
{
    if (findings->count == 0)
        return;
    qsort(findings->items, findings->count, sizeof findings->items[0], compare_findings);
    size_t kept = 1;
    for (size_t i = 1; i < findings->count; i++) {
        if (compare_content(&findings->items[kept - 1], &findings->items[i]) == 0)
            merge(&findings->items[kept - 1], &findings->items[i]);
        else
            findings->items[kept++] = findings->items[i];
    }
    findings->count = kept;
}

void findings_deinit(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        finding_deinit(&findings->items[i]);
    free(findings->items);
    *findings = (struct findings){0};
}

char *report_path(const struct report *report, const char *file)
{
    for (size_t i = 0; file[0] != '\0' && report->roots != NULL && report->roots[i] != NULL; i++) {
        struct buf path = BUF_EMPTY;
        buf_printf(&path, "%s/%s", report->roots[i], file);
        char *text = xstrdup(buf_str(&path));
        buf_deinit(&path);
        if (access(text, F_OK) == 0)
            return text;
        free(text);
    }
    return xstrdup(file);
}

/* Images in their order behind all else, so that merged findings name them in it. */
static int compare_findings(const void *a, const void *b)
{
    int by = compare_content(a, b);
    return by != 0
               ? by
               : strcmp(((const struct finding *)a)->against, ((const struct finding *)b)->against);
}

static int compare_content(const struct finding *left, const struct finding *right)
{
    int by = strcmp(left->file, right->file);
    if (by == 0)
        by = (left->line > right->line) - (left->line < right->line);
    if (by == 0)
        by = (left->rule > right->rule) - (left->rule < right->rule);
    if (by == 0)
        by = strcmp(left->subject, right->subject);
    return by != 0 ? by : strcmp(left->message, right->message);
}

/* Sorted, the same image can only be the last one named. */
static void merge(struct finding *into, struct finding *from)
{
    const char *comma = strrchr(into->against, ',');
    if (strcmp(comma == NULL ? into->against : comma + 2, from->against) != 0) {
        struct buf both = BUF_EMPTY;
        buf_printf(&both, "%s, %s", into->against, from->against);
        free(into->against);
        into->against = xstrdup(buf_str(&both));
        buf_deinit(&both);
    }
    finding_deinit(from);
}

static void finding_deinit(struct finding *finding)
{
    free(finding->file);
    free(finding->subject);
    free(finding->message);
    free(finding->against);
    *finding = (struct finding){0};
}
