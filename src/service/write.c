/* Keys, commits and their resolution; see write.h. */
#include "service/write.h"

#include "base/clock.h"
#include "base/random.h"

#include "loop/task.h"
#include "service/consistency.h"
#include "service/fingerprint.h"

#include "gen/errors.h"

#include <assert.h>
#include <string.h>

#define KEY_HEADER "idempotency-key"
#define KEY_MAX 255
#define RESOLVE_FLOOR_NS (10 * NS_PER_MS)
#define RESOLVE_CAP_NS (50 * NS_PER_MS)
/* A database that is gone for longer is an outage, and the caller may repeat with its key. */
#define RESOLVE_MAX_NS (200 * NS_PER_MS)

static int begin(struct write *write, const ProtobufCMessage *request);
static int take_key(struct write *write);
static int64_t lock_number(const struct write *write);
static int replay_made(struct write *write, struct idempotency_record *record);
static struct slice copied(struct arena *arena, struct slice bytes);
static void keep_reply(struct write *write, const ProtobufCMessage *reply);
static struct slice pack(struct arena *arena, const ProtobufCMessage *message);
static int resolve(struct write *write);
static int ask(struct write *write, struct ctx *ctx, bool *committed);
static void queue_first(struct write *write);

int write_begin(struct call *call, const ProtobufCMessage *request, bool validate_only,
                struct write *write)
{
    *write = (struct write){.call = call, .tenant = call->tenant, .keyed = !validate_only};
    return begin(write, request);
}

int write_begin_platform(struct call *call, const ProtobufCMessage *request, bool validate_only,
                         struct write *write)
{
    *write = (struct write){
        .call = call, .tenant = call->tenant, .platform = true, .keyed = !validate_only};
    return begin(write, request);
}

bool write_is_replay(const struct write *write)
{
    return write->keyed && write->found.count > 0;
}

int write_replay(struct write *write)
{
    struct call *call = write->call;
    struct idempotency_record record = {.sequence = 0};
    bool found = false;
    assert(write_is_replay(write));
    if (write->platform)
        TRY(replay_made(write, &record));
    else
        TRY(idempotency_store_read(write->tx, &write->found, &found, &record));
    const struct service_env *env = call->service;
    bool same = memcmp(record.fingerprint, write->fingerprint, FINGERPRINT_BYTES) == 0;
    metric_inc(env->metrics.keys[same ? KEY_REPLAYED : KEY_MISMATCH]);
    if (!same)
        return call_refuse_field(call, IDEMPOTENCY_REPLAY_MISMATCH, KEY_HEADER,
                                 "was used for another request of this method");
    call->stored_reply = copied(call->ctx.arena, record.reply); /* the rows end with their tx */
    call->has_stored_reply = true;
    call_set_header(call, "idempotency-replayed", slice_of_str("true"));
    consistency_answer(call, &write->tenant, record.epoch, record.sequence);
    return OK;
}

int write_commit(struct write *write, const ProtobufCMessage *reply)
{
    struct call *call = write->call;
    if (write->keyed)
        keep_reply(write, reply);
    bool appended = write->point.stmt != NULL; /* an event was queued */
    if (!appended)
        outbox_store_point(write->tx, &write->tenant, &write->point);
    int rc = tx_commit(write->tx);
    if (rc == OK)
        rc = outbox_store_read_point(write->tx, &write->point, &write->at);
    else if (rc == COMMIT_UNCERTAIN && appended)
        rc = resolve(write);
    TRY(rc);
    if (write->keyed)
        metric_inc(((const struct service_env *)call->service)->metrics.keys[KEY_FIRST]);
    consistency_answer(call, &write->tenant, write->at.seen.epoch, write->at.sequence);
    return OK;
}

/* A refused call's lock must be free before its caller can repeat it. */
void write_end(struct write *write)
{
    if (write->tx != NULL && write->keyed)
        tx_rollback(write->tx);
    tx_free_ptr(&write->tx);
}

static int begin(struct write *write, const ProtobufCMessage *request)
{
    struct call *call = write->call;
    const struct service_env *env = call->service;
    assert(!uuid_is_nil(&write->tenant));
    if (write->keyed)
        TRY(take_key(write));
    write->audit.id = uuid_new();
    write->audit.at_us = clock_wall() / NS_PER_US;
    write->audit.tenant_id = write->tenant;
    if (write->keyed)
        request_fingerprint(call->ctx.arena, request, write->fingerprint);
    write->lock = lock_number(write);
    TRY(tx_begin(env->store, &call->ctx, TX_WRITE, &write->tenant, &write->tx));
    if (write->keyed)
        tx_end_yourself(write->tx);
    queue_first(write);
    return OK;
}

/* draft-ietf-httpapi-idempotency-key-header-06 leaves the form to the server; the platform sends ULIDs. */
static int take_key(struct write *write)
{
    struct call *call = write->call;
    struct slice key = call->idempotency_key;
    write->keyed = key.data != NULL;
    if (!write->keyed)
        return OK;
    bool good = key.size > 0 && key.size <= KEY_MAX;
    for (size_t i = 0; good && i < key.size; i++)
        good = key.data[i] > 0x20 && key.data[i] < 0x7F;
    if (!good)
        return call_refuse_field(call, METADATA_INVALID, KEY_HEADER,
                                 "must be 1 to 255 printable ASCII characters without blanks");
    write->scope = (struct idempotency_scope){
        .principal = call->caller,
        .method = call->method->path,
        .key = arena_strndup(call->ctx.arena, key.data, key.size),
    };
    return OK;
}

