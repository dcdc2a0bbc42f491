/* Plain HTTP/1.1 health probes beside mTLS, as the kubelet sends them: GET on the probe's paths and nothing
 * else (decisions: "nothing but health is ever served without a client certificate").
 *
 * One request, one answer, then the connection lingers: no keep-alive, no body, no header is
 * looked at. */
#include "rpc/rpc_int.h"

/* A kubelet's request is a few lines; proxies before us may add headers. */
#define PROBE_REQUEST_MAX 4096
#define PROBE_PATH_MAX 64

static bool request_is_whole(struct slice request);
static void answer(struct connection *connection, int status, const char *body);
static bool take_path(struct slice request, char path[PROBE_PATH_MAX]);

/* Answers at the first bytes that cannot become "GET ": another protocol's client learns soon
 * that TLS is spoken here, instead of waiting for the time-out. */
bool probe_receive(struct connection *connection, struct slice bytes)
{
    struct rpc_worker *worker = connection->worker;
    buf_put_slice(&connection->probe, bytes);
    struct slice request = buf_slice(&connection->probe);
    bool begins =
        slice_starts_with(slice_make(request.data, request.size < 4 ? request.size : 4), "GET ");
    if (request.size >= 4 && !begins) {
        answer(connection, 400, "only health probes are answered without TLS\n");
        return true;
    }
    if (request.size > PROBE_REQUEST_MAX) {
        answer(connection, 431, "the probe's request is too long\n");
        return true;
    }
    if (!request_is_whole(request))
        return false;
    metric_inc(worker->metrics->probes);
    char path[PROBE_PATH_MAX];
    struct buf body = BUF_EMPTY;
    int status = take_path(request, path) ? worker->hooks.probe(worker->hooks.owner, path, &body)
                                          : 404;
    answer(connection, status,
           status == 404 ? "only health probes are answered without TLS\n" : buf_str(&body));
    buf_deinit(&body);
    return true;
}

static bool request_is_whole(struct slice request)
{
    return memmem(request.data, request.size, "\r\n\r\n", 4) != NULL;
}

/* "GET /health/live HTTP/1.1": the path without a query. */
static bool take_path(struct slice request, char path[PROBE_PATH_MAX])
{
    struct slice rest = slice_skip(request, 4);
    size_t size = 0;
    while (size < rest.size && rest.data[size] > ' ' && rest.data[size] != '?')
        size++;
    if (size == 0 || size >= PROBE_PATH_MAX)
        return false;
    memcpy(path, rest.data, size);
    path[size] = '\0';
    return true;
}

static void answer(struct connection *connection, int status, const char *body)
{
    const char *text = status == 200   ? "OK"
                       : status == 503 ? "Service Unavailable"
                       : status == 404 ? "Not Found"
                                       : "Bad Request";
    const char *type = body[0] == '{' ? "application/json" : "text/plain";
    buf_printf(&connection->out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "Connection: close\r\n\r\n%s",
               status, text, type, strlen(body), body);
}
