/* The configuration file: contexts, each a place to connect to and who we are there, and what holds for all of
 * them. */
#ifndef TENANTCTL_CONTEXTS_H
#define TENANTCTL_CONTEXTS_H

#include "cli.h"

/* What a context sets; also the names of flags (with dashes) and variables (TENANTCTL_ and capitals). */
enum setting {
    SETTING_ADDRESS,
    SETTING_CERT_FILE,
    SETTING_KEY_FILE,
    SETTING_CA_FILE,
    SETTING_SERVER_NAME,
    SETTING_TENANT_HEADER,
    SETTING_NATS_URL,
    SETTING_NATS_SEED_FILE,
    SETTINGS
};
extern const char *const setting_names[SETTINGS];
/* "--ca-file" without its dashes. */
const char *setting_flag(struct arena *arena, enum setting setting);

#define CONTEXTS_MAX 64

struct context {
    const char *name;
    const char *values[SETTINGS]; /* NULL: not set */
};

struct context_file {
    const char *path;      /* NULL: there is no place for one */
    const char *current;   /* "": none */
    struct context shared; /* the keys beside `contexts` */
    struct context contexts[CONTEXTS_MAX];
    size_t count;
};

/* Reads the file of --config, TENANTCTL_CONFIG or the default place, which need not exist.  OK, or EXIT_USAGE
 * after saying what is wrong with file and line. */
int contexts_load(const struct cli *cli, struct context_file *file);
/* Replaces the file whole, readable by its owner only. */
int contexts_save(const struct context_file *file);
/* NULL: no such context. */
struct context *context_find(struct context_file *file, const char *name);
/* --context, else TENANTCTL_CONTEXT, else the file's current one; "": none. */
const char *context_chosen(const struct cli *cli, const struct context_file *file);

/* Names that begin with `last`, for completion; nothing when the file cannot be read. */
void contexts_complete(const char *last);

int context_list(struct cli *cli);
int context_show(struct cli *cli);
int context_use(struct cli *cli);
int context_set(struct cli *cli);
int context_delete(struct cli *cli);

#endif
