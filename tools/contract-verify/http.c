/* HTTP, by libcurl.  See http.h. */
#include "http.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/random.h"

#include <curl/curl.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_DEFAULT_MS 30000L
#define CONNECT_TIMEOUT_MS 10000L
#define REDIRECTS_MAX 5L

struct exchange {
    const struct http_request *request;
    struct buf body;
    char *header; /* heap */
};

/* Between attempts; with jitter, so that builds that failed together do not come back together. */
#define PAUSE_FIRST_NS (100 * NS_PER_MS)
#define PAUSE_MAX_NS (2 * NS_PER_S)

static size_t on_body(char *bytes, size_t size, size_t count, void *user);
static size_t on_header(char *bytes, size_t size, size_t count, void *user);
static void set_request(CURL *curl, const struct http_request *request);
static struct curl_slist *headers_of(struct ctx *ctx, const struct http_request *request);

int http_perform(struct ctx *ctx, const struct http_request *request, struct http_answer *answer)
{
    struct exchange exchange = {.request = request, .body = {.limit = HTTP_BODY_MAX}};
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        abort();
    struct curl_slist *headers = headers_of(ctx, request);
    char *body = request->json == NULL ? NULL : json_dumps(request->json, JSON_COMPACT);
    set_request(curl, request);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
    if (body != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    CURLcode rc = curl_easy_perform(curl);
    *answer = (struct http_answer){0};
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    struct slice bytes = buf_slice(&exchange.body);
    answer->body = slice_make(
        arena_strndup(ctx->arena, bytes.data == NULL ? "" : (const char *)bytes.data, bytes.size),
        bytes.size);
    if (exchange.header != NULL)
        answer->header = arena_strdup(ctx->arena, exchange.header);
    bool is_large = exchange.body.overflown;
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    buf_deinit(&exchange.body);
    free(exchange.header);
    free(body);
    if (rc == CURLE_OK)
        return OK;
    return FAULT(ctx, rc == CURLE_OPERATION_TIMEDOUT ? FAULT_TIMEOUT : FAULT_IO, "%.100s: %.120s",
                 request->url,
                 is_large         ? "the answer is too large"
                 : why[0] != '\0' ? why
                                  : curl_easy_strerror(rc));
}

static void set_request(CURL *curl, const struct http_request *request)
{
    long timeout = request->timeout_ns == 0 ? TIMEOUT_DEFAULT_MS
                                            : (long)(request->timeout_ns / NS_PER_MS);
    (void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "contract-verify/" TENANT_VERSION);
    if (request->json == NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    }
    if (request->user != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_USERPWD, request->user);
        (void)curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    }
    if (request->token != NULL) { /* libcurl keeps it from other hosts on a redirect */
        (void)curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        (void)curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request->token);
    }
    if (request->ca_file != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
}

static struct curl_slist *headers_of(struct ctx *ctx, const struct http_request *request)
{
    struct curl_slist *headers = NULL;
    if (request->json != NULL)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    if (request->accept != NULL)
        headers =
            curl_slist_append(headers, arena_printf(ctx->arena, "Accept: %s", request->accept));
    return headers;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    buf_put(&exchange->body, bytes, size * count);
    return exchange->body.overflown ? 0 : size * count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    const char *wanted = exchange->request->wanted_header;
    size_t name = wanted == NULL ? 0 : strlen(wanted), all = size * count;
    if (name == 0 || all <= name + 1 || bytes[name] != ':' || strncasecmp(bytes, wanted, name) != 0)
        return all;
    size_t begin = name + 1, end = all;
    while (begin < end && (bytes[begin] == ' ' || bytes[begin] == '\t'))
        begin++;
    while (end > begin &&
           (bytes[end - 1] == '\r' || bytes[end - 1] == '\n' || bytes[end - 1] == ' '))
        end--;
    free(exchange->header);
    exchange->header = xstrndup(bytes + begin, end - begin);
    return all;
}

int http_insist(struct ctx *ctx, const struct http_request *request, struct http_answer *answer)
{
    for (unsigned attempt = 0;; attempt++) {
        int rc = http_perform(ctx, request, answer);
        bool is_passing =
            rc == FAULT_IO ||
            (rc == OK && (answer->status == 502 || answer->status == 503 || answer->status == 504));
        if (!is_passing || attempt + 1 == HTTP_ATTEMPTS)
            return rc;
        (void)poll(NULL, 0, (int)(backoff_ns(attempt, PAUSE_FIRST_NS, PAUSE_MAX_NS) / NS_PER_MS));
    }
}

const char *http_resolve(struct ctx *ctx, const char *base, const char *href)
{
    char *text = NULL;
    CURLU *url = curl_url();
    if (url == NULL)
        abort();
    bool fine = curl_url_set(url, CURLUPART_URL, base, 0) == CURLUE_OK &&
                curl_url_set(url, CURLUPART_URL, href, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK;
    const char *kept = fine ? arena_strdup(ctx->arena, text) : NULL;
    curl_free(text);
    curl_url_cleanup(url);
    return kept;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *mine = NULL, *theirs = NULL;
    bool same = curl_url_get(a, part, &mine, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, part, &theirs, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                strcasecmp(mine, theirs) == 0;
    curl_free(mine);
    curl_free(theirs);
    return same;
}

bool http_same_origin(const char *a, const char *b)
{
    CURLU *mine = curl_url(), *theirs = curl_url();
    if (mine == NULL || theirs == NULL)
        abort();
    bool same = curl_url_set(mine, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(theirs, CURLUPART_URL, b, 0) == CURLUE_OK &&
                same_part(mine, theirs, CURLUPART_SCHEME) &&
                same_part(mine, theirs, CURLUPART_HOST) && same_part(mine, theirs, CURLUPART_PORT);
    curl_url_cleanup(mine);
    curl_url_cleanup(theirs);
    return same;
}

const char *http_escape(struct ctx *ctx, const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    if (escaped == NULL)
        abort();
    const char *kept = arena_strdup(ctx->arena, escaped);
    curl_free(escaped);
    return kept;
}
