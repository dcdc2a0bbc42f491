/* A session under test and a client in memory: the client is nghttp2's own or hand-written frames. */
#ifndef TESTS_UNIT_RPC_H2_PAIR_H
#define TESTS_UNIT_RPC_H2_PAIR_H

#include "h2_service.h"

/* --- the client ------------------------------------------------------------------------------------------ */

static inline struct exchange *pair_exchange(struct pair *pair, int32_t id)
{
    int32_t place = id == INT32_MAX ? EXCHANGES_MAX - 1 : id / 2; /* the largest has a place too */
    ck_assert_int_lt(place, EXCHANGES_MAX);
    return &pair->exchanges[place];
}

static inline int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                   const uint8_t *name, size_t name_size, const uint8_t *value,
                                   size_t value_size, uint8_t flags, void *user)
{
    (void)session;
    (void)flags;
    struct exchange *exchange = pair_exchange(user, frame->hd.stream_id);
    ck_assert_uint_lt(exchange->field_count, FIELDS_SEEN);
    struct seen_field *field = &exchange->fields[exchange->field_count++];
    snprintf(field->name, sizeof field->name, "%.*s", (int)name_size, name);
    snprintf(field->value, sizeof field->value, "%.*s", (int)value_size, value);
    field->block = exchange->blocks;
    return 0;
}

static inline int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct pair *pair = user;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        pair_exchange(pair, frame->hd.stream_id)->blocks++;
        break;
    case NGHTTP2_GOAWAY:
        pair->goaway = true;
        pair->goaways++;
        pair->goaway_error = frame->goaway.error_code;
        pair->goaway_last = frame->goaway.last_stream_id;
        snprintf(pair->goaway_text, sizeof pair->goaway_text, "%.*s",
                 (int)frame->goaway.opaque_data_len, frame->goaway.opaque_data);
        break;
    case NGHTTP2_RST_STREAM: {
        struct exchange *exchange = pair_exchange(pair, frame->hd.stream_id);
        exchange->reset = true;
        exchange->reset_error = frame->rst_stream.error_code;
        break;
    }
    case NGHTTP2_PING:
        pair->pings++;
        break;
    case NGHTTP2_SETTINGS:
        pair->settings_acks += (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
        break;
    default:
        break;
    }
    return 0;
}

static inline int client_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                                 const uint8_t *data, size_t size, void *user)
{
    (void)session;
    (void)flags;
    buf_put(&pair_exchange(user, id)->body, data, size);
    return 0;
}

static inline int client_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)session;
    struct exchange *exchange = pair_exchange(user, id);
    exchange->closed = true;
    exchange->error = error;
    return 0;
}

static inline ssize_t client_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                                  uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)user;
    struct buf *body = source->ptr;
    size_t count = buf_size(body) < size ? buf_size(body) : size;
    if (count > 0)
        memcpy(out, buf_slice(body).data, count);
    buf_consume(body, count);
    if (buf_size(body) == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

/* --- the pair -------------------------------------------------------------------------------------------- */

static inline void pair_wants_flush(void *owner)
{
    ((struct pair *)owner)->wants_flush = true;
}

/* A worker without a session: for connections of its own. */
static inline struct pair *pair_make(const struct rpc_limits *limits, const struct log *log)
{
    struct pair *pair = xcalloc(1, sizeof *pair);
    pair->loop = loop_new(0);
    pair->metrics = metrics_new();
    pair->shared = rpc_shared_new();
    pair->arena = arena_new(0);
    pair->exchanges = xcalloc(EXCHANGES_MAX, sizeof *pair->exchanges);
    pair->caller = "admin";
    struct rpc_registration registration = {&pair_service, NULL, pair};
    struct rpc_worker_settings settings = {
        .loop = pair->loop,
        .log = log,
        .shared = pair->shared,
        .metrics = pair->metrics,
        .limits = limits == NULL ? rpc_limits_default : *limits,
        .hooks = {.owner = pair,
                  .identity = pair_identity,
                  .gate = pair_gate,
                  .match = pair_match,
                  .probe = pair_probe},
        .registrations = &registration,
        .registration_count = 1,
    };
    pair->worker = rpc_worker_open(&settings);
    nghttp2_hd_inflate_new(&pair->inflater);
    return pair;
}

static inline struct pair *pair_new(const struct rpc_limits *limits)
{
    struct pair *pair = pair_make(limits, NULL);
    pair->h2 = h2_new(pair->worker, pair->caller, pair, pair_wants_flush);
    return pair;
}

/* With nghttp2's client. */
static inline void pair_connect(struct pair *pair)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
    nghttp2_session_client_new(&pair->client, callbacks, pair);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(pair->client, NGHTTP2_FLAG_NONE, NULL, 0);
}

