/* Nodes, the map, redirects.
 *
 * Which node has a key is known from CLUSTER SLOTS, mended by MOVED and asked anew every half
 * minute, at once after a MOVED, and at each tick while a node is missing.  The cluster is
 * never needed: whatever goes wrong here is FAULT_CACHE, and the caller asks the database. */
#include "cache/redis_cluster.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

#include "cache/redis_conn.h"
#include "cache/slot_map.h"
#include "loop/task.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/* an index fits into the byte of `slots`, with NODE_NONE beside it */
#define NODES_MAX 64
#define NODE_NONE UINT8_MAX
#define HOPS_MAX 3 /* the first node and two redirects */
#define TICK_NS NS_PER_S
#define REFRESH_NS (30 * NS_PER_S)
#define LOST_NS (3 * NS_PER_S) /* no node answers for so long: try those of the URL */
#define LOG_EVERY_NS (5 * NS_PER_S)

/* Its address never changes; its place in `nodes` does not either while `slots` may name it. */
struct node {
    struct redis_cluster *cluster;
    struct redis_conn *conn; /* NULL: free place */
    bool named;              /* has slots, or is of the URL while there is no map */
};

struct redis_cluster {
    struct redis_conn_settings conn_settings;
    struct redis_url url;
    struct node nodes[NODES_MAX];
    uint8_t slots[KEY_SLOTS]; /* index of the node, or NODE_NONE */
    size_t slots_known;
    struct timer *tick;
    uint64_t refresh_ns;      /* when the map is asked for next; 0: at the next tick */
    struct redis_conn *asked; /* CLUSTER SLOTS is under way there; NULL: nowhere */
    uint64_t ready_ns;        /* when a node was last seen ready */
    size_t waiting;           /* tasks inside */
    _Atomic bool whole;
    struct log_interval logged;
};

/* One look-up, on its task's stack. */
struct lookup {
    struct redis_cluster *cluster;
    struct ctx *ctx;
    struct waitq done;
    struct node *node; /* where it was asked; valid while it is under way */
    unsigned skip;     /* answers before GET's: 1 for ASKING */
    enum redis_outcome outcome;
    bool redirected;
    struct slot_redirect redirect;
    bool failed;   /* an error reply, or one of the wrong type */
    bool finished; /* the request is no more */
    struct redis_value value;
};

static void seeds_add(struct redis_cluster *cluster);
static struct node *node_take(struct redis_cluster *cluster, const struct redis_address *address);
static struct node *node_of(struct redis_cluster *cluster, struct slice key);
static int lookup_ask(struct lookup *lookup, struct node *node, struct slice key);
static void on_lookup(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                      unsigned index);
static void lookup_value(struct lookup *lookup, const struct redis_reply *reply);
static int lookup_result(struct lookup *lookup);
static struct node *redirect_follow(struct redis_cluster *cluster,
                                    const struct slot_redirect *redirect);
static int refuse(struct redis_cluster *cluster, struct ctx *ctx, enum cache_trouble trouble);
static void on_stored(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                      unsigned index);
static bool is_same_login(const struct redis_url *one, const struct redis_url *other);
static void store_refused(struct node *node, const struct redis_reply *reply);
static void on_change(void *owner, struct redis_conn *conn, bool ready);
static void on_tick(void *owner);
static void map_ask(struct redis_cluster *cluster, struct redis_conn *conn);
static struct redis_conn *conn_any(const struct redis_cluster *cluster);
static void on_map(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                   unsigned index);
static void map_apply(struct redis_cluster *cluster, const struct redis_reply *reply);
static void map_range(struct redis_cluster *cluster, const struct redis_reply *element);
static void map_refused(struct redis_cluster *cluster, const struct redis_reply *reply);
static void nodes_reap(struct redis_cluster *cluster);
static void whole_update(struct redis_cluster *cluster);

