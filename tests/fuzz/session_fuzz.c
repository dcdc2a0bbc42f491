/* Whole HTTP/2 sessions on the server's own session layer, dispatch and tasks, without a socket.
 *
 * Input: one byte of how (see HOW_), one that seeds the sizes of reads, then
 *   raw:     the client's bytes as they are, a turn of the loop after each read;
 *   else:    steps, each an opcode with its operands, from which frames are made (step_take()).
 * Whatever comes: what the limits say is kept, every frame of the answers is one that a client expects, and at
 * the end nothing is left of streams, calls and tasks. */
#include "rpc/gzip.h"

#include "tests/fuzz/session_client.h"
#include "tests/fuzz/session_words.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOW_RAW 1u
#define HOW_TIGHT 2u      /* low limits */
#define HOW_NO_PREFACE 4u /* a frame comes first */
#define HOW_SLOW 8u       /* answers are fetched only when a step says so */
#define HOW_SHUTDOWN 16u  /* the server says GOAWAY at the end, else it just goes */

#define SENT_MAX ((size_t)256 << 10)
#define REPEATS_MAX 40
#define FIELDS_MOST 24 /* of one header block */
#define INITIAL_WINDOW ((size_t)64 << 10)
#define TURNS_MAX 1000

struct session {
    struct world *world;
    struct h2 *h2;
    struct peer peer;
    nghttp2_hd_deflater *deflater;
    struct slice input;
    struct buf out;    /* the client's bytes that were not fed yet */
    size_t frame_size; /* of the last one in it, to be repeated */
    size_t sent;
    uint32_t next_id;
    unsigned seed;
    unsigned how;
    uint64_t skew_ns; /* sweeps are that far ahead */
    bool over;        /* the server reads no more */
};

static uint8_t byte_take(struct session *session)
{
    if (session->input.size == 0)
        return 0;
    uint8_t byte = session->input.data[0];
    session->input = slice_skip(session->input, 1);
    return byte;
}

static struct slice bytes_take(struct session *session, size_t size)
{
    if (size > session->input.size)
        size = session->input.size;
    struct slice bytes = slice_make(session->input.data, size);
    session->input = slice_skip(session->input, size);
    return bytes;
}

/* --- the server's turns ---------------------------------------------------------------------------------- */

static void session_wants_flush(void *owner)
{
    (void)owner;
}

/* A window for each stream; two where a handler has part of a message while more comes. */
static size_t windows_held(const struct h2 *h2)
{
    size_t held = 0;
    for (struct list_node *node = list_first(&h2->streams); node != NULL;
         node = list_next(&h2->streams, node)) {
        const struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        held += (stream->flow != NULL ? 2 : 1) * INITIAL_WINDOW;
    }
    return held;
}

/* What decisions and docs/limits.md promise of one connection, at any moment. */
static void limits_check(const struct session *session)
{
    const struct h2 *h2 = session->h2;
    const struct rpc_limits *limits = &session->world->worker->limits;
    EXPECT(h2->streams.count <= limits->concurrent_streams);
    EXPECT(h2->running_calls.count <= limits->running_handlers);
    EXPECT(h2->buffered <= windows_held(h2) + h2->reserved);
    EXPECT(h2->reserved <= 2 * session->world->worker->largest_message);
    EXPECT(h2->queued <= limits->queued_response_bytes +
                             (limits->running_handlers + 1) * (limits->response_bytes + 128));
}

/* Structs of closed streams are given up, so that a use of one is seen. */
static void spares_drop(struct rpc_worker *worker)
{
    for (struct list_node *node; (node = list_pop_front(&worker->spare_streams)) != NULL;)
        stream_free(list_entry(node, struct h2_stream, node));
}

static void session_send(struct session *session)
{
    struct buf bytes = BUF_EMPTY;
    if (!h2_send(session->h2, &bytes, (size_t)32 << 10))
        session->over = true;
    peer_take(&session->peer, buf_slice(&bytes), (uint32_t)session->h2->highest_stream);
    buf_deinit(&bytes);
    session->over = session->over || h2_is_over(session->h2);
}