static inline void raw_take_fields(struct pair *pair, int32_t id, struct slice block)
{
    struct exchange *exchange = pair_exchange(pair, id);
    while (block.size > 0) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t taken =
            nghttp2_hd_inflate_hd2(pair->inflater, &field, &flags, block.data, block.size, 1);
        ck_assert_int_ge(taken, 0);
        block = slice_skip(block, (size_t)taken);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            struct seen_field *seen = &exchange->fields[exchange->field_count++];
            snprintf(seen->name, sizeof seen->name, "%.*s", (int)field.namelen, field.name);
            snprintf(seen->value, sizeof seen->value, "%.*s", (int)field.valuelen, field.value);
            seen->block = exchange->blocks;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(pair->inflater);
    exchange->blocks++;
}

static inline uint32_t raw_number(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct raw_seen {
    uint8_t type;
    uint8_t flags;
    int32_t id;
    struct slice payload;
};

/* The next frame, which is whole; false: there is none. */
static inline bool raw_next(struct slice *bytes, struct raw_seen *frame)
{
    if (bytes->size == 0)
        return false;
    ck_assert_uint_ge(bytes->size, 9);
    const uint8_t *head = bytes->data;
    size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    ck_assert_uint_ge(bytes->size, 9 + size);
    *frame = (struct raw_seen){head[3], head[4], (int32_t)raw_number(head + 5), slice_make(head + 9, size)};
    *bytes = slice_skip(*bytes, 9 + size);
    return true;
}

static inline void raw_take_frame(struct pair *pair, const struct raw_seen *frame)
{
    const uint8_t type = frame->type, flags = frame->flags;
    const int32_t id = frame->id;
    const struct slice payload = frame->payload;
    if (type == NGHTTP2_GOAWAY) {
        pair->goaway = true;
        pair->goaways++;
        pair->goaway_last = (int32_t)raw_number(payload.data);
        pair->goaway_error = raw_number(payload.data + 4);
        snprintf(pair->goaway_text, sizeof pair->goaway_text, "%.*s", (int)payload.size - 8,
                 (const char *)payload.data + 8);
    }
    pair->pings += type == NGHTTP2_PING;
    pair->settings_acks += type == NGHTTP2_SETTINGS && (flags & NGHTTP2_FLAG_ACK);
    if (id == 0)
        return;
    struct exchange *exchange = pair_exchange(pair, id);
    if (type == NGHTTP2_HEADERS)
        raw_take_fields(pair, id, payload);
    if (type == NGHTTP2_DATA)
        buf_put_slice(&exchange->body, payload);
    if (type == NGHTTP2_RST_STREAM) {
        exchange->reset = true;
        exchange->reset_error = raw_number(payload.data);
    }
    bool ends = (type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) &&
                (flags & NGHTTP2_FLAG_END_STREAM);
    exchange->closed = exchange->closed || ends || exchange->reset;
}

/* What the server sent, frame by frame. */
static inline void raw_take(struct pair *pair, struct slice bytes)
{
    for (struct raw_seen frame; raw_next(&bytes, &frame);)
        raw_take_frame(pair, &frame);
}

/* The server's output goes to the client. */
static inline void pair_send(struct pair *pair)
{
    pair->wants_flush = false;
    if (pair->h2 == NULL)
        return;
    h2_turn(pair->h2);
    if (!h2_send(pair->h2, &pair->to_client, SIZE_MAX / 2))
        pair->ended = true;
    if (h2_is_over(pair->h2))
        pair->ended = true;
    struct slice bytes = buf_slice(&pair->to_client);
    if (pair->client == NULL) {
        raw_take(pair, bytes);
    } else if (bytes.size > 0) {
        ssize_t taken = nghttp2_session_mem_recv(pair->client, bytes.data, bytes.size);
        ck_assert_int_eq(taken, (ssize_t)bytes.size);
    }
    buf_clear(&pair->to_client);
}

static inline bool pair_feed(struct pair *pair, struct slice bytes)
{
    if (!pair->ended && pair->h2 != NULL && !h2_receive(pair->h2, bytes))
        pair->ended = true;
    return !pair->ended;
}

/* One round: client's bytes in, tasks run, server's bytes out. */
static inline void pair_turn(struct pair *pair)
{
    for (;;) {
        const uint8_t *bytes;
        ssize_t size = pair->client == NULL ? 0 : nghttp2_session_mem_send(pair->client, &bytes);
        if (size <= 0)
            break;
        pair_feed(pair, slice_make(bytes, (size_t)size));
    }
    loop_turn(pair->loop, NS_PER_MS);
    pair_send(pair);
}

static inline void pair_turns(struct pair *pair, int turns)
{
    while (turns-- > 0)
        pair_turn(pair);
}

/* Turns until the stream is closed; fails after five seconds. */
static inline struct exchange *pair_finish(struct pair *pair, int32_t id)
{
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    struct exchange *exchange = pair_exchange(pair, id);
    while (!exchange->closed) {
        pair_turn(pair);
        if (pair->worker != NULL && pair->h2 != NULL)
            (void)h2_sweep(pair->h2, clock_now());
        ck_assert_msg(clock_now() < limit, "stream %d never closed", id);
    }
    return exchange;
}

static inline void pair_drop_body(struct buf *body)
{
    if (body != NULL)
        buf_deinit(body);
    free(body);
}

static inline void pair_drop(struct pair *pair)
{
    h2_free(pair->h2);
    pair->h2 = NULL;
}

static inline void pair_free(struct pair *pair)
{
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    pair_drop(pair);
    while (task_count(pair->loop) > 0) {
        loop_turn(pair->loop, 10 * NS_PER_MS);
        ck_assert_msg(clock_now() < limit, "a task never ended");
    }
    ck_assert_int_eq(pair->invocations, pair->finished);
    ck_assert_int_eq(metric_gauge(pair->worker->metrics->streams), 0);
    ck_assert_int_eq(metric_gauge(pair->worker->metrics->running), 0);
    nghttp2_session_del(pair->client);
    nghttp2_hd_inflate_del(pair->inflater);
    rpc_worker_close(pair->worker);
    rpc_shared_free(pair->shared);
    loop_free(pair->loop);
    metrics_free(pair->metrics);
    for (size_t i = 0; i < EXCHANGES_MAX; i++) {
        buf_deinit(&pair->exchanges[i].body);
        pair_drop_body(pair->exchanges[i].request);
    }
    free(pair->exchanges);
    buf_deinit(&pair->to_client);
    arena_free(pair->arena);
    free(pair);
}

/* --- requests -------------------------------------------------------------------------------------------- */

struct extra {
    const char
        *name; /* NULL ends; one with a name of the defaults replaces it, value NULL removes it */
    const char *value;
};

/* A framed google.rpc.Status, on the heap. */
static inline struct buf *pair_message(int code, const char *text)
{
    Google__Rpc__Status message;
    google__rpc__status__init(&message);
    message.code = code;
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    message.message = cast.out;
    size_t size = protobuf_c_message_get_packed_size(&message.base);
    uint8_t *packed = xmalloc(size + 1);
    protobuf_c_message_pack(&message.base, packed);
    struct buf *body = xcalloc(1, sizeof *body);
    framing_put(body, slice_make(packed, size));
    free(packed);
    return body;
}

static inline size_t pair_fields(const char *path, const struct extra *extras, nghttp2_nv *out)
{
    const struct extra defaults[] = {
        {":method", "POST"},         {":scheme", "https"}, {":path", path},
        {":authority", "localhost"}, {"te", "trailers"},   {"content-type", "application/grpc"},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        const char *value = defaults[i].value;
        for (const struct extra *e = extras; e != NULL && e->name != NULL; e++)
            value = strcmp(e->name, defaults[i].name) == 0 ? e->value : value;
        if (value != NULL)
            out[count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)defaults[i].name,
                                        (uint8_t *)(uintptr_t)value, strlen(defaults[i].name),
                                        strlen(value), NGHTTP2_NV_FLAG_NONE};
    }
    for (const struct extra *e = extras; e != NULL && e->name != NULL; e++) {
        bool replaced = false;
        for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
            replaced = replaced || strcmp(e->name, defaults[i].name) == 0;
        if (!replaced)
            out[count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)e->name,
                                        (uint8_t *)(uintptr_t)e->value, strlen(e->name),
                                        strlen(e->value), NGHTTP2_NV_FLAG_NONE};
    }
    return count;
}