/* Connects to the nodes of the URL in the background; nothing waits for them. */
struct redis_cluster *redis_cluster_new(const struct redis_cluster_settings *settings)
{
    struct redis_cluster *cluster = xcalloc(1, sizeof *cluster);
    const struct redis_url *url = settings->url;
    cluster->url = *url;
    cluster->url.user = url->user == NULL ? NULL : xstrdup(url->user);
    cluster->url.password = url->password == NULL ? NULL : xstrdup(url->password);
    cluster->conn_settings = (struct redis_conn_settings){
        .loop = settings->loop,
        .tls = settings->tls,
        .user = cluster->url.user,
        .password = cluster->url.password,
        .script = settings->script,
        .op_timeout_ns = settings->op_timeout_ns,
        .counted = settings->counted,
        .log = settings->log,
        .on_change = on_change,
        .owner = cluster,
    };
    memset(cluster->slots, NODE_NONE, sizeof cluster->slots);
    cluster->ready_ns = clock_now();
    cluster->tick = timer_new(settings->loop, on_tick, cluster);
    timer_set(cluster->tick, clock_now() + TICK_NS);
    seeds_add(cluster);
    return cluster;
}

/* Requests under way end as lost: their owners must be able to hear it, so the tasks have gone
 * before. */
void redis_cluster_free(struct redis_cluster *cluster)
{
    if (cluster == NULL)
        return;
    assert(cluster->waiting == 0);
    /* taken away first: closing a connection ends its requests, and their callbacks look at all nodes */
    for (size_t i = 0; i < NODES_MAX; i++)
        redis_conn_free(TAKE(cluster->nodes[i].conn));
    timer_free(cluster->tick);
    free((void *)(uintptr_t)cluster->url.user);
    free((void *)(uintptr_t)cluster->url.password);
    free(cluster);
}

/* A password that appears or goes would change what a greeting under way expects. */
bool redis_cluster_renew_password(struct redis_cluster *cluster, const struct redis_url *url)
{
    struct redis_url *own = &cluster->url;
    if (own->password == NULL || url->password == NULL || !is_same_login(own, url))
        return false;
    free((void *)(uintptr_t)own->password);
    own->password = xstrdup(url->password);
    cluster->conn_settings.password = own->password;
    return true;
}

static bool is_same_login(const struct redis_url *one, const struct redis_url *other)
{
    const char *users[] = {one->user == NULL ? "" : one->user,
                           other->user == NULL ? "" : other->user};
    if (one->tls != other->tls || one->node_count != other->node_count ||
        strcmp(users[0], users[1]) != 0)
        return false;
    for (size_t i = 0; i < one->node_count; i++) {
        if (!redis_address_equal(&one->nodes[i], &other->nodes[i]))
            return false;
    }
    return true;
}

bool redis_cluster_is_whole(const struct redis_cluster *cluster)
{
    return atomic_load_explicit(&cluster->whole, memory_order_relaxed);
}

/* Three hops: the node of our map, the one it names, and one more for a slot that moves just
 * then.  ASK is for this question only and leaves the map alone; Redis Cluster wants ASKING
 * right before it. */
int redis_cluster_get(struct redis_cluster *cluster, struct ctx *ctx, struct slice key,
                      struct redis_value *value)
{
    assert(ctx->task != NULL);
    struct lookup lookup = {.cluster = cluster, .ctx = ctx};
    struct node *node = node_of(cluster, key);
    for (unsigned hop = 0; hop < HOPS_MAX; hop++) {
        TRY(lookup_ask(&lookup, node, key));
        if (!lookup.redirected) {
            *value = lookup.value;
            return OK;
        }
        lookup.skip = lookup.redirect.ask ? 1 : 0;
        node = redirect_follow(cluster, &lookup.redirect);
    }
    return refuse(cluster, ctx, TROUBLE_REDIRECTS);
}

/* On the clock of the node that has the key, since its script compares times by that clock. */
uint64_t redis_cluster_clock_at(struct redis_cluster *cluster, struct slice key, uint64_t at_ns,
                                enum cache_put_fate *why)
{
    const struct node *node = node_of(cluster, key);
    uint64_t time_us = 0;
    *why = PUT_UNREACHABLE;
    if (node == NULL || !redis_conn_is_ready(node->conn))
        return 0;
    *why = PUT_CLOCK;
    return redis_conn_clock_at(node->conn, at_ns, &time_us) ? time_us : 0;
}

/* Nobody waits for the answer: on_stored() counts it, by whatever time it comes. */
void redis_cluster_store(struct redis_cluster *cluster, struct slice key,
                         const struct slice *arguments, size_t count)
{
    struct node *node = node_of(cluster, key);
    enum cache_trouble why = TROUBLE_UNREACHABLE;
    struct redis_request *request =
        node == NULL ? NULL : redis_conn_begin(node->conn, on_stored, node, &why);
    if (request == NULL) {
        enum cache_put_fate fate = why == TROUBLE_FULL ? PUT_FULL : PUT_UNREACHABLE;
        metric_inc(cluster->conn_settings.counted->puts[fate]);
        return;
    }
    redis_request_add_script(request, key, arguments, count);
}

