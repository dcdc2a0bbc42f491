/* URL parsing, one rule at a time.
 *
 * Messages name the rule and never the text: a password is in it.  Hosts are numeric, because a
 * look-up would block the worker's loop. */
#include "cache/redis_url.h"

#include <arpa/inet.h>

#define RULE "redis.url must be rediss://[USER]:PASSWORD@ADDRESS:PORT[,ADDRESS:PORT…]: "

static int take_scheme(struct ctx *ctx, struct slice *text, bool *tls);
static int take_credentials(struct ctx *ctx, struct slice *text, struct redis_url *url);
static int percent_decode(struct ctx *ctx, struct slice text, const char *what, const char **out);
static int take_nodes(struct ctx *ctx, struct slice text, struct redis_url *url);
static int hex_digit(uint8_t byte);
static const uint8_t *find_last(struct slice text, uint8_t byte);

int redis_url_parse(struct ctx *ctx, struct slice text, struct redis_url *url)
{
    struct redis_url parsed = {0};
    TRY(take_scheme(ctx, &text, &parsed.tls));
    TRY(take_credentials(ctx, &text, &parsed));
    TRY(take_nodes(ctx, text, &parsed));
    *url = parsed;
    return OK;
}

/* The port of a node's answer may be any 64-bit number. */
bool redis_address_make(struct slice host, uint64_t port, struct redis_address *address)
{
    if (host.size == 0 || host.size >= REDIS_HOST_SIZE || port == 0 || port > UINT16_MAX)
        return false;
    struct redis_address made = {.port = (uint16_t)port};
    memcpy(made.host, host.data, host.size);
    uint8_t binary[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, made.host, binary) != 1 && inet_pton(AF_INET6, made.host, binary) != 1)
        return false;
    *address = made;
    return true;
}

bool redis_address_parse(struct slice text, struct redis_address *address)
{
    const uint8_t *colon = find_last(text, ':');
    if (colon == NULL)
        return false;
    struct slice host = slice_make(text.data, (size_t)(colon - text.data));
    struct slice digits = slice_skip(text, host.size + 1);
    if (digits.size == 0 || digits.size > 5)
        return false;
    uint64_t port = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        port = port * 10 + (uint64_t)(digits.data[i] - '0');
    }
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        host = slice_make(host.data + 1, host.size - 2);
    return redis_address_make(host, port, address);
}

bool redis_address_equal(const struct redis_address *a, const struct redis_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static int take_scheme(struct ctx *ctx, struct slice *text, bool *tls)
{
    *tls = slice_starts_with(*text, "rediss://");
    if (!*tls && !slice_starts_with(*text, "redis://"))
        return FAULT(ctx, FAULT_CONFIG, RULE "it begins with neither rediss:// nor redis://");
    *text = slice_skip(*text, *tls ? strlen("rediss://") : strlen("redis://"));
    return OK;
}

/* What stands before the last '@': a password may hold one that was not escaped. */
static int take_credentials(struct ctx *ctx, struct slice *text, struct redis_url *url)
{
    const uint8_t *at = find_last(*text, '@');
    if (at == NULL)
        return OK;
    struct slice both = slice_make(text->data, (size_t)(at - text->data));
    *text = slice_skip(*text, both.size + 1);
    const uint8_t *colon = both.size == 0 ? NULL : memchr(both.data, ':', both.size);
    if (colon == NULL)
        return FAULT(ctx, FAULT_CONFIG, RULE "there is no ':' before the password");
    struct slice user = slice_make(both.data, (size_t)(colon - both.data));
    struct slice password = slice_skip(both, user.size + 1);
    if (password.size == 0)
        return FAULT(ctx, FAULT_CONFIG, RULE "the password is empty");
    TRY(percent_decode(ctx, password, "password", &url->password));
    if (user.size == 0)
        return OK;
    return percent_decode(ctx, user, "user", &url->user);
}

/* RFC 3986 section 2.1.  A zero byte would cut the password for every reader of C strings. */
static int percent_decode(struct ctx *ctx, struct slice text, const char *what, const char **out)
{
    char *decoded = arena_alloc(ctx->arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return FAULT(ctx, FAULT_CONFIG,
                             RULE "a '%%' in the %s is not followed by two hex digits", what);
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        }
        if (byte == 0)
            return FAULT(ctx, FAULT_CONFIG, RULE "the %s holds a zero byte", what);
        decoded[size++] = (char)byte;
    }
    *out = decoded;
    return OK;
}

/* A '/' at the end is forgiven: many tools write one.  A cluster has no database numbers. */
static int take_nodes(struct ctx *ctx, struct slice text, struct redis_url *url)
{
    if (text.size > 0 && text.data[text.size - 1] == '/')
        text.size--;
    for (;;) {
        const uint8_t *comma = text.size == 0 ? NULL : memchr(text.data, ',', text.size);
        size_t size = comma == NULL ? text.size : (size_t)(comma - text.data);
        size_t number = url->node_count + 1;
        if (url->node_count == REDIS_URL_NODES)
            return FAULT(ctx, FAULT_CONFIG, RULE "there are more than %d nodes", REDIS_URL_NODES);
        if (!redis_address_parse(slice_make(text.data, size), &url->nodes[url->node_count]))
            return FAULT(ctx, FAULT_CONFIG,
                         RULE "node %zu is not a numeric IP address, ':' and a port of 1 to 65535",
                         number);
        url->node_count++;
        if (comma == NULL)
            return OK;
        text = slice_skip(text, size + 1);
    }
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

static const uint8_t *find_last(struct slice text, uint8_t byte)
{
    return text.size == 0 ? NULL : memrchr(text.data, byte, text.size);
}
