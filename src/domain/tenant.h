/* The tenant: its fields, its rules, its states.  Pure: no input or output, no clock, no allocation
 * beyond the arena given.  Blueprint sections 2, 3 and 6; decisions of docs/decisions.md. */
#ifndef DOMAIN_TENANT_H
#define DOMAIN_TENANT_H

#include "base/arena.h"
#include "base/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stored as text; the order is that of the protos, without UNSPECIFIED. The enumerators' order
 * is on the wire (proto number minus one) and must not change. */
enum tenant_type { TENANT_ORG, TENANT_PROVIDER, TENANT_INDIVIDUAL, TENANT_HYBRID };
#define TENANT_TYPE_COUNT 4

/* Legal changes (blueprint section 2); a new tenant is a trial:
 *
 *    TRIAL ──> ACTIVE, SUSPENDED, CLOSED
 *    ACTIVE <──> SUSPENDED
 *    ACTIVE, SUSPENDED ──> CLOSED, which is terminal */
enum tenant_status { TENANT_TRIAL, TENANT_ACTIVE, TENANT_SUSPENDED, TENANT_CLOSED };
#define TENANT_STATUS_COUNT 4

/* Home regions (decisions: us, eu, me, ap).  Fixed at creation: a tenant does not move. */
enum region { REGION_US, REGION_EU, REGION_ME, REGION_AP };
#define REGION_COUNT 4

/* One entry of a string map; maps are sorted by key, keys are unique.  Neither is NULL. */
struct string_pair {
    const char *key;
    const char *value;
};

struct string_map {
    struct string_pair *pairs; /* sorted by key (bytes) */
    size_t count;
};

/* Sorted and unique once string_list_sort() saw it; items are never NULL. */
struct string_list {
    const char **items;
    size_t count;
};

/* Add-ons need a plan: tenant_validate() says so. */
struct tenant_plan {
    const char *plan_id;       /* "plan_starter"; "" when none */
    struct string_list addons; /* sorted, unique */
};

/* All of them travel in every event. */
struct tenant_settings {
    const char *default_locale;         /* BCP 47; "en" by default */
    struct string_list allowed_locales; /* holds default_locale unless empty (= all) */
    bool mfa_required;
    bool offline_enabled;
    bool ai_enabled;
    struct string_map branding_theme;
};

/* Strings are zero-terminated UTF-8 without NUL inside, owned by the arena the tenant was made
 * in; never NULL once tenant_defaults() or the store filled it.  Copied by value: copies share
 * the texts. */
struct tenant {
    struct uuid id;           /* version 7; shown as "tnt_…" */
    const char *slug;         /* unique in its region, also against former ones for a while */
    const char *display_name; /* any UTF-8 without control characters */
    enum tenant_type type;
    enum region home_region; /* where its rows are */
    struct tenant_plan plan;
    enum tenant_status status;
    struct string_map labels; /* the operator's own */
    struct tenant_settings settings;
    uint64_t create_time_us; /* microseconds since 1970 */
    uint64_t update_time_us;
    int64_t version; /* 1 for a new tenant, +1 with every change; the etag shows it */
};

/* Stable lower-case names, as stored and as events and errors show them.  Parsing is exact;
 * false leaves *out untouched. */
const char *tenant_type_name(enum tenant_type type);
bool tenant_type_parse(struct slice name, enum tenant_type *type);
const char *tenant_status_name(enum tenant_status status);
bool tenant_status_parse(struct slice name, enum tenant_status *status);
const char *region_name(enum region region);
bool region_parse(struct slice name, enum region *region);

/* May a tenant go from one state to the other? (a const table; closed is terminal) */
bool tenant_status_may_become(enum tenant_status from, enum tenant_status to);

/* --- rules -------------------------------------------------------------------------------------- */

