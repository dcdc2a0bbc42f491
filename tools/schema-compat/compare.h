/* Compares an image with an earlier one, by the rules that are switched on. */
#ifndef SCHEMA_COMPAT_COMPARE_H
#define SCHEMA_COMPAT_COMPARE_H

#include "findings.h"
#include "image.h"

/* An earlier image and what findings call it. */
struct named_image {
    char *name; /* "0.1.0", of contracts/released/0.1.0.binpb; owned */
    struct image image;
};

/* What is asked for.  The lists end with NULL and hold full names; a name means itself and all below it. */
struct policy {
    bool rules[RULE_COUNT]; /* for everything */
    const char *const
        *events; /* packages whose types, and all that these refer to, get the EVENT set too */
    const char *const *envelopes;       /* messages that may only grow */
    const char *const *drafts;          /* not released: nothing released may refer to them */
    const char *const *retired;         /* payload versions that may go */
    const struct named_image *releases; /* all that is compared with */
    size_t release_count;
};

/* One comparison on its way. */
struct comparison {
    const struct policy *policy;
    const struct image *old;
    const struct image *new;
    const char *against; /* the name of `old` in findings */
    struct findings *findings;
    bool *old_events; /* for each message, then each enum of `old`: an event carries it */
    bool event;       /* the present subject is part of an event: the EVENT set applies */
};

/* Adds what breaks readers or writers of `old`.  google.protobuf is left out: it follows the compiler. */
void compare_images(const struct policy *policy, const struct named_image *old,
                    const struct image *new, struct findings *findings);
/* What can be seen without an earlier image: references to drafts. */
void compare_drafts(const struct policy *policy, const struct image *new,
                    struct findings *findings);

/* Adds a finding when the rule applies to the present subject.  A NULL place: it is in no file any more. */
void breach(struct comparison *comparison, enum rule rule, const struct place *place,
            const char *subject, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The message of `file` that was around what is gone, or the file itself. */
struct place place_of_deleted(const struct image *new, const FileProto *file, const char *name);
/* Whether an event carries this message or enum of `old`. */
bool is_event(const struct comparison *comparison, const struct element *old);
bool is_ours(const struct element *element); /* not google.protobuf */
bool listed(const char *const *list, const char *name);
/* The package is a draft, or everything that the file declares is: then nothing of the file is released. */
bool is_draft_file(const char *const *drafts, const FileProto *file);
/* Whether this message, enum or service of the file's top level is one. */
bool is_draft(const char *const *drafts, const FileProto *file, const char *name);

/* Whether this message, or the one around it, is a payload version that was released beside its successor
 * and is declared retired: then its absence is as it should be. */
bool is_retired(const struct comparison *comparison, const char *name);

/* The parts, one for each kind of thing.  Each pair is of the same name. */
void compare_files(struct comparison *comparison);
void compare_packages(struct comparison *comparison);
void compare_message(struct comparison *comparison, const struct element *old,
                     const struct element *new);
void compare_enum(struct comparison *comparison, const struct element *old,
                  const struct element *new);
void compare_service(struct comparison *comparison, const struct element *old,
                     const struct element *new);
void compare_extensions(struct comparison *comparison);
void compare_event_message(struct comparison *comparison, const struct element *old,
                           const struct element *new);
void compare_event_enum(struct comparison *comparison, const struct element *old,
                        const struct element *new);
void compare_payloads(struct comparison *comparison);

/* A field with all that decides what it means. */
struct field_view {
    const FieldProto *field;
    const struct element *owner; /* the message; for extensions the extension itself */
    const struct image *image;
    struct place place;
    bool is_extension;
};
void compare_field(struct comparison *comparison, const struct field_view *old,
                   const struct field_view *new);
void compare_field_type(struct comparison *comparison, const struct field_view *old,
                        const struct field_view *new);
void compare_field_default(struct comparison *comparison, const struct field_view *old,
                           const struct field_view *new);
struct field_view field_of(const struct image *image, const struct element *message, size_t index);
/* `Field "5" with name "slug" on message "Tenant"`, into the caller's 256 bytes. */
#define FIELD_LABEL 256
const char *field_label(const struct field_view *view, char *out);
const char *field_type_text(const FieldProto *field);
/* NULL outside of oneofs and in those that only say `optional`. */
const char *field_oneof(const struct field_view *view);
bool oneof_is_synthetic(const MessageProto *message, size_t index);
const FieldProto *field_by_number(const MessageProto *message, int32_t number, size_t *index);

enum cardinality { ONE_EXPLICIT, ONE_IMPLICIT, REQUIRED, REPEATED, MAP };
enum cardinality field_cardinality(const struct field_view *view);

/* Inclusive on both ends. */
struct range {
    int64_t first;
    int64_t last;
};
struct ranges {
    struct range *items; /* owned */
    size_t count;
};
struct ranges ranges_reserved(const MessageProto *message);
struct ranges ranges_reserved_enum(const EnumProto *enumeration);
struct ranges ranges_extension(const MessageProto *message);
void ranges_deinit(struct ranges *ranges);
bool ranges_hold(const struct ranges *ranges, int64_t number);
/* Whether every number of `range` is in `ranges`; if not, *missing is the first that is not. */
bool ranges_cover(const struct ranges *ranges, struct range range, int64_t *missing);
bool names_hold(char *const *names, size_t count, const char *name);

#endif