/* Takes `body` over; NULL: headers alone, the stream stays open. */
static inline int32_t pair_request(struct pair *pair, const char *path, const struct extra *extras,
                                   struct buf *body)
{
    nghttp2_nv fields[32];
    size_t count = pair_fields(path, extras, fields);
    nghttp2_data_provider provider = {.source.ptr = body, .read_callback = client_read};
    int32_t id;
    if (body != NULL) {
        id = nghttp2_submit_request(pair->client, NULL, fields, count, &provider, NULL);
    } else {
        id = nghttp2_submit_headers(pair->client, NGHTTP2_FLAG_NONE, -1, NULL, fields, count, NULL);
    }
    ck_assert_int_gt(id, 0);
    pair_exchange(pair, id)->request = body;
    return id;
}

static inline int32_t pair_call(struct pair *pair, const char *method, int code)
{
    char path[64];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", method);
    return pair_request(pair, path, NULL, pair_message(code, "hello"));
}

/* A field of the answer; NULL when it did not come. */
static inline const char *answer_field(const struct exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->field_count; i++) {
        if (strcmp(exchange->fields[i].name, name) == 0)
            return exchange->fields[i].value;
    }
    return NULL;
}

static inline int answer_status(const struct exchange *exchange)
{
    const char *text = answer_field(exchange, "grpc-status");
    return text == NULL ? -1 : (int)strtol(text, NULL, 10);
}