/* Limits of the contract: the rules' sentences repeat these numbers. */
#define TENANT_SLUG_MIN 3
#define TENANT_SLUG_MAX 63
#define TENANT_NAME_MAX 200   /* characters (code points) */
#define TENANT_REASON_MAX 512 /* characters */
#define TENANT_LABELS_MAX 64
#define TENANT_LABEL_KEY_MAX 63
#define TENANT_LABEL_VALUE_MAX 256 /* bytes */
#define TENANT_ADDONS_MAX 32
#define TENANT_LOCALES_MAX 64
#define TENANT_THEME_MAX 32
#define TENANT_THEME_VALUE_MAX 1024 /* bytes */

/* Receives each broken rule: the field's path below the tenant ("slug", "labels[env]") and the
 * rule as a sentence.  Both texts are valid during the call only. */
typedef void tenant_violation(void *owner, const char *field, const char *rule);

/* Checks one text against the slug rule (RFC 1123 label); NULL: fine, else the broken rule.  A
 * constant text. */
const char *tenant_slug_rule(struct slice slug);

/* Whether the platform keeps the slug for itself (host names, paths); a tenant may not take it. */
bool tenant_slug_is_reserved(const char *slug);
/* Checks a plan's id; NULL: fine ("" is no plan), else the broken rule.  A constant text. */
const char *tenant_plan_rule(const char *plan_id);
/* Checks the reason of a status change; NULL: fine, else the broken rule.  UTF-8 is expected
 * (the scan has checked it). */
const char *tenant_reason_rule(const char *reason);

/* Checks every rule of every field and reports all that are broken; returns how many.
 * `report` may be NULL. */
size_t tenant_validate(const struct tenant *tenant, tenant_violation *report, void *owner);

/* The next version and its time, as every change but the first has them: never back, whatever the clock did. */
void tenant_touch(struct tenant *tenant, uint64_t now_us);

/* Fills what a creator left out: type org, status trial, locale "en", empty strings for NULL.
 * Type and status need no work: their defaults are the enums' zeroes. */
void tenant_defaults(struct tenant *tenant);

/* Sorts by key; false when a key appears twice.  In place; false leaves it sorted. */
bool string_map_sort(struct string_map *map);
/* Sorts and drops duplicates. */
void string_list_sort(struct string_list *list);
/* Both sides sorted. */
bool string_map_equal(const struct string_map *a, const struct string_map *b);
bool string_list_equal(const struct string_list *a, const struct string_list *b);

/* --- update masks (AIP-134) ----------------------------------------------------------------------- */

/* One bit per leaf that an update may name.  Bits, because audit and events name what really
 * changed. */
enum tenant_field {
    TENANT_FIELD_SLUG = 1u << 0,
    TENANT_FIELD_DISPLAY_NAME = 1u << 1,
    TENANT_FIELD_TYPE = 1u << 2,
    TENANT_FIELD_HOME_REGION = 1u << 3, /* may be named, may not change */
    TENANT_FIELD_PLAN_ID = 1u << 4,
    TENANT_FIELD_PLAN_ADDONS = 1u << 5,
    TENANT_FIELD_LABELS = 1u << 6,
    TENANT_FIELD_DEFAULT_LOCALE = 1u << 7,
    TENANT_FIELD_ALLOWED_LOCALES = 1u << 8,
    TENANT_FIELD_MFA_REQUIRED = 1u << 9,
    TENANT_FIELD_OFFLINE_ENABLED = 1u << 10,
    TENANT_FIELD_AI_ENABLED = 1u << 11,
    TENANT_FIELD_BRANDING_THEME = 1u << 12,
};
#define TENANT_FIELD_COUNT 13

/* The bits that a path means: "settings.mfa_required", "settings" (all its leaves), "plan", "*" (all).
 * 0: no such path, or one that an update may not name (tenant_id, status, times, etag). */
unsigned tenant_field_parse(struct slice path);
/* The leaf paths of `fields`, in proto order; returns how many of `paths` were set.  Constant
 * texts. */
size_t tenant_field_paths(unsigned fields, const char *paths[TENANT_FIELD_COUNT]);

/* Copies the fields named by the mask from `patch` (all but the home region, which never
 * changes here); returns the bits whose value really changed.  The strings stay the patch's.
 * Does not validate: check the result as a whole, since fields limit each other. */
unsigned tenant_apply(struct tenant *tenant, const struct tenant *patch, unsigned fields);

#endif
