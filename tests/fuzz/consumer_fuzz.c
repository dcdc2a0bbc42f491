/* What consumers read of streams: acknowledgement subjects, envelopes with their headers, records of groups.  Whatever
 * it is, it is survived; what is accepted keeps its promises.
 *
 * Input: 'a' and a subject; 'e', three header values each ended by a newline ("-": none), and a body; 'g' and a record;
 * 'b' and a message of billing's. */
#include "consumer/event.h"
#include "consumer/group_table.h"

#include "events/ack_place.h"
#include "inbound/billing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

/* In memory of its own size, so that a byte read too far is seen. */
static uint8_t *own(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);
    EXPECT(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = 0;
    return copy;
}

static void subject(struct slice text)
{
    struct ack_place place;
    uint8_t *copy = realloc(own(text), text.size == 0 ? 1 : text.size);
    if (ack_place_parse(slice_make(copy, text.size), &place))
        EXPECT(place.stream.size > 0 && place.consumer.size > 0 && place.stream.data > copy);
    free(copy);
}

static char *line(struct slice *rest)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    size_t length = end == NULL ? rest->size : (size_t)(end - rest->data);
    char *text = (char *)own(slice_make(rest->data, length));
    *rest = slice_skip(*rest, end == NULL ? length : length + 1);
    return text;
}

static void event(struct slice rest)
{
    char *values[3] = {line(&rest), line(&rest), line(&rest)};
    const char *given[3];
    for (int i = 0; i < 3; i++)
        given[i] = strcmp(values[i], "-") == 0 ? NULL : values[i];
    const struct event_headers headers = {given[0], given[1], given[2]};
    struct arena *arena = arena_new(1 << 20);
    uint8_t *body = own(rest);
    for (unsigned partition = 0; partition < 16; partition++) {
        struct event_view view = {.event = {.partition = partition}, .arena = arena};
        event_unpack(&view, slice_make(body, rest.size), &headers);
        if (view.form == EVENT_NAMELESS)
            continue;
        EXPECT((view.form == EVENT_GOOD) == (view.fault == NULL));
        EXPECT(view.event.at.sequence > 0 && view.event.at.incarnation > 0);
        EXPECT(strlen(view.event.tenant_id) == ID_TEXT_SIZE - 1);
        EXPECT(partition_of(&view.tenant) == partition);
        if (view.form == EVENT_GOOD)
            (void)tenant_event_payload(&view.event);
    }
    free(body);
    for (int i = 0; i < 3; i++)
        free(values[i]);
    arena_free(arena);
}

static void record(struct slice text)
{
    static struct group_table table, again;
    struct buf out = BUF_EMPTY;
    uint8_t *copy = own(text);
    if (group_table_parse(slice_make(copy, text.size), &table)) {
        group_table_format(&table, &out);
        EXPECT(group_table_parse(buf_slice(&out), &again));
        EXPECT(memcmp(&table, &again, sizeof table) == 0);
        if (table.member_count > 0)
            (void)group_table_plan(&table, table.members[0].name, 5);
    } else {
        EXPECT(table.member_count == 0 && table.attempt_count == 0);
    }
    buf_deinit(&out);
    free(copy);
}

static void billing(struct slice bytes)
{
    struct arena *arena = arena_new(1 << 20);
    uint8_t *copy = own(bytes);
    const struct billing_reader reader = {arena, REGION_EU, 1800000000000000};
    struct billing_event event;
    billing_read(&reader, slice_make(copy, bytes.size), &event);
    EXPECT((event.kind == BILLING_BROKEN) == (event.fault != NULL));
    if (event.kind == BILLING_NEWS) {
        bool changed = false;
        EXPECT(!uuid_is_nil(&event.tenant_id) && event.event_id[0] != '\0' && event.news.at_us > 0);
        struct subscription first = subscription_after(arena, NULL, &event.news, &changed);
        EXPECT(changed && tenant_plan_rule(subscriptions_plan(&first, 1)) == NULL);
        struct subscription second = subscription_after(arena, &first, &event.news, &changed);
        EXPECT(!changed && strcmp(second.state_mark, first.state_mark) == 0);
    }
    free(copy);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = slice_make(data + 1, size - 1);
    switch (data[0]) {
    case 'a':
        subject(rest);
        break;
    case 'e':
        event(rest);
        break;
    case 'g':
        record(rest);
        break;
    case 'b':
        billing(rest);
        break;
    default:
        break;
    }
    return 0;
}