/* --- nodes ------------------------------------------------------------------------------------- */

static void seeds_add(struct redis_cluster *cluster)
{
    for (size_t i = 0; i < cluster->url.node_count; i++) {
        struct node *node = node_take(cluster, &cluster->url.nodes[i]);
        if (node != NULL)
            node->named = true;
    }
}

/* Finds the node or makes it; NULL when there are too many. */
static struct node *node_take(struct redis_cluster *cluster, const struct redis_address *address)
{
    struct node *place = NULL;
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->conn == NULL) {
            place = place == NULL ? node : place;
            continue;
        }
        if (redis_address_equal(redis_conn_address(node->conn), address))
            return node;
    }
    if (place == NULL) {
        metric_inc(cluster->conn_settings.counted->troubles[TROUBLE_MAP]);
        return NULL;
    }
    *place =
        (struct node){.cluster = cluster, .conn = redis_conn_new(&cluster->conn_settings, address)};
    return place;
}

/* NULL: nobody knows. */
static struct node *node_of(struct redis_cluster *cluster, struct slice key)
{
    uint8_t index = cluster->slots[key_slot(key)];
    assert(index == NODE_NONE || cluster->nodes[index].conn != NULL);
    return index == NODE_NONE ? NULL : &cluster->nodes[index];
}

/* --- look-ups ---------------------------------------------------------------------------------- */

/* TIME behind GET in one pipeline tells, by the node's own clock, how old the answer is at
 * most.  The wait ends with the request's own time-out; `reserve` is a net under it. */
static int lookup_ask(struct lookup *lookup, struct node *node, struct slice key)
{
    struct redis_cluster *cluster = lookup->cluster;
    struct ctx *ctx = lookup->ctx;
    enum cache_trouble why = TROUBLE_UNREACHABLE;
    waitq_init(&lookup->done);
    lookup->redirected = false;
    lookup->failed = false;
    lookup->finished = false;
    lookup->value = (struct redis_value){.asked_ns = clock_now()};
    struct redis_request *request =
        node == NULL ? NULL : redis_conn_begin(node->conn, on_lookup, lookup, &why);
    if (request == NULL)
        return refuse(cluster, ctx, why);
    lookup->node = node;
    if (lookup->skip == 1)
        redis_request_add(request, (struct slice[]){slice_of_str("ASKING")}, 1);
    redis_request_add(request, (struct slice[]){slice_of_str("GET"), key}, 2);
    redis_request_add(request, (struct slice[]){slice_of_str("TIME")}, 1);
    cluster->waiting++;
    uint64_t reserve = lookup->value.asked_ns + cluster->conn_settings.op_timeout_ns + NS_PER_S;
    enum wait_result waited = waitq_wait(ctx, &lookup->done, reserve, NULL);
    cluster->waiting--;
    if (waited == WAIT_READY)
        return lookup_result(lookup);
    assert(!lookup->finished); /* else the wait had ended as READY */
    redis_request_abandon(request);
    return wait_fault(ctx, waited, "redis GET");
}

/* The node may be gone when the task runs again, so redirects are read here. */
static void on_lookup(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                      unsigned index)
{
    struct lookup *lookup = owner;
    lookup->outcome = outcome;
    if (outcome == REDIS_ANSWERED && index < lookup->skip)
        return;
    if (outcome == REDIS_ANSWERED && index == lookup->skip) {
        lookup_value(lookup, reply);
        return;
    }
    if (outcome == REDIS_ANSWERED && redis_time_read(reply, &lookup->value.time_us))
        redis_conn_clock_learn(lookup->node->conn, lookup->value.time_us);
    else
        lookup->failed = true;
    lookup->finished = true;
    waitq_wake(&lookup->done, NULL);
}

