/* A TCP forwarder on a thread of its own: counts round trips, cuts and stalls connections on command. */
#ifndef TESTS_STORE_PROXY_H
#define TESTS_STORE_PROXY_H

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum proxy_mode {
    PROXY_PASS,
    PROXY_STALL,      /* nothing goes either way */
    PROXY_MUTE,       /* requests go through, answers do not */
    PROXY_CUT_BEFORE, /* the next request is not forwarded: the connection ends */
    PROXY_CUT_AFTER,  /* the next request is served, its answer swallowed, the connection ends */
    PROXY_REFUSE,     /* every connection ends at once */
};

#define PROXY_PAIRS 32

struct proxy_pair {
    int client;   /* -1: free */
    int server;
    bool answered; /* the last bytes came from the server */
    bool cutting;  /* PROXY_CUT_AFTER has forwarded its request */
};

struct proxy {
    int listener;
    int port;
    int target_port;
    pthread_t thread;
    atomic_bool stop;
    _Atomic int mode;         /* enum proxy_mode; the cutting ones turn into PASS when they are done */
    atomic_uint round_trips;  /* requests that followed an answer */
    atomic_uint connections;  /* accepted so far */
    struct proxy_pair pairs[PROXY_PAIRS];
};

static inline void proxy_end(struct proxy_pair *pair)
{
    close(pair->client);
    close(pair->server);
    *pair = (struct proxy_pair){.client = -1, .server = -1};
}

static inline void proxy_accept(struct proxy *proxy)
{
    int client = accept(proxy->listener, NULL, NULL);
    if (client < 0)
        return;
    atomic_fetch_add(&proxy->connections, 1);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)proxy->target_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refuse = atomic_load(&proxy->mode) == PROXY_REFUSE;
    if (refuse || connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        close(client);
        close(server);
        return;
    }
    for (size_t i = 0; i < PROXY_PAIRS; i++) {
        if (proxy->pairs[i].client >= 0)
            continue;
        proxy->pairs[i] = (struct proxy_pair){.client = client, .server = server, .answered = true};
        return;
    }
    abort();
}

static inline bool proxy_copy(int from, int to, bool forward)
{
    char bytes[65536];
    ssize_t got = recv(from, bytes, sizeof bytes, 0);
    if (got <= 0)
        return false;
    for (ssize_t sent = 0; forward && sent < got;) {
        ssize_t part = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (part <= 0)
            return false;
        sent += part;
    }
    return true;
}

static inline void proxy_request(struct proxy *proxy, struct proxy_pair *pair, int mode)
{
    if (mode == PROXY_CUT_BEFORE) {
        atomic_store(&proxy->mode, PROXY_PASS);
        proxy_end(pair);
        return;
    }
    if (pair->answered)
        atomic_fetch_add(&proxy->round_trips, 1);
    pair->answered = false;
    if (mode == PROXY_CUT_AFTER) {
        atomic_store(&proxy->mode, PROXY_PASS);
        pair->cutting = true;
    }
    if (!proxy_copy(pair->client, pair->server, true))
        proxy_end(pair);
}

static inline void proxy_answer(struct proxy_pair *pair, int mode)
{
    pair->answered = true;
    bool through = !pair->cutting && mode != PROXY_MUTE;
    if (!proxy_copy(pair->server, pair->client, through) || pair->cutting)
        proxy_end(pair);
}

static inline void *proxy_main(void *argument)
{
    struct proxy *proxy = argument;
    while (!atomic_load(&proxy->stop)) {
        int mode = atomic_load(&proxy->mode);
        struct pollfd fds[1 + 2 * PROXY_PAIRS];
        fds[0] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
        for (size_t i = 0; i < PROXY_PAIRS; i++) {
            bool watched = mode != PROXY_STALL;
            fds[1 + 2 * i].fd = watched ? proxy->pairs[i].client : -1;
            fds[2 + 2 * i].fd = watched ? proxy->pairs[i].server : -1;
            fds[1 + 2 * i].events = fds[2 + 2 * i].events = POLLIN;
            fds[1 + 2 * i].revents = fds[2 + 2 * i].revents = 0;
        }
        if (poll(fds, 1 + 2 * PROXY_PAIRS, 5) <= 0)
            continue;
        if (mode != atomic_load(&proxy->mode))
            continue; /* what arrived after a command obeys it */
        for (size_t i = 0; i < PROXY_PAIRS; i++) {
            struct proxy_pair *pair = &proxy->pairs[i];
            if (pair->client >= 0 && fds[2 + 2 * i].revents != 0)
                proxy_answer(pair, mode);
            if (pair->client >= 0 && fds[1 + 2 * i].revents != 0)
                proxy_request(proxy, pair, mode);
        }
        if ((fds[0].revents & POLLIN) != 0)
            proxy_accept(proxy);
    }
    return NULL;
}

static inline void proxy_open(struct proxy *proxy, int target_port)
{
    memset(proxy, 0, sizeof *proxy);
    for (size_t i = 0; i < PROXY_PAIRS; i++)
        proxy->pairs[i] = (struct proxy_pair){.client = -1, .server = -1};
    proxy->target_port = target_port;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(proxy->listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(proxy->listener, 64), 0);
    ck_assert_int_eq(getsockname(proxy->listener, (struct sockaddr *)&address, &size), 0);
    proxy->port = ntohs(address.sin_port);
    ck_assert_int_eq(pthread_create(&proxy->thread, NULL, proxy_main, proxy), 0);
}

static inline void proxy_close(struct proxy *proxy)
{
    atomic_store(&proxy->stop, true);
    pthread_join(proxy->thread, NULL);
    for (size_t i = 0; i < PROXY_PAIRS; i++) {
        if (proxy->pairs[i].client >= 0)
            proxy_end(&proxy->pairs[i]);
    }
    close(proxy->listener);
}

/* Takes effect for everything that is sent after this call. */
static inline void proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
    atomic_store(&proxy->mode, mode);
}

#endif
