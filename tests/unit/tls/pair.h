/* Two ends of a socketpair for the tls suites, with a CA and leaf files in a folder of their own. */
#ifndef TESTS_UNIT_TLS_PAIR_H
#define TESTS_UNIT_TLS_PAIR_H

#include "base/ctx.h"

#include "certs.h"
#include "tls/tls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>

#define BOTH "serverAuth,clientAuth"
#define SERVER_URI "spiffe://example.test/ns/server/sa/server"
#define CLIENT_URI "spiffe://example.test/ns/client/sa/client"

struct pair {
    char folder[64];
    struct issued ca;
    int fds[2]; /* server, client */
    struct tls_context *server_context;
    struct tls_context *client_context;
    struct tls_stream *server;
    struct tls_stream *client;
    struct ctx ctx;
};

static inline void pair_leaf(struct pair *pair, const char *name, struct cert_spec spec)
{
    struct issued leaf = cert_make(name, &spec, &pair->ca);
    cert_save(&leaf, pair->folder, name);
    cert_drop(&leaf);
}

/* A folder with ca, server (localhost, 127.0.0.1) and client; a socketpair; no context yet. */
static inline void pair_init(struct pair *pair)
{
    *pair = (struct pair){.folder = "/tmp/tls-test-XXXXXX"};
    ctx_init(&pair->ctx, NULL, NULL);
    ck_assert_ptr_nonnull(mkdtemp(pair->folder));
    pair->ca = cert_make("test CA", &(struct cert_spec){.is_ca = true}, NULL);
    cert_save(&pair->ca, pair->folder, "ca");
    pair_leaf(pair, "server",
              (struct cert_spec){.san = "DNS:localhost,IP:127.0.0.1,URI:" SERVER_URI, .eku = BOTH});
    pair_leaf(pair, "client", (struct cert_spec){.san = "URI:" CLIENT_URI, .eku = BOTH});
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds),
                     0);
}

static inline void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline void pair_deinit(struct pair *pair)
{
    tls_stream_free(pair->server);
    tls_stream_free(pair->client);
    tls_context_unref(pair->server_context);
    tls_context_unref(pair->client_context);
    close_end(&pair->fds[0]);
    close_end(&pair->fds[1]);
    cert_drop(&pair->ca);
    DIR *folder = opendir(pair->folder);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    ck_assert_int_eq(rmdir(pair->folder), 0);
}

/* Files of `folder` by name: NAME.pem, NAME.key, CA.pem */
static inline int pair_context(struct pair *pair, const char *name, const char *ca,
                               const char *alpn, bool server, struct tls_context **context)
{
    char cert_file[128], key_file[128], ca_file[128], file[64];
    (void)snprintf(file, sizeof file, "%s.pem", name);
    cert_path(cert_file, pair->folder, file);
    (void)snprintf(file, sizeof file, "%s.key", name);
    cert_path(key_file, pair->folder, file);
    (void)snprintf(file, sizeof file, "%s.pem", ca);
    cert_path(ca_file, pair->folder, file);
    struct tls_settings settings = {.cert_file = cert_file, .key_file = key_file,
                                    .ca_file = ca_file, .alpn = alpn, .server = server};
    return tls_context_new(&pair->ctx, &settings, context);
}

static inline void pair_serve(struct pair *pair, const char *name, const char *ca)
{
    ck_assert_int_eq(pair_context(pair, name, ca, "h2", true, &pair->server_context), OK);
    pair->server = tls_stream_accept(pair->server_context, pair->fds[0]);
}

static inline void pair_call(struct pair *pair, const char *name, const char *ca, const char *alpn,
                             const char *wanted_name)
{
    ck_assert_int_eq(pair_context(pair, name, ca, alpn, false, &pair->client_context), OK);
    pair->client = tls_stream_connect(pair->client_context, pair->fds[1], wanted_name);
}

static inline bool is_waiting(enum tls_status status)
{
    return status == TLS_WANT_READ || status == TLS_WANT_WRITE;
}

/* Both sides until neither waits (or one has failed, which the other may learn only by reading). */
static inline void pair_shake(struct pair *pair, enum tls_status *server, enum tls_status *client)
{
    *server = *client = TLS_WANT_READ;
    for (int i = 0; i < 100; i++) {
        if (is_waiting(*client))
            *client = tls_stream_handshake(pair->client);
        if (is_waiting(*server))
            *server = tls_stream_handshake(pair->server);
    }
}

/* The usual pair with both handshakes done. */
static inline void pair_open(struct pair *pair)
{
    pair_serve(pair, "server", "ca");
    pair_call(pair, "client", "ca", "h2", "localhost");
    enum tls_status server, client;
    pair_shake(pair, &server, &client);
    ck_assert_msg(server == TLS_OK, "server: %s", tls_stream_error(pair->server));
    ck_assert_msg(client == TLS_OK, "client: %s", tls_stream_error(pair->client));
}

#endif
