/* The schema: what keys there are, and how their texts become values.  This room's own. */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "config/config.h"

/* What a value is; decides the member's type and how texts are read. */
enum config_kind {
    KIND_TEXT,    /* const char *: printable; one of `choices` when there are some */
    KIND_CHOICE,  /* int: the index in `choices` */
    KIND_FILE,    /* const char *: a path */
    KIND_ADDRESS, /* const char *: a numeric IP address */
    KIND_URI,     /* const char *: RFC 3986, with a scheme */
    KIND_URL,   /* const char *: one of the schemes in `choices`, and a host; may hold a password */
    KIND_BOOL,  /* bool */
    KIND_PORT,  /* uint16_t */
    KIND_COUNT, /* uint32_t */
    KIND_SIZE,  /* size_t, bytes: "16MiB" */
    KIND_DURATION, /* uint64_t, nanoseconds: "200ms" */
    KIND_RATIO,    /* uint32_t, billionths: "0.25" */
};

/* What a reload makes of a key's change; else a restart is needed. */
enum config_live {
    LIVE_NO,
    LIVE_YES,
    LIVE_PASSWORD, /* of a URL its password alone; of the file with the URL its name */
};

/* One row of the table. */
struct config_key {
    const char *path; /* "server.port": at most one dot */
    enum config_kind kind;
    size_t offset;              /* of the member in struct config */
    const char *preset;         /* the default as it would be written; "": none */
    uint64_t min;               /* numbers only, in the member's unit */
    uint64_t max;               /* above min */
    const char *const *choices; /* NULL-terminated */
    const char *alias;          /* the seed's variable; NULL: none */
    unsigned needed_by;         /* enum config_use bits: must not be empty there */
    enum config_live live;      /* what a reload applies */
    bool holds_secret;          /* files only: others may not write it */
    const char *fills;          /* files only: the key whose value is the content; NULL: none */
    const char *help;           /* one phrase for the README */
};

/* In the order of the README: sections together. */
extern const struct config_key config_keys[];
extern const size_t config_key_count;

enum { CONFIG_VARIABLE_SIZE = 64 };
/* "TENANT_SERVER_PORT" for "server.port"; '-' becomes '_' too. */
void config_variable(const struct config_key *key, char out[CONFIG_VARIABLE_SIZE]);

/* The key with this path, or the count of keys when there is none. */
size_t config_key_find(struct slice path);
/* True when some key's path begins with "section.". */
bool config_is_section(struct slice section);
/* The known path that looks most like this one, or NULL when none is near. */
const char *config_key_nearest(const char *path);

/* Stores the text's value in the member.  False: the text does not fit; `expected` then says what does.
 * `text` must live as long as the configuration. */
bool config_set(struct config *config, const struct config_key *key, const char *text,
                struct buf *expected);
/* What fits: "a number from 1 to 65535". */
void config_describe(const struct config_key *key, struct buf *out);
/* The member's value as it would be written, passwords masked. */
void config_show(const struct config *config, const struct config_key *key, struct buf *out);
/* A text value's member. */
const char *config_text(const struct config *config, const struct config_key *key);
/* The URL with its password as "****", also in its query. */
void config_put_masked_url(struct buf *out, const char *url);
/* True when a value's text must not be shown as it is. */
bool config_is_secret(const struct config_key *key);
/* UTF-8 without control characters and line ends: what may reach logs and terminals. */
bool config_is_printable(const char *text);

/* --- one loading --------------------------------------------------------------------------------- */

enum config_origin_kind {
    ORIGIN_DEFAULT,
    ORIGIN_FILE,
    ORIGIN_VARIABLE,
    ORIGIN_SECRET, /* the content of a file that another key names */
};

/* Where a value comes from: for messages and for `check-config`. */
struct config_origin {
    enum config_origin_kind kind; /* the strongest that set it */
    const char *text;             /* as written; "" when nowhere */
    const char *name;             /* the file, the variable or the secret's file */
    int line;                     /* in the file, from 1 */
};

/* What the readers of one config_load() share. */
struct config_loading {
    const struct config_source *source; /* what the caller asked for */
    struct config_notes *notes;         /* what to tell the person */
    struct config *config;              /* being filled; owns all texts */
    struct config_origin *origins;      /* one per key; owned by the config's arena */
    bool file_failed;                   /* it could not be taken: what it lacks says nothing */
};

/* Adds a line to the errors or warnings. */
void config_error(struct config_loading *loading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void config_warning(struct config_loading *loading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "config.yaml:7: " or "TENANT_SERVER_PORT: ": the start of an error about this key. */
const char *config_place(struct config_loading *loading, size_t key);

/* Fills the origins from the file; what is wrong with it becomes errors. */
void config_read_file(struct config_loading *loading);
/* Fills the origins from the environment, over those of the file. */
void config_read_environment(struct config_loading *loading);
/* Fills the origins of secrets from the files that other keys name.  After both of the above. */
void config_read_secrets(struct config_loading *loading);
/* Rules over several keys, once every value has been set. */
void config_check_rules(struct config_loading *loading);

/* Where the event pass over the YAML text found each key. */
struct config_outline {
    int *lines;    /* per key; 0: not in the file */
    bool usable;   /* libcyaml can load it: only scalars and sections, each once */
    bool has_keys; /* there is a document with a mapping */
};

/* Walks the libyaml events: checks structure and names, and notes the lines. */
void config_outline_read(struct config_loading *loading, struct slice yaml,
                         struct config_outline *outline);

#endif
