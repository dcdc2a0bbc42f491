/* Feeds a list's filter and order to their parsers; what is accepted must keep its bounds, what is refused must say
 * why.  Input: order_by up to the first newline, then the filter; or just a filter. */
#include "domain/tenant_query.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

static void accepted(const struct tenant_query *query)
{
    EXPECT(query->labels.count <= TENANT_FILTER_CONDITIONS);
    for (size_t i = 0; i < query->labels.count; i++) {
        EXPECT(strlen(query->labels.pairs[i].key) > 0);
        EXPECT(i == 0 || strcmp(query->labels.pairs[i - 1].key, query->labels.pairs[i].key) < 0);
    }
    EXPECT(query->slug.exact == NULL || query->slug.prefix == NULL);
    EXPECT(query->display_name.exact == NULL || query->display_name.prefix == NULL);
    enum tenant_status status;
    EXPECT(query->status == NULL || tenant_status_parse(slice_of_str(query->status), &status));
}

/* The text in memory of its own size, so that a byte read too far is seen. */
static char *own_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    EXPECT(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t head = end == NULL ? 0 : (size_t)(end - data);
    size_t skip = end == NULL ? 0 : head + 1;
    struct tenant_query query = {.status = NULL};
    struct arena *arena = arena_new(0);
    char *order = own_text(data, head);
    char *filter = own_text(data + skip, size - skip);
    const char *rule = tenant_order_parse(order, &query);
    EXPECT(rule == NULL || rule[0] != '\0');
    EXPECT(query.order < TENANT_ORDER_COUNT);
    rule = tenant_filter_parse(arena, filter, &query);
    EXPECT(rule == NULL || rule[0] != '\0');
    if (rule == NULL)
        accepted(&query);
    free(order);
    free(filter);
    arena_free(arena);
    return 0;
}
