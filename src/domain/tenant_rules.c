/* What a tenant's fields may hold.  Every broken rule is reported with field and rule, so that a caller
 * mends all of them at once (AIP-193: BadRequest.field_violations). */
#include "domain/tenant.h"

#include <assert.h>
#include <stdio.h>

#define FIELD_SIZE 128
#define PLAN_PREFIX "plan_"
#define TOKEN_MAX 63
#define LOCALE_MAX 35 /* RFC 5646 section 4.4.1 */

struct report {
    tenant_violation *callback;
    void *owner;
    size_t count;
};

static void check_display_name(const struct tenant *tenant, struct report *report);
static void check_plan(const struct tenant_plan *plan, struct report *report);
static void check_labels(const struct string_map *labels, struct report *report);
static void check_locales(const struct tenant_settings *settings, struct report *report);
static void check_theme(const struct string_map *theme, struct report *report);
static void broken(struct report *report, const char *field, const char *rule);
static void broken_in(struct report *report, const char *field, const char *key, const char *rule);
static bool is_token(const char *text, const char *extra, size_t max);
static bool is_locale(const char *text);
static bool has_control(const char *text);
static size_t characters(const char *text);
static bool is_space(char c);
static bool is_lower(char c);
static bool is_digit(char c);
static bool is_alnum(char c);

size_t tenant_validate(const struct tenant *tenant, tenant_violation *callback, void *owner)
{
    assert(tenant->slug != NULL && tenant->display_name != NULL);
    struct report report = {.callback = callback, .owner = owner};
    const char *rule = tenant_slug_rule(slice_of_str(tenant->slug));
    if (rule != NULL)
        broken(&report, "slug", rule);
    check_display_name(tenant, &report);
    check_plan(&tenant->plan, &report);
    check_labels(&tenant->labels, &report);
    check_locales(&tenant->settings, &report);
    check_theme(&tenant->settings.branding_theme, &report);
    return report.count;
}

/* RFC 1123 section 2.1 label, lower case, at least 3 characters: it may become a host name. */
const char *tenant_slug_rule(struct slice slug)
{
    if (slug.size == 0)
        return "must be set";
    if (slug.size < TENANT_SLUG_MIN || slug.size > TENANT_SLUG_MAX)
        return "must have 3 to 63 characters";
    for (size_t i = 0; i < slug.size; i++) {
        char c = (char)slug.data[i];
        if (!is_lower(c) && !is_digit(c) && c != '-')
            return "may hold only lower-case letters a-z, digits and hyphens";
    }
    if (slug.data[0] == '-' || slug.data[slug.size - 1] == '-')
        return "must begin and end with a letter or a digit";
    if (slug.size > 3 && slug.data[2] == '-' && slug.data[3] == '-')
        return "may not have hyphens as third and fourth character (RFC 5891)";
    return NULL;
}

/* Names that a person would take for the platform's own. */
bool tenant_slug_is_reserved(const char *slug)
{
    static const char *const reserved[] = {
        "about",    "account", "admin",    "api",     "app",       "assets",    "auth",
        "billing",  "blog",    "cdn",      "console", "dashboard", "docs",      "ftp",
        "ghasi",    "health",  "help",     "imap",    "internal",  "localhost", "login",
        "logout",   "mail",    "metrics",  "null",    "oauth",     "platform",  "public",
        "register", "root",    "security", "signup",  "smtp",      "sso",       "static",
        "status",   "support", "system",   "tenant",  "tenants",   "undefined", "webmail",
        "www",
    };
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (strcmp(slug, reserved[i]) == 0)
            return true;
    }
    return false;
}

const char *tenant_reason_rule(const char *reason)
{
    if (characters(reason) > TENANT_REASON_MAX)
        return "may have at most 512 characters";
    return has_control(reason) ? "may not hold control characters" : NULL;
}

/* Lengths count code points where people see characters, and bytes where machines store them
 * (labels, themes). */
static void check_display_name(const struct tenant *tenant, struct report *report)
{
    const char *name = tenant->display_name;
    size_t length = strlen(name);
    if (length == 0) {
        broken(report, "display_name", "must be set");
        return;
    }
    if (characters(name) > TENANT_NAME_MAX)
        broken(report, "display_name", "may have at most 200 characters");
    if (has_control(name))
        broken(report, "display_name", "may not hold control characters");
    if (is_space(name[0]) || is_space(name[length - 1]))
        broken(report, "display_name", "may not begin or end with white space");
}

/* Which plans exist is another service's knowledge: only the shape is checked. */
const char *tenant_plan_rule(const char *plan_id)
{
    bool fits = plan_id[0] == '\0' || (slice_starts_with(slice_of_str(plan_id), PLAN_PREFIX) &&
                                       is_token(plan_id + strlen(PLAN_PREFIX), "_", TOKEN_MAX));
    return fits ? NULL : "must be \"plan_\" and 1 to 63 lower-case letters, digits or underscores";
}

static void check_plan(const struct tenant_plan *plan, struct report *report)
{
    const char *id = plan->plan_id;
    const char *rule = tenant_plan_rule(id);
    if (rule != NULL)
        broken(report, "plan.plan_id", rule);
    if (plan->addons.count > 0 && id[0] == '\0')
        broken(report, "plan.addons", "need a plan: set plan.plan_id");
    if (plan->addons.count > TENANT_ADDONS_MAX)
        broken(report, "plan.addons", "may hold at most 32 add-ons");
    for (size_t i = 0; i < plan->addons.count; i++) {
        if (!is_token(plan->addons.items[i], "_", TOKEN_MAX))
            broken_in(report, "plan.addons", plan->addons.items[i],
                      "must be 1 to 63 lower-case letters, digits or underscores");
    }
}