/* How often a limit was hit. */
static inline uint64_t pair_limit(struct pair *pair, const char *limit)
{
    struct buf text = BUF_EMPTY;
    metrics_render(&pair->metrics, 1, METRICS_PROMETHEUS, &text);
    char key[128];
    snprintf(key, sizeof key, "tenant_rpc_limit_hits_total{limit=\"%s\"} ", limit);
    const char *at = strstr(buf_str(&text), key);
    uint64_t value = at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
    buf_deinit(&text);
    return value;
}

/* --- hand-written frames --------------------------------------------------------------------------------- */

static inline void raw_preface(struct buf *out)
{
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    buf_put(out, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    buf_put(out, settings, sizeof settings);
}

static inline void raw_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id,
                             struct slice payload)
{
    const uint8_t head[9] = {(uint8_t)(payload.size >> 16),
                             (uint8_t)(payload.size >> 8),
                             (uint8_t)payload.size,
                             type,
                             flags,
                             (uint8_t)(id >> 24),
                             (uint8_t)(id >> 16),
                             (uint8_t)(id >> 8),
                             (uint8_t)id};
    buf_put(out, head, sizeof head);
    buf_put_slice(out, payload);
}

/* A header block without Huffman and without the dynamic table. */
static inline void raw_block(struct buf *out, const char *path, const struct extra *extras)
{
    nghttp2_nv fields[32];
    size_t count = pair_fields(path, extras, fields);
    for (size_t i = 0; i < count; i++) {
        buf_put_byte(out, 0);
        ck_assert_uint_lt(fields[i].namelen, 127);
        ck_assert_uint_lt(fields[i].valuelen, 127);
        buf_put_byte(out, (uint8_t)fields[i].namelen);
        buf_put(out, fields[i].name, fields[i].namelen);
        buf_put_byte(out, (uint8_t)fields[i].valuelen);
        buf_put(out, fields[i].value, fields[i].valuelen);
    }
}

static inline void raw_headers(struct buf *out, uint32_t id, const char *path, uint8_t flags)
{
    struct buf block = BUF_EMPTY;
    raw_block(&block, path, NULL);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | flags, id, buf_slice(&block));
    buf_deinit(&block);
}

/* Feeds hand-written bytes; the client session only reads the answers. */
static inline void pair_raw(struct pair *pair, struct buf *bytes)
{
    pair_feed(pair, buf_slice(bytes));
    buf_clear(bytes);
}

#endif
