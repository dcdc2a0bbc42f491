/* The client's half of a fuzzed session: what it sent is counted, and what the server sends is held against it.
 *
 *   allowed   the windows the server was given, in the client's own frames, never too low
 *   answered  per stream: HEADERS, DATA, perhaps trailers, and nothing behind END_STREAM */
#ifndef FUZZ_SESSION_CLIENT_H
#define FUZZ_SESSION_CLIENT_H

#include "base/alloc.h"
#include "base/buf.h"

#include "tests/fuzz/session_service.h"

#include <nghttp2/nghttp2.h>

#define FRAME_HEAD 9
#define DEFAULT_WINDOW 65535u
#define LARGEST_FRAME 16384u

struct seen_stream {
    uint32_t id;
    uint64_t allowed; /* by WINDOW_UPDATE, beyond the initial window */
    uint64_t data;    /* came of the server's DATA */
    unsigned blocks;
    unsigned statuses; /* grpc-status fields */
    bool is_grpc;      /* application/grpc, not -web */
    bool ended;
    bool reset;
};

struct peer {
    nghttp2_hd_inflater *inflater;
    struct buf sent;  /* not yet read again, frame by frame */
    struct buf came;  /* from the server, not yet whole frames */
    size_t magic;     /* bytes of the preface still to skip */
    uint32_t window;  /* the largest initial one that was announced */
    uint64_t allowed; /* on the connection */
    uint64_t data;
    uint32_t block_id; /* of a header block that is not whole; 0: none */
    bool block_ends;
    bool said_goodbye; /* GOAWAY with an error came */
    struct seen_stream *streams;
    size_t stream_count;
    size_t stream_room;
};

static inline void peer_init(struct peer *peer)
{
    *peer = (struct peer){
        .magic = NGHTTP2_CLIENT_MAGIC_LEN, .window = DEFAULT_WINDOW, .allowed = DEFAULT_WINDOW};
    EXPECT(nghttp2_hd_inflate_new(&peer->inflater) == 0);
    /* any table size the fuzzed client may have allowed */
    EXPECT(nghttp2_hd_inflate_change_table_size(peer->inflater, UINT32_MAX) == 0);
}

static inline void peer_deinit(struct peer *peer)
{
    nghttp2_hd_inflate_del(peer->inflater);
    buf_deinit(&peer->sent);
    buf_deinit(&peer->came);
    free(peer->streams);
}

static inline struct seen_stream *peer_stream(struct peer *peer, uint32_t id)
{
    for (size_t i = peer->stream_count; i > 0; i--) {
        if (peer->streams[i - 1].id == id)
            return &peer->streams[i - 1];
    }
    if (peer->stream_count == peer->stream_room) {
        peer->stream_room = peer->stream_room == 0 ? 16 : 2 * peer->stream_room;
        peer->streams = xrealloc(peer->streams, peer->stream_room * sizeof *peer->streams);
    }
    peer->streams[peer->stream_count] = (struct seen_stream){.id = id};
    return &peer->streams[peer->stream_count++];
}

static inline uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The next whole frame of `bytes`; false: not there yet. */
static inline bool frame_next(const struct buf *bytes, uint32_t *id, struct slice *payload)
{
    struct slice all = buf_slice(bytes);
    if (all.size < FRAME_HEAD)
        return false;
    size_t size = (size_t)all.data[0] << 16 | (size_t)all.data[1] << 8 | all.data[2];
    if (all.size < FRAME_HEAD + size)
        return false;
    *id = number_at(all.data + 5) & INT32_MAX;
    *payload = slice_make(all.data + FRAME_HEAD, size);
    return true;
}

/* --- what went out -------------------------------------------------------------------------------------- */

static inline void peer_note_settings(struct peer *peer, struct slice entries)
{
    for (; entries.size >= 6; entries = slice_skip(entries, 6)) {
        uint32_t value = number_at(entries.data + 2);
        bool is_window = entries.data[0] == 0 &&
                         entries.data[1] == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE;
        if (is_window && value > peer->window)
            peer->window = value;
    }
}

static inline void peer_note_sent(struct peer *peer, struct slice bytes)
{
    size_t skipped = bytes.size < peer->magic ? bytes.size : peer->magic;
    peer->magic -= skipped;
    buf_put_slice(&peer->sent, slice_skip(bytes, skipped));
    uint32_t id;
    struct slice payload;
    while (frame_next(&peer->sent, &id, &payload)) {
        uint8_t type = payload.data[3 - FRAME_HEAD];
        if (type == NGHTTP2_SETTINGS)
            peer_note_settings(peer, payload);
        if (type == NGHTTP2_WINDOW_UPDATE && payload.size == 4) {
            uint64_t *allowed = id == 0 ? &peer->allowed : &peer_stream(peer, id)->allowed;
            *allowed += number_at(payload.data) & INT32_MAX;
        }
        buf_consume(&peer->sent, FRAME_HEAD + payload.size);
    }
}

/* --- what comes back ------------------------------------------------------------------------------------- */

static inline bool field_is(const nghttp2_nv *field, const char *name)
{
    return slice_is(slice_make(field->name, field->namelen), name);
}

