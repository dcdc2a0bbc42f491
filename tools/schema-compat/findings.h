/* What a comparison found. */
#ifndef SCHEMA_COMPAT_FINDINGS_H
#define SCHEMA_COMPAT_FINDINGS_H

#include "rules.h"

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Strings are owned. */
struct finding {
    enum rule rule;
    char *
        file; /* as the image names it: "tenant/v1/tenants.proto"; "" for what is in no file any more */
    int line;      /* from 1; 0: not known */
    int column;    /* the same */
    char *subject; /* the full name of what it is about */
    char *message;
    char *against; /* names of the images that it breaks, ", " between them; "": none is needed */
};

struct findings {
    struct finding *items;
    size_t count;
};

/* Takes the finding with its strings. */
void findings_add(struct findings *findings, struct finding finding);
/* By file, line, rule and message; what breaks several images in the same way becomes one finding. */
void findings_sort(struct findings *findings);
void findings_deinit(struct findings *findings);

/* What the reports say beside the findings. */
struct report {
    const struct findings *findings;
    const char *const *roots; /* folders that file names are relative to; NULL behind the last */
    size_t image_count;       /* released images that were compared with */
};

/* Each appends the whole report. */
void report_text(const struct report *report, struct buf *out);
void report_json(const struct report *report, struct buf *out);
void report_sarif(const struct report *report, struct buf *out);
/* The file's path as it can be opened from here; for free(). */
char *report_path(const struct report *report, const char *file);

#endif