static void check_labels(const struct string_map *labels, struct report *report)
{
    if (labels->count > TENANT_LABELS_MAX)
        broken(report, "labels", "may hold at most 64 entries");
    for (size_t i = 0; i < labels->count; i++) {
        const struct string_pair *pair = &labels->pairs[i];
        if (!is_lower(pair->key[0]) || !is_token(pair->key, "_-./", TENANT_LABEL_KEY_MAX))
            broken_in(report, "labels", pair->key,
                      "the key must be 1 to 63 lower-case letters, digits, '_', '-', '.' or '/', "
                      "beginning with a letter");
        if (strlen(pair->value) > TENANT_LABEL_VALUE_MAX)
            broken_in(report, "labels", pair->key, "the value may have at most 256 bytes");
        if (has_control(pair->value))
            broken_in(report, "labels", pair->key, "the value may not hold control characters");
    }
}

/* By bytes: the locales are compared as they are written, so "pt-BR" and "pt-br" are two. */
static void check_locales(const struct tenant_settings *settings, struct report *report)
{
    static const char rule[] = "must be a language tag such as \"en\" or \"pt-BR\" (RFC 5646)";
    if (!is_locale(settings->default_locale))
        broken(report, "settings.default_locale", rule);
    const struct string_list *locales = &settings->allowed_locales;
    if (locales->count > TENANT_LOCALES_MAX)
        broken(report, "settings.allowed_locales", "may hold at most 64 entries");
    bool has_default = locales->count == 0;
    for (size_t i = 0; i < locales->count; i++) {
        if (!is_locale(locales->items[i]))
            broken_in(report, "settings.allowed_locales", locales->items[i], rule);
        has_default = has_default || strcmp(locales->items[i], settings->default_locale) == 0;
    }
    if (!has_default)
        broken(report, "settings.allowed_locales", "must hold settings.default_locale");
}

static void check_theme(const struct string_map *theme, struct report *report)
{
    if (theme->count > TENANT_THEME_MAX)
        broken(report, "settings.branding_theme", "may hold at most 32 entries");
    for (size_t i = 0; i < theme->count; i++) {
        const struct string_pair *pair = &theme->pairs[i];
        size_t length = strlen(pair->key);
        bool fits = length > 0 && length <= TOKEN_MAX;
        for (size_t k = 0; k < length; k++)
            fits = fits && (is_alnum(pair->key[k]) || strchr("_-.", pair->key[k]) != NULL);
        if (!fits)
            broken_in(report, "settings.branding_theme", pair->key,
                      "the key must be 1 to 63 letters, digits, '_', '-' or '.'");
        if (strlen(pair->value) > TENANT_THEME_VALUE_MAX)
            broken_in(report, "settings.branding_theme", pair->key,
                      "the value may have at most 1024 bytes");
        if (has_control(pair->value))
            broken_in(report, "settings.branding_theme", pair->key,
                      "the value may not hold control characters");
    }
}

static void broken(struct report *report, const char *field, const char *rule)
{
    report->count++;
    if (report->callback != NULL)
        report->callback(report->owner, field, rule);
}

/* Foreign keys get into the path: cut at 63 bytes, escaped by whoever prints them. */
static void broken_in(struct report *report, const char *field, const char *key, const char *rule)
{
    char path[FIELD_SIZE];
    snprintf(path, sizeof path, "%s[%.*s]", field, TOKEN_MAX, key);
    broken(report, path, rule);
}

/* 1 to max characters a-z, 0-9 or one of `extra`. */
static bool is_token(const char *text, const char *extra, size_t max)
{
    size_t length = strlen(text);
    if (length == 0 || length > max)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_lower(text[i]) && !is_digit(text[i]) && strchr(extra, text[i]) == NULL)
            return false;
    }
    return true;
}

/* langtag of RFC 5646 by shape: a language of 2–8 letters, then subtags of 1–8 letters or digits. */
static bool is_locale(const char *text)
{
    size_t length = strlen(text);
    if (length > LOCALE_MAX)
        return false;
    size_t run = 0;
    bool first = true;
    for (size_t i = 0; i <= length; i++) {
        if (text[i] == '-' || text[i] == '\0') {
            if (run < (first ? 2u : 1u) || run > 8)
                return false;
            first = false;
            run = 0;
            continue;
        }
        if (!is_alnum(text[i]) || (first && is_digit(text[i])))
            return false;
        run++;
    }
    return true;
}

/* C0, DEL, and the C1 controls U+0080–U+009F, which UTF-8 writes as C2 80 – C2 9F. */
static bool has_control(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7F || (c[0] == 0xC2 && c[1] >= 0x80 && c[1] <= 0x9F))
            return true;
    }
    return false;
}

/* Continuation bytes are not counted; the text is UTF-8, which the scan has checked. */
static size_t characters(const char *text)
{
    size_t count = 0;
    for (const char *c = text; *c != '\0'; c++)
        count += ((unsigned char)*c & 0xC0) != 0x80;
    return count;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}
