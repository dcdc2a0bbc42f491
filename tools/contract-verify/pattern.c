/* Regular expressions, by PCRE2.  See pattern.h.
 *
 * Pact's implementations want the whole text to match, as Java's Pattern.matches() does, and know the syntax of
 * Onigmo or Java; what pacts use of it is Perl's. */
#include "pattern.h"

#include "base/alloc.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>

/* Of backtracking: some hundredths of a second. */
#define STEPS_MAX 1000000
#define DEPTH_MAX 10000
#define HEAP_MAX_KIB 16384

struct pattern {
    pcre2_code *code;
    struct pattern *next;
    pcre2_match_context *limits; /* of the pool */
};

struct pattern_pool {
    struct pattern *patterns;
    pcre2_match_context *limits;
};

struct pattern_pool *pattern_pool_new(void)
{
    struct pattern_pool *pool = xcalloc(1, sizeof *pool);
    pool->limits = pcre2_match_context_create(NULL);
    if (pool->limits == NULL)
        abort();
    (void)pcre2_set_match_limit(pool->limits, STEPS_MAX);
    (void)pcre2_set_depth_limit(pool->limits, DEPTH_MAX);
    (void)pcre2_set_heap_limit(pool->limits, HEAP_MAX_KIB);
    return pool;
}

void pattern_pool_free(struct pattern_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->patterns != NULL) {
        struct pattern *pattern = pool->patterns;
        pool->patterns = pattern->next;
        pcre2_code_free(pattern->code);
        free(pattern);
    }
    pcre2_match_context_free(pool->limits);
    free(pool);
}

int pattern_compile(struct ctx *ctx, struct pattern_pool *pool, struct slice source,
                    struct pattern **pattern)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    /* a pattern must not turn the checks of UTF off or bring its own limits */
    uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY |
                       PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP;
    pcre2_code *code = pcre2_compile(source.data, source.size, options, &error, &at, NULL);
    if (code == NULL) {
        PCRE2_UCHAR8 why[120];
        (void)pcre2_get_error_message(error, why, sizeof why);
        return FAULT(ctx, FAULT_CONFIG, "the regular expression \"%.*s\": %s at %zu",
                     source.size > 80 ? 80 : (int)source.size, source.data, (const char *)why, at);
    }
    struct pattern *made = xcalloc(1, sizeof *made);
    *made = (struct pattern){.code = code, .next = pool->patterns, .limits = pool->limits};
    pool->patterns = made;
    *pattern = made;
    return OK;
}

bool pattern_fits(const struct pattern *pattern, struct slice text, bool *exhausted)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (data == NULL)
        abort();
    const uint8_t *bytes = text.data == NULL ? (const uint8_t *)"" : text.data;
    int rc = pcre2_match(pattern->code, bytes, text.size, 0, 0, data, pattern->limits);
    pcre2_match_data_free(data);
    *exhausted = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
                 rc == PCRE2_ERROR_HEAPLIMIT;
    return rc >= 0;
}