static void session_turn(struct session *session, bool sends)
{
    loop_turn(session->world->loop, 0);
    h2_turn(session->h2);
    if (sends)
        session_send(session);
    limits_check(session);
    spares_drop(session->world->worker);
}

/* Memory of its own size: a byte read too far is seen. */
static void part_feed(struct session *session, struct slice bytes)
{
    uint8_t *part = xmalloc(bytes.size + 1);
    uint8_t *own = part + 1;
    memcpy(own, bytes.data, bytes.size);
    peer_note_sent(&session->peer, bytes);
    if (!h2_receive(session->h2, slice_make(own, bytes.size)))
        session->over = true;
    free(part);
    limits_check(session);
}

static size_t part_size(struct session *session)
{
    session->seed = session->seed * 1103515245u + 12345u;
    unsigned random = session->seed >> 16;
    return random % 3 == 0 ? 1 + random / 3 % 12 : 1 + random / 3 % 4000;
}

static void session_feed(struct session *session, struct slice bytes, bool turns)
{
    bool splits = session->seed % 4 != 0;
    while (bytes.size > 0 && !session->over) {
        size_t size = splits ? part_size(session) : RPC_READ_SIZE;
        size = size < bytes.size ? size : bytes.size;
        part_feed(session, slice_make(bytes.data, size));
        bytes = slice_skip(bytes, size);
        if (turns)
            session_turn(session, true);
    }
}

static void session_flush(struct session *session)
{
    session_feed(session, buf_slice(&session->out), false);
    buf_clear(&session->out);
    session->frame_size = 0;
    session_turn(session, (session->how & HOW_SLOW) == 0);
}

/* --- frames ---------------------------------------------------------------------------------------------- */

static void frame_put(struct session *session, uint8_t type, uint8_t flags, uint32_t id,
                      struct slice payload)
{
    if (session->sent + payload.size > SENT_MAX)
        return;
    session->sent += payload.size + FRAME_HEAD;
    const uint8_t head[FRAME_HEAD] = {(uint8_t)(payload.size >> 16),
                                      (uint8_t)(payload.size >> 8),
                                      (uint8_t)payload.size,
                                      type,
                                      flags,
                                      (uint8_t)(id >> 24),
                                      (uint8_t)(id >> 16),
                                      (uint8_t)(id >> 8),
                                      (uint8_t)id};
    buf_put(&session->out, head, sizeof head);
    buf_put_slice(&session->out, payload);
    session->frame_size = FRAME_HEAD + payload.size;
}

static void number_put(struct session *session, uint8_t type, uint32_t id, uint32_t number)
{
    const uint8_t payload[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                                (uint8_t)(number >> 8), (uint8_t)number};
    frame_put(session, type, 0, id, slice_make(payload, 4));
}

/* A new stream, one of the last eight, the last, or any small number. */
static uint32_t id_take(struct session *session)
{
    uint8_t byte = byte_take(session);
    switch (byte & 3) {
    case 0:
        session->next_id += 2;
        return session->next_id - 2;
    case 1:
        return session->next_id - 2 - 2 * (uint32_t)(byte >> 2 & 7);
    case 2:
        return byte >> 2;
    }
    return session->next_id - 2;
}

static uint32_t number_take(struct session *session)
{
    static const uint32_t numbers[] = {0, 1, 2, 16384, 65535, INT32_MAX, UINT32_MAX, 1u << 24};
    uint8_t byte = byte_take(session);
    return byte < 8 ? numbers[byte] : (uint32_t)(byte - 7) * 97;
}

