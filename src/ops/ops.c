/* Adapter to libmicrohttpd: a listening socket of our own (so that a port in use is told apart from
 * other trouble), one handler, whole bodies only. */
#include "ops/ops.h"

#include "base/alloc.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 32
#define CONNECTION_MEMORY                                                                          \
    (16 * 1024) /* request line and headers; more is answered 431 by the library */
#define SILENCE_SECONDS 10
#define BACKLOG 64

struct ops {
    struct health *health;
    struct metrics *own;   /* counts of this port */
    struct metrics **sets; /* those handed in, then `own` */
    size_t set_count;
    struct loop_lag *lags;
    size_t lag_count;
    struct build build;
    uint64_t start_wall_ns;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

static const struct metric_family requests_family = {
    .name = "tenant_ops_requests_total",
    .help = "Requests on the ops port.",
    .kind = METRIC_COUNTER,
    .labels = {"path", "code"},
};

static int open_socket(struct ctx *ctx, const struct ops_settings *settings, int *fd,
                       uint16_t *port);
static int bind_socket(struct ctx *ctx, const struct ops_settings *settings, int fd,
                       uint16_t *port);
static socklen_t make_address(const struct ops_settings *settings,
                              struct sockaddr_storage *address);
static struct ops *make_ops(const struct ops_settings *settings);
static void free_ops(struct ops *ops);
static enum MHD_Result handle(void *owner, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state);
static const char *wanted_type(struct MHD_Connection *connection, const char *path);
static int render(struct ops *ops, const char *path, struct buf *body, const char **type);
static void render_metrics(struct ops *ops, enum metrics_format format, struct buf *body);
static enum MHD_Result answer(struct MHD_Connection *connection, int status, const char *type,
                              struct buf *body);
static void count_request(struct ops *ops, const char *path, int status);

int ops_start(struct ctx *ctx, const struct ops_settings *settings, struct ops **ops)
{
    int fd = -1;
    uint16_t port = 0;
    TRY(open_socket(ctx, settings, &fd, &port));
    struct ops *fresh = make_ops(settings);
    fresh->port = port;
    fresh->daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, handle, fresh,
                                     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                     (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                     (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
                                     (unsigned)SILENCE_SECONDS, MHD_OPTION_END);
    if (fresh->daemon == NULL) {
        close(fd);
        free_ops(fresh);
        return FAULT(ctx, FAULT_IO, "ops port: the HTTP server does not start");
    }
    *ops = fresh;
    return OK;
}

uint16_t ops_port(const struct ops *ops)
{
    return ops->port;
}

/* After MHD_stop_daemon() no thread of the library is left, so freeing is safe. */
void ops_stop(struct ops *ops)
{
    if (ops == NULL)
        return;
    MHD_stop_daemon(ops->daemon); /* closes the listening socket too */
    free_ops(ops);
}

/* Bound and listening, or nothing. */
static int open_socket(struct ctx *ctx, const struct ops_settings *settings, int *fd,
                       uint16_t *port)
{
    struct sockaddr_storage address;
    if (make_address(settings, &address) == 0)
        return FAULT(ctx, FAULT_CONFIG, "ops.address %s: not a numeric IP address",
                     settings->address);
    int fresh = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fresh < 0)
        return FAULT(ctx, FAULT_IO, "ops port: socket: %s", strerror(errno));
    int result = bind_socket(ctx, settings, fresh, port);
    if (result != OK) {
        close(fresh);
        return result;
    }
    *fd = fresh;
    return OK;
}

/* The text names address and port: with two listeners "address in use" alone would not help. */
static int bind_socket(struct ctx *ctx, const struct ops_settings *settings, int fd, uint16_t *port)
{
    const int yes = 1; /* a restart must not wait for the old connections' TIME_WAIT */
    struct sockaddr_storage address;
    socklen_t size = make_address(settings, &address);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0)
        return FAULT(ctx, FAULT_IO, "ops port %s:%d: %s%s", settings->address, settings->port,
                     strerror(errno),
                     errno == EADDRINUSE ? "; set ops.port or TENANT_OPS_PORT to another" : "");
    size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return FAULT(ctx, FAULT_IO, "ops port: getsockname: %s", strerror(errno));
    assert(size <= sizeof address);
    *port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                               : ((struct sockaddr_in6 *)&address)->sin6_port);
    return OK;
}