static void lookup_value(struct lookup *lookup, const struct redis_reply *reply)
{
    struct cache_metrics *counted = lookup->cluster->conn_settings.counted;
    if (reply->kind == REDIS_NIL)
        return;
    if (reply->kind == REDIS_TEXT) {
        lookup->value.exists = true;
        lookup->value.bytes =
            slice_make(arena_strndup(lookup->ctx->arena, reply->text.data, reply->text.size),
                       reply->text.size);
        return;
    }
    lookup->redirected =
        slot_redirect_read(reply, redis_conn_address(lookup->node->conn), &lookup->redirect);
    if (lookup->redirected)
        return;
    lookup->failed = true;
    if (reply->kind != REDIS_ERROR || redis_reply_is_error(reply, "WRONGTYPE"))
        metric_inc(counted->troubles[TROUBLE_TYPE]);
}

/* Other troubles were counted where they happened. */
static int lookup_result(struct lookup *lookup)
{
    switch (lookup->outcome) {
    case REDIS_ANSWERED:
        break;
    case REDIS_TIMED_OUT:
        return FAULT(lookup->ctx, FAULT_CACHE, "redis GET: no answer in time");
    case REDIS_LOST:
        return FAULT(lookup->ctx, FAULT_CACHE, "redis GET: the connection ended");
    }
    if (lookup->failed)
        return FAULT(lookup->ctx, FAULT_CACHE, "redis GET: answered an error");
    return OK;
}

static struct node *redirect_follow(struct redis_cluster *cluster,
                                    const struct slot_redirect *redirect)
{
    struct node *node = node_take(cluster, &redirect->target);
    metric_inc(
        cluster->conn_settings.counted->redirects[redirect->ask ? REDIRECT_ASK : REDIRECT_MOVED]);
    if (node == NULL)
        return NULL;
    node->named = true;
    if (!redirect->ask) {
        uint8_t *slot = &cluster->slots[redirect->slot];
        cluster->slots_known += *slot == NODE_NONE ? 1 : 0;
        *slot = (uint8_t)(node - cluster->nodes);
        cluster->refresh_ns = 0;
    }
    return node;
}

static int refuse(struct redis_cluster *cluster, struct ctx *ctx, enum cache_trouble trouble)
{
    metric_inc(cluster->conn_settings.counted->troubles[trouble]);
    return FAULT(ctx, FAULT_CACHE, "redis GET: %s", cache_trouble_name(trouble));
}

/* --- stores ------------------------------------------------------------------------------------ */

static void on_stored(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                      unsigned index)
{
    struct node *node = owner;
    struct redis_cluster *cluster = node->cluster;
    enum cache_put_fate fate = PUT_FAILED;
    assert(index == 0);
    if (outcome == REDIS_ANSWERED && reply->kind == REDIS_INTEGER)
        fate = reply->integer == 1 ? PUT_STORED : reply->integer == 0 ? PUT_OLDER : PUT_STALE;
    metric_inc(cluster->conn_settings.counted->puts[fate]);
    if (fate == PUT_FAILED && outcome == REDIS_ANSWERED)
        store_refused(node, reply);
}

/* This value is not stored, but the next one finds its way. */
static void store_refused(struct node *node, const struct redis_reply *reply)
{
    struct slot_redirect redirect;
    if (redis_reply_is_error(reply, "NOSCRIPT"))
        redis_conn_script_reload(node->conn);
    else if (slot_redirect_read(reply, redis_conn_address(node->conn), &redirect))
        (void)redirect_follow(node->cluster, &redirect);
}

/* --- the map ----------------------------------------------------------------------------------- */

/* The first node that is ready is asked for the map; later ones wait for the tick. */
static void on_change(void *owner, struct redis_conn *conn, bool ready)
{
    struct redis_cluster *cluster = owner;
    if (ready && cluster->slots_known == 0 && cluster->asked == NULL)
        map_ask(cluster, conn);
    whole_update(cluster);
}

static void on_tick(void *owner)
{
    struct redis_cluster *cluster = owner;
    uint64_t now = clock_now();
    struct redis_conn *conn = conn_any(cluster);
    nodes_reap(cluster);
    if (conn != NULL)
        cluster->ready_ns = now;
    else if (now - cluster->ready_ns > LOST_NS)
        seeds_add(cluster);
    whole_update(cluster);
    bool due = now >= cluster->refresh_ns || !redis_cluster_is_whole(cluster);
    if (due && conn != NULL && cluster->asked == NULL)
        map_ask(cluster, conn);
    timer_set(cluster->tick, now + TICK_NS - random_below(TICK_NS / 8));
}