static void field_add(nghttp2_nv *fields, size_t *count, const char *name, const char *value)
{
    if (*count < FIELDS_MOST)
        fields[(*count)++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                                          strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* HEADERS, and CONTINUATION where a part is to be smaller than the block. */
static void block_put(struct session *session, uint32_t id, uint8_t flags, struct slice block)
{
    static const size_t sizes[] = {16384, 1, 20, 100};
    size_t part = sizes[byte_take(session) & 3];
    uint8_t type = NGHTTP2_HEADERS;
    do {
        size_t size = part < block.size ? part : block.size;
        bool last = size == block.size;
        frame_put(session, type, (uint8_t)(flags | (last ? NGHTTP2_FLAG_END_HEADERS : 0)), id,
                  slice_make(block.data, size));
        block = slice_skip(block, size);
        type = NGHTTP2_CONTINUATION;
        flags = 0;
    } while (block.size > 0);
}

static void fields_put(struct session *session, uint32_t id, uint8_t flags,
                       const nghttp2_nv *fields, size_t count)
{
    uint8_t block[32 << 10];
    ssize_t size = nghttp2_hd_deflate_hd(session->deflater, block, sizeof block, fields, count);
    if (size > 0)
        block_put(session, id, flags, slice_make(block, (size_t)size));
}

static void request_put(struct session *session)
{
    nghttp2_nv fields[FIELDS_MOST];
    size_t count = 0;
    char long_value[4096];
    uint32_t id = id_take(session);
    uint8_t what = byte_take(session); /* path and end */
    uint8_t kind = byte_take(session); /* content type and method */
    uint8_t more = byte_take(session); /* number of extra fields */
    field_add(fields, &count, ":method", kind & 0x10 ? "GET" : kind & 0x20 ? "PUT" : "POST");
    field_add(fields, &count, ":scheme", "https");
    if ((kind & 0xc0) != 0xc0)
        field_add(fields, &count, ":path", paths[what & 15]);
    field_add(fields, &count, ":authority", "localhost");
    field_add(fields, &count, "content-type", content_types[kind & 15]);
    for (unsigned i = 0; i < (more & 15u); i++) {
        const char *const *extra = extras[byte_take(session) & 31];
        field_add(fields, &count, extra[0], extra[1]);
    }
    if (more & 0x40) {
        size_t size = 16 * (size_t)byte_take(session);
        memset(long_value, 'v', size);
        long_value[size] = '\0';
        field_add(fields, &count, "x-long", long_value);
    }
    fields_put(session, id, what & 0x80 ? NGHTTP2_FLAG_END_STREAM : 0, fields, count);
}

static void trailers_put(struct session *session)
{
    nghttp2_nv fields[FIELDS_MOST];
    size_t count = 0;
    uint32_t id = id_take(session);
    uint8_t what = byte_take(session);
    field_add(fields, &count, extras[what & 31][0], extras[what & 31][1]);
    fields_put(session, id, what & 0x80 ? 0 : NGHTTP2_FLAG_END_STREAM, fields, count);
}

/* --- messages -------------------------------------------------------------------------------------------- */

static void prefix_put(struct buf *out, uint8_t flags, size_t size)
{
    buf_put_byte(out, flags);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_put_byte(out, (uint8_t)(size >> shift));
}

/* A google.rpc.Status: a number of one byte, and perhaps a text. */
static void status_put(struct buf *out, uint8_t code, size_t text)
{
    buf_put_byte(out, 0x08);
    buf_put_byte(out, code & 0x7f);
    if (text == 0)
        return;
    buf_put_byte(out, 0x12);
    buf_put_byte(out, (uint8_t)(0x80 | (text & 0x7f)));
    buf_put_byte(out, (uint8_t)(text >> 7));
    memset(buf_reserve(out, text), 'x', text);
    buf_commit(out, text);
}

static void message_put(struct session *session, struct buf *out, uint8_t kind)
{
    struct buf plain = BUF_EMPTY;
    struct buf packed = BUF_EMPTY;
    if (kind & 8)
        buf_put_str(&plain, "{\"code\":3,\"message\":\"json\"}");
    else
        status_put(&plain, byte_take(session), kind & 0x10 ? 60 * (size_t)byte_take(session) : 0);
    bool zips = (kind & 0x20) != 0;
    if (zips)
        gzip_deflate(buf_slice(&plain), &packed);
    struct slice bytes = buf_slice(zips ? &packed : &plain);
    if ((kind & 0x40) == 0)
        prefix_put(out, zips ? 1 : 0, bytes.size);
    buf_put_slice(out, bytes);
    buf_deinit(&plain);
    buf_deinit(&packed);
}

static void data_put(struct session *session)
{
    uint32_t id = id_take(session);
    uint8_t how = byte_take(session); /* END_STREAM, padding, repeats */
    uint8_t kind = byte_take(session);
    struct buf body = BUF_EMPTY;
    uint8_t padding = how & 2 ? byte_take(session) : 0;
    if (how & 2)
        buf_put_byte(&body, padding);
    switch (kind & 7) {
    case 0:
    case 1:
    case 2:
        for (unsigned i = 0; i <= (kind & 3u); i++)
            message_put(session, &body, kind);
        break;
    case 3:
        buf_put_slice(&body, bytes_take(session, kind >> 3));
        break;
    case 4: {
        struct slice bytes = bytes_take(session, kind >> 3);
        prefix_put(&body, byte_take(session) & 3, bytes.size);
        buf_put_slice(&body, bytes);
        break;
    }
    case 5:
        prefix_put(&body, kind & 0x80 ? 1 : 0, number_take(session));
        break;
    case 6:
        memset(buf_reserve(&body, 16000), 'x', 16000);
        buf_commit(&body, 16000);
        break;
    default:
        break; /* empty */
    }
    for (unsigned i = 0; (how & 4) == 0 && i < padding; i++)
        buf_put_byte(&body, 0);
    uint8_t flags =
        (uint8_t)((how & 1 ? NGHTTP2_FLAG_END_STREAM : 0) | (how & 2 ? NGHTTP2_FLAG_PADDED : 0));
    frame_put(session, NGHTTP2_DATA, flags, id, buf_slice(&body));
    buf_deinit(&body);
}

/* --- steps ------------------------------------------------------------------------------------------------ */

static void frame_repeat(struct session *session)
{
    unsigned times = byte_take(session) % REPEATS_MAX;
    struct buf frame = BUF_EMPTY;
    struct slice all = buf_slice(&session->out);
    buf_put_slice(&frame, slice_skip(all, all.size - session->frame_size));
    for (; times > 0 && session->sent + buf_size(&frame) <= SENT_MAX; times--) {
        buf_put_slice(&session->out, buf_slice(&frame));
        session->sent += buf_size(&frame);
    }
    buf_deinit(&frame);
}

static void settings_put(struct session *session)
{
    uint8_t entries[6 * 16];
    size_t count = byte_take(session) % 16;
    for (size_t i = 0; i < count; i++) {
        uint8_t id = byte_take(session) % 10;
        uint32_t value = number_take(session);
        const uint8_t entry[6] = {0,
                                  id,
                                  (uint8_t)(value >> 24),
                                  (uint8_t)(value >> 16),
                                  (uint8_t)(value >> 8),
                                  (uint8_t)value};
        memcpy(entries + 6 * i, entry, 6);
    }
    frame_put(session, NGHTTP2_SETTINGS, 0, 0, slice_make(entries, 6 * count));
}

static void any_put(struct session *session)
{
    uint8_t type = byte_take(session) % 16;
    uint8_t flags = byte_take(session);
    uint32_t id = id_take(session);
    frame_put(session, type, flags, id, bytes_take(session, byte_take(session) % 64));
}

static void session_sweep(struct session *session)
{
    session->skew_ns += byte_take(session) * 200 * NS_PER_MS;
    if (!h2_sweep(session->h2, clock_now() + session->skew_ns))
        session->over = true;
    session_send(session);
    limits_check(session);
}

static void step_take(struct session *session)
{
    static const uint8_t ping[8] = "fuzzping";
    uint8_t step = byte_take(session);
    switch (step % 20) {
    case 0:
    case 1:
        request_put(session);
        return;
    case 2:
    case 3:
        data_put(session);
        return;
    case 4:
        number_put(session, NGHTTP2_RST_STREAM, id_take(session), number_take(session));
        return;
    case 5:
        number_put(session, NGHTTP2_WINDOW_UPDATE, id_take(session), number_take(session));
        return;
    case 6:
        settings_put(session);
        return;
    case 7:
        frame_put(session, NGHTTP2_PING, step & 0x80 ? NGHTTP2_FLAG_ACK : 0, 0,
                  slice_make(ping, 8));
        return;
    case 8:
        frame_put(session, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, slice_make(NULL, 0));
        return;
    case 9:
        any_put(session);
        return;
    case 10:
        frame_repeat(session);
        return;
    case 11:
        trailers_put(session);
        return;
    case 12:
        session_sweep(session);
        return;
    case 13:
        frame_put(session, NGHTTP2_GOAWAY, 0, 0, slice_make("\0\0\0\0\0\0\0\0", 8));
        return;
    case 14:
        frame_put(session, NGHTTP2_PRIORITY, 0, id_take(session), slice_make("\0\0\0\0\1", 5));
        return;
    case 15:
        number_put(session, NGHTTP2_WINDOW_UPDATE, 0, number_take(session));
        return;
    case 16:
        h2_shutdown(session->h2);
        return;
    case 17:
        session->frame_size = 0;
        buf_put_slice(&session->out, bytes_take(session, byte_take(session) % 32));
        return;
    case 18:
        session_turn(session, true);
        return;
    default:
        session_flush(session);
        return;
    }
}

static void session_steps(struct session *session)
{
    if ((session->how & HOW_NO_PREFACE) == 0) {
        buf_put_str(&session->out, NGHTTP2_CLIENT_MAGIC);
        frame_put(session, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
    }
    while (session->input.size > 0 && !session->over)
        step_take(session);
    if (!session->over)
        session_flush(session);
}

/* Nothing of it is left in the process. */
static void session_end(struct session *session)
{
    struct world *world = session->world;
    if (session->how & HOW_SHUTDOWN) {
        h2_shutdown(session->h2);
        session_send(session);
        (void)h2_sweep(session->h2, clock_now() + 3600 * NS_PER_S);
        session_turn(session, true);
    }
    h2_free(session->h2);
    for (int turns = 0; task_count(world->loop) > 0; turns++) {
        EXPECT(turns < TURNS_MAX);
        loop_turn(world->loop, 0);
    }
    loop_turn(world->loop, 0);
    EXPECT(world->worker->running_calls == 0 && world->worker->streaming_calls == 0);
    EXPECT(metric_gauge(world->worker->metrics->streams) == 0);
    EXPECT(metric_gauge(world->worker->metrics->running) == 0);
    spares_drop(world->worker);
    nghttp2_hd_deflate_del(session->deflater);
    peer_deinit(&session->peer);
    buf_deinit(&session->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    if (world.worker == NULL)
        world_open(&world);
    if (size < 2)
        return 0;
    struct session session = {.world = &world, .how = data[0], .seed = data[1], .next_id = 1};
    session.input = slice_make(data + 2, size - 2);
    struct rpc_limits limits = session.how & HOW_TIGHT ? world_tight_limits() : rpc_limits_default;
    rpc_worker_set_limits(world.worker, &limits);
    peer_init(&session.peer);
    EXPECT(nghttp2_hd_deflate_new(&session.deflater, 4096) == 0);
    session.h2 = h2_new(world.worker, "stranger", &session, session_wants_flush);
    session_turn(&session, true);
    if (session.how & HOW_RAW)
        session_feed(&session, session.input, true);
    else
        session_steps(&session);
    session_end(&session);
    return 0;
}