/* The size of what was written, 0 when the text is no address. */
static socklen_t make_address(const struct ops_settings *settings, struct sockaddr_storage *address)
{
    *address = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    if (inet_pton(AF_INET, settings->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(settings->port);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET6, settings->address, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(settings->port);
    return sizeof *v6;
}

/* Copies what the settings only lend; the sets themselves stay their owners'. */
static struct ops *make_ops(const struct ops_settings *settings)
{
    assert(settings->health != NULL && (settings->lag_count == 0 || settings->lags != NULL));
    struct ops *ops = xcalloc(1, sizeof *ops);
    ops->health = settings->health;
    ops->own = metrics_new();
    ops->set_count = settings->set_count + 1;
    ops->sets = xcalloc(ops->set_count, sizeof(struct metrics *));
    for (size_t i = 0; i < settings->set_count; i++)
        ops->sets[i] = settings->sets[i];
    ops->sets[settings->set_count] = ops->own;
    ops->lags = settings->lags;
    ops->lag_count = settings->lag_count;
    ops->build.version = xstrdup(settings->build.version);
    ops->build.commit = xstrdup(settings->build.commit);
    ops->start_wall_ns = clock_wall();
    return ops;
}

static void free_ops(struct ops *ops)
{
    metrics_free(ops->own);
    free(ops->sets);
    free((void *)(uintptr_t)ops->build.version);
    free((void *)(uintptr_t)ops->build.commit);
    free(ops);
}

/* libmicrohttpd's handler.  Called once with the headers, then with the body; we answer at the second
 * call so that the connection can be kept, but a method that we refuse is answered at once.
 * lint-allow parameters: the library's callback type */
static enum MHD_Result handle(void *owner, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    (void)version;
    (void)upload;
    struct ops *ops = owner;
    struct buf body = BUF_EMPTY;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        buf_put_str(&body, "only GET and HEAD\n");
        count_request(ops, path, 405);
        return answer(connection, 405, "text/plain", &body);
    }
    if (*state == NULL) {
        *state = ops; /* any mark will do */
        return MHD_YES;
    }
    *upload_size = 0; /* a GET's body says nothing */
    const char *type = wanted_type(connection, path);
    int status = render(ops, path, &body, &type);
    count_request(ops, path, status);
    return answer(connection, status, type, &body);
}

/* Prometheus asks for OpenMetrics by its media type; whoever does not gets the older text. */
static const char *wanted_type(struct MHD_Connection *connection, const char *path)
{
    const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
    if (strcmp(path, "/metrics") != 0)
        return "text/plain";
    bool open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
    return open ? OPENMETRICS_TYPE : "text/plain; version=0.0.4; charset=utf-8";
}

/* The body and its type; 404 says what there is instead. */
static int render(struct ops *ops, const char *path, struct buf *body, const char **type)
{
    if (strcmp(path, "/metrics") == 0) {
        bool open = strcmp(*type, OPENMETRICS_TYPE) == 0;
        render_metrics(ops, open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS, body);
        return 200;
    }
    int status = health_render(ops->health, path, body);
    if (status != 404)
        *type = "application/json";
    else
        buf_put_str(body, "there are /metrics, /health/live, /health/ready, /health/startup\n");
    return status;
}

/* Counters of the rooms first, then what is only known now. */
static void render_metrics(struct ops *ops, enum metrics_format format, struct buf *body)
{
    metrics_render(ops->sets, ops->set_count, format, body);
    health_render_metrics(ops->health, body);
    loop_lag_render(ops->lags, ops->lag_count, format, body);
    process_render(&ops->build, ops->start_wall_ns, format, body);
    if (format == METRICS_OPENMETRICS)
        buf_put_str(body, "# EOF\n");
}

/* Gives the body's memory to the library. */
static enum MHD_Result answer(struct MHD_Connection *connection, int status, const char *type,
                              struct buf *body)
{
    assert(status >= 200 && status <= 599);
    assert(body->start == 0 && body->data != NULL);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body->end, body->data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        buf_deinit(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (status == 405)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

/* Paths that are not ours share one label value: labels stay bounded. */
static void count_request(struct ops *ops, const char *path, int status)
{
    static const char *const ours[] = {"/metrics", "/health/live", "/health/ready",
                                       "/health/startup"};
    const char *label = "other";
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcmp(path, ours[i]) == 0)
            label = ours[i];
    }
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    const char *const values[] = {label, code};
    metric_inc(metrics_series(ops->own, &requests_family, values));
}