/* One question at a time, to one node. */
static void map_ask(struct redis_cluster *cluster, struct redis_conn *conn)
{
    enum cache_trouble why;
    struct redis_request *request = redis_conn_begin(conn, on_map, cluster, &why);
    if (request == NULL)
        return;
    cluster->asked = conn;
    redis_request_add(request, (struct slice[]){slice_of_str("CLUSTER"), slice_of_str("SLOTS")}, 2);
}

/* A ready node by chance, so that one with an odd view is not asked for ever; NULL: none is ready. */
static struct redis_conn *conn_any(const struct redis_cluster *cluster)
{
    size_t start = random_below(NODES_MAX);
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct redis_conn *conn = cluster->nodes[(start + i) % NODES_MAX].conn;
        if (conn != NULL && redis_conn_is_ready(conn))
            return conn;
    }
    return NULL;
}

/* `asked` is valid here even when the connection was lost: it is told before it goes. */
static void on_map(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                   unsigned index)
{
    struct redis_cluster *cluster = owner;
    assert(index == 0);
    if (outcome == REDIS_ANSWERED)
        map_apply(cluster, reply);
    cluster->asked = NULL;
    whole_update(cluster);
}

/* All of it or nothing.  A half-read map would send keys to nodes that lost them. */
static void map_apply(struct redis_cluster *cluster, const struct redis_reply *reply)
{
    struct slot_range range;
    bool sound = reply->kind == REDIS_ARRAY && reply->count > 0;
    for (size_t i = 0; sound && i < reply->count; i++)
        sound = slot_range_read(reply->elements[i], redis_conn_address(cluster->asked), &range);
    if (!sound) {
        map_refused(cluster, reply);
        return;
    }
    for (size_t i = 0; i < NODES_MAX; i++)
        cluster->nodes[i].named = false;
    memset(cluster->slots, NODE_NONE, sizeof cluster->slots);
    for (size_t i = 0; i < reply->count; i++)
        map_range(cluster, reply->elements[i]);
    cluster->slots_known = 0;
    for (size_t slot = 0; slot < KEY_SLOTS; slot++)
        cluster->slots_known += cluster->slots[slot] != NODE_NONE;
    cluster->refresh_ns = clock_now() + REFRESH_NS - random_below(REFRESH_NS / 4);
}

/* The nodes of a map that names more than NODES_MAX are left out: their slots stay unknown. */
static void map_range(struct redis_cluster *cluster, const struct redis_reply *element)
{
    struct slot_range range;
    bool sound = slot_range_read(element, redis_conn_address(cluster->asked), &range);
    assert(sound);
    struct node *node = node_take(cluster, &range.master);
    if (node == NULL)
        return;
    node->named = true;
    memset(cluster->slots + range.first, (int)(node - cluster->nodes),
           (size_t)(range.last - range.first) + 1);
}

static void map_refused(struct redis_cluster *cluster, const struct redis_reply *reply)
{
    uint64_t suppressed = 0;
    metric_inc(cluster->conn_settings.counted->troubles[TROUBLE_MAP]);
    if (log_interval_due(&cluster->logged, LOG_EVERY_NS, &suppressed))
        log_on_warn(cluster->conn_settings.log, "redis.no_map",
                    KV_STR("host", redis_conn_address(cluster->asked)->host),
                    KV_INT("port", redis_conn_address(cluster->asked)->port),
                    KV_SLICE("answer", reply->text), KV_INT("suppressed", suppressed));
}

/* Lets go of nodes that nobody names any more.  Requests in flight keep a node: their answers
 * name it. */
static void nodes_reap(struct redis_cluster *cluster)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &cluster->nodes[i];
        if (node->conn == NULL || node->named || redis_conn_in_flight(node->conn) > 0)
            continue;
        redis_conn_free(node->conn);
        node->conn = NULL;
    }
}

/* Read by the health tick of the same worker; atomic all the same, as the face promises any
 * thread. */
static void whole_update(struct redis_cluster *cluster)
{
    bool whole = cluster->slots_known == KEY_SLOTS;
    for (size_t i = 0; i < NODES_MAX && whole; i++) {
        const struct node *node = &cluster->nodes[i];
        whole = node->conn == NULL || !node->named || redis_conn_is_ready(node->conn);
    }
    atomic_store_explicit(&cluster->whole, whole, memory_order_relaxed);
}