/* With a key, the same number for the same scope on every replica; without one, a number of the call's own. */
static int64_t lock_number(const struct write *write)
{
    uint8_t hash[DIGEST_BYTES];
    struct digest digest;
    digest_begin(&digest);
    if (!write->keyed) {
        digest_put(&digest, slice_make(write->audit.id.bytes, sizeof write->audit.id.bytes));
    } else {
        const char *const parts[] = {write->scope.principal, write->scope.method, write->scope.key};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            digest_put(&digest, slice_make(parts[i], strlen(parts[i]) + 1));
        if (!write->platform)
            digest_put(&digest, slice_make(write->tenant.bytes, sizeof write->tenant.bytes));
    }
    digest_end(&digest, hash);
    int64_t number = 0;
    memcpy(&number, hash, sizeof number);
    return number;
}

static void queue_first(struct write *write)
{
    if (!write->keyed) {
        idempotency_store_lock(write->tx, write->lock);
        return;
    }
    idempotency_store_try_lock(write->tx, write->lock);
    if (write->platform)
        platform_idempotency_find(write->tx, &write->scope, &write->found);
    else
        idempotency_store_find(write->tx, &write->scope, &write->found);
}

/* The key has made a tenant: the answer lies in that tenant's own table. */
static int replay_made(struct write *write, struct idempotency_record *record)
{
    struct call *call = write->call;
    const struct service_env *env = call->service;
    const uint8_t *fingerprint = NULL;
    struct uuid made;
    bool found = false;
    TRY(platform_idempotency_read(write->tx, &write->found, &found, &made, &fingerprint));
    write->tenant = made;
    *record = (struct idempotency_record){.fingerprint = fingerprint};
    if (memcmp(fingerprint, write->fingerprint, FINGERPRINT_BYTES) != 0)
        return OK; /* the caller of this function says so */
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    TRY(tx_begin(env->store, &call->ctx, TX_READ, &made, &tx));
    idempotency_store_find(tx, &write->scope, &rows);
    TRY(tx_run(tx));
    TRY(idempotency_store_read(tx, &rows, &found, record));
    if (!found) /* it has expired between the two looks */
        return CONCURRENT_CHANGE;
    record->reply = copied(call->ctx.arena, record->reply); /* the rows end with their tx */
    record->fingerprint = fingerprint;
    return OK;
}

static struct slice copied(struct arena *arena, struct slice bytes)
{
    return slice_make(arena_strndup(arena, bytes.data, bytes.size), bytes.size);
}

static void keep_reply(struct write *write, const ProtobufCMessage *reply)
{
    const struct service_env *env = write->call->service;
    const struct idempotency_record record = {
        .fingerprint = write->fingerprint,
        .reply = pack(write->call->ctx.arena, reply),
    };
    idempotency_store_insert(write->tx, &write->scope, &record, env->idempotency_ttl_ns);
    if (write->platform)
        platform_idempotency_insert(write->tx, &write->scope, write->fingerprint, &write->tenant,
                                    env->idempotency_ttl_ns);
}

static struct slice pack(struct arena *arena, const ProtobufCMessage *message)
{
    uint8_t *bytes = arena_alloc_raw(arena, protobuf_c_message_get_packed_size(message) + 1);
    return slice_make(bytes, protobuf_c_message_pack(message, bytes));
}

/* Asks until there is an answer, for at most half of what is left of the deadline: the caller must hear that
 * nobody knows before its own patience ends.  A cancellation does not end this: the caches must know. */
static int resolve(struct write *write)
{
    struct ctx *ctx = &write->call->ctx;
    uint64_t now = clock_now();
    uint64_t left = deadline_left(ctx->deadline_ns, now) / 2;
    struct ctx asking = *ctx; /* the call's own deadline is watched by others and stays */
    asking.deadline_ns = deadline_after(now, left < RESOLVE_MAX_NS ? left : RESOLVE_MAX_NS);
    bool committed = false;
    int rc = COMMIT_UNCERTAIN;
    task_shield(ctx, true);
    for (unsigned attempt = 0; rc != OK; attempt++) {
        uint64_t pause = backoff_ns(attempt, RESOLVE_FLOOR_NS, RESOLVE_CAP_NS);
        if (task_sleep(&asking, pause) != WAIT_READY)
            break;
        rc = ask(write, &asking, &committed);
    }
    task_shield(ctx, false);
    const struct service_env *env = write->call->service;
    metric_inc(env->metrics.resolutions[rc != OK     ? RESOLVED_UNKNOWN
                                        : committed ? RESOLVED_COMMITTED
                                                    : RESOLVED_NOTHING]);
    if (rc != OK)
        return COMMIT_UNCERTAIN;
    return committed ? OK : DATABASE_UNAVAILABLE;
}

/* The lock is released when the transaction has ended: who gets it sees what became of it. */
static int ask(struct write *write, struct ctx *ctx, bool *committed)
{
    const struct service_env *env = write->call->service;
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows audit;
    struct rows point;
    TRY(tx_begin(env->store, ctx, TX_READ, &write->tenant, &tx));
    idempotency_store_lock(tx, write->lock);
    audit_store_find(tx, &write->audit, &audit);
    outbox_store_point(tx, &write->tenant, &point);
    TRY(tx_run(tx));
    *committed = audit.count > 0;
    return outbox_store_read_point(tx, &point, &write->at);
}
