/* Readers that believe nothing.
 *
 * A node's answers are input: numbers are bounded, hosts must be addresses, and what is missing
 * is the host of the node that was asked (null or "" stands for it). */
#include "cache/slot_map.h"

static bool address_read(const struct redis_reply *node, const struct redis_address *asked,
                         struct redis_address *address);
static bool slot_read(struct slice digits, uint16_t *slot);

/* [first, last, [host, port, …], replicas …]: only the master counts, replicas may be behind. */
bool slot_range_read(const struct redis_reply *element, const struct redis_address *asked,
                     struct slot_range *range)
{
    if (element->kind != REDIS_ARRAY || element->count < 3)
        return false;
    const struct redis_reply *first = element->elements[0];
    const struct redis_reply *last = element->elements[1];
    if (first->kind != REDIS_INTEGER || last->kind != REDIS_INTEGER || first->integer < 0 ||
        first->integer > last->integer || last->integer >= KEY_SLOTS)
        return false;
    struct redis_address master;
    if (!address_read(element->elements[2], asked, &master))
        return false;
    range->first = (uint16_t)first->integer;
    range->last = (uint16_t)last->integer;
    range->master = master;
    return true;
}

/* "MOVED 3999 127.0.0.1:6381": slot and target; the host may be empty. */
bool slot_redirect_read(const struct redis_reply *reply, const struct redis_address *asked,
                        struct slot_redirect *redirect)
{
    struct slot_redirect read = {.ask = redis_reply_is_error(reply, "ASK")};
    if (!read.ask && !redis_reply_is_error(reply, "MOVED"))
        return false;
    size_t code = strlen(read.ask ? "ASK " : "MOVED ");
    if (reply->text.size <= code)
        return false;
    struct slice rest = slice_skip(reply->text, code);
    const uint8_t *space = memchr(rest.data, ' ', rest.size);
    if (space == NULL)
        return false;
    struct slice digits = slice_make(rest.data, (size_t)(space - rest.data));
    struct slice target = slice_skip(rest, digits.size + 1);
    if (!slot_read(digits, &read.slot))
        return false;
    if (!redis_address_parse(target, &read.target)) {
        char text[REDIS_HOST_SIZE + 8];
        if (target.size < 2 || target.size > 6 || target.data[0] != ':')
            return false;
        size_t host = strlen(asked->host);
        memcpy(text, asked->host, host);
        memcpy(text + host, target.data, target.size);
        if (!redis_address_parse(slice_make(text, host + target.size), &read.target))
            return false;
    }
    *redirect = read;
    return true;
}

static bool address_read(const struct redis_reply *node, const struct redis_address *asked,
                         struct redis_address *address)
{
    if (node->kind != REDIS_ARRAY || node->count < 2)
        return false;
    const struct redis_reply *host = node->elements[0];
    const struct redis_reply *port = node->elements[1];
    if (port->kind != REDIS_INTEGER || port->integer <= 0)
        return false;
    bool unnamed = host->kind == REDIS_NIL || (host->kind == REDIS_TEXT && host->text.size == 0);
    if (!unnamed && host->kind != REDIS_TEXT)
        return false;
    struct slice name = unnamed ? slice_of_str(asked->host) : host->text;
    return redis_address_make(name, (uint64_t)port->integer, address);
}

/* At most five digits, so the sum cannot overflow. */
static bool slot_read(struct slice digits, uint16_t *slot)
{
    unsigned value = 0;
    if (digits.size == 0 || digits.size > 5)
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        value = value * 10 + (unsigned)(digits.data[i] - '0');
    }
    if (value >= KEY_SLOTS)
        return false;
    *slot = (uint16_t)value;
    return true;
}
