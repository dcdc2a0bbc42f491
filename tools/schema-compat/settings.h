/* What the command line and the configuration file ask for. */
#ifndef SCHEMA_COMPAT_SETTINGS_H
#define SCHEMA_COMPAT_SETTINGS_H

#include "compare.h"

#include <stdbool.h>
#include <stddef.h>

/* Owned strings; items[count] is NULL, also in an empty list that was added to once. */
struct list {
    char **items;
    size_t count;
};
void list_add(struct list *list, const char *text);
void list_sort(struct list *list);
void list_deinit(struct list *list);
/* For what takes `const char *const *`; NULL for the list that is empty. */
const char *const *list_texts(const struct list *list);

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_SARIF };

struct settings {
    struct list words;   /* what is not an option: command, files */
    struct list rules;   /* sets and rules; empty: FILE */
    struct list except;  /* the same */
    struct list against; /* images, and folders of images */
    struct list proto_paths;
    struct list images; /* --image; at most one */
    struct list events;
    struct list envelopes;
    struct list drafts;
    struct list retired;
    enum format format;
    bool help;
};

/* Reads options, and the files that --config names.  On false a line about it was written to standard error. */
bool settings_read(struct settings *settings, int argc, char **argv);
void settings_deinit(struct settings *settings);
/* The policy borrows from the settings.  False as above: a set or rule that is not known. */
bool settings_policy(const struct settings *settings, struct policy *policy);

#endif