static inline void peer_check_field(struct seen_stream *stream, const nghttp2_nv *field, bool first)
{
    EXPECT(field->namelen > 0);
    EXPECT(nghttp2_check_header_value(field->value, field->valuelen));
    bool pseudo = field->name[0] == ':';
    EXPECT(pseudo ? field_is(field, ":status")
                  : nghttp2_check_header_name(field->name, field->namelen));
    EXPECT(pseudo == (first && stream->blocks == 0)); /* and only there */
    stream->statuses += field_is(field, "grpc-status");
    struct slice value = slice_make(field->value, field->valuelen);
    if (field_is(field, "content-type"))
        stream->is_grpc = slice_is(value, "application/grpc") ||
                          slice_is(value, "application/grpc+proto") ||
                          slice_is(value, "application/grpc+json");
}

static inline void peer_take_fields(struct peer *peer, struct seen_stream *stream,
                                    struct slice block, bool whole)
{
    bool first = stream->blocks == 0;
    for (;;) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t taken =
            nghttp2_hd_inflate_hd2(peer->inflater, &field, &flags, block.data, block.size, whole);
        EXPECT(taken >= 0);
        block = slice_skip(block, (size_t)taken);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            peer_check_field(stream, &field, first);
            first = false;
        }
        bool over = (flags & NGHTTP2_HD_INFLATE_FINAL) != 0;
        if (over || (block.size == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0))
            break;
    }
    if (whole)
        EXPECT(nghttp2_hd_inflate_end_headers(peer->inflater) == 0);
}

/* A gRPC answer ends with one grpc-status; nothing comes behind the end. */
static inline void stream_check_end(struct seen_stream *stream)
{
    EXPECT(!stream->ended);
    stream->ended = true;
    EXPECT(stream->blocks >= 1 && stream->blocks <= 2);
    EXPECT(!stream->is_grpc || stream->statuses == 1);
}

static inline void peer_take_headers(struct peer *peer, struct seen_stream *stream, uint8_t flags,
                                     struct slice block)
{
    bool whole = (flags & NGHTTP2_FLAG_END_HEADERS) != 0;
    peer_take_fields(peer, stream, block, whole);
    peer->block_id = whole ? 0 : stream->id;
    if (!whole)
        return;
    stream->blocks++;
    if (peer->block_ends)
        stream_check_end(stream);
}

static inline void peer_take_data(struct peer *peer, struct seen_stream *stream, uint8_t flags,
                                  struct slice payload)
{
    EXPECT(stream->blocks == 1 && (flags & NGHTTP2_FLAG_PADDED) == 0);
    stream->data += payload.size;
    peer->data += payload.size;
    EXPECT(stream->data <= stream->allowed + peer->window);
    EXPECT(peer->data <= peer->allowed);
    if (flags & NGHTTP2_FLAG_END_STREAM)
        stream_check_end(stream);
}

static inline void peer_take_stream(struct peer *peer, const uint8_t *head, uint32_t id,
                                    struct slice payload)
{
    struct seen_stream *stream = peer_stream(peer, id);
    uint8_t type = head[3];
    uint8_t flags = head[4];
    EXPECT(id % 2 == 1);
    EXPECT(!stream->reset);
    EXPECT(!stream->ended || type == NGHTTP2_RST_STREAM || type == NGHTTP2_WINDOW_UPDATE);
    EXPECT((peer->block_id != 0) == (type == NGHTTP2_CONTINUATION));
    if (type == NGHTTP2_HEADERS)
        peer->block_ends = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION)
        peer_take_headers(peer, stream, flags, payload);
    else if (type == NGHTTP2_DATA)
        peer_take_data(peer, stream, flags, payload);
    else if (type == NGHTTP2_RST_STREAM)
        stream->reset = true;
    else
        EXPECT(type == NGHTTP2_WINDOW_UPDATE);
}

/* Every frame of `bytes` must be one that a client expects.  highest: the last stream that the server saw. */
static inline void peer_take(struct peer *peer, struct slice bytes, uint32_t highest)
{
    buf_put_slice(&peer->came, bytes);
    uint32_t id;
    struct slice payload;
    while (frame_next(&peer->came, &id, &payload)) {
        const uint8_t *head = payload.data - FRAME_HEAD;
        uint8_t type = head[3];
        EXPECT(payload.size <= LARGEST_FRAME);
        EXPECT(id <= highest);
        if (id > 0)
            peer_take_stream(peer, head, id, payload);
        else
            EXPECT(type == NGHTTP2_SETTINGS || type == NGHTTP2_PING || type == NGHTTP2_GOAWAY ||
                   type == NGHTTP2_WINDOW_UPDATE);
        EXPECT(type != NGHTTP2_GOAWAY || payload.size >= 8);
        EXPECT(type != NGHTTP2_PING || payload.size == 8);
        EXPECT(type != NGHTTP2_WINDOW_UPDATE || number_at(payload.data) != 0);
        if (type == NGHTTP2_GOAWAY)
            peer->said_goodbye = number_at(payload.data + 4) != NGHTTP2_NO_ERROR;
        buf_consume(&peer->came, FRAME_HEAD + payload.size);
    }
}

#endif
