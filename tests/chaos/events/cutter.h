/* A TCP proxy in a process of its own that cuts connections after the requests went through and before the
 * answers come back (what was published is stored, and nobody hears of it), or holds requests on their way. */
#ifndef TESTS_RELAY_CUTTER_H
#define TESTS_RELAY_CUTTER_H

#include "rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct cutter {
    _Atomic unsigned cuts_wanted; /* raised by the test */
    _Atomic unsigned cuts_done;   /* raised by the proxy */
    _Atomic bool holds;           /* requests wait until it is false again */
    _Atomic unsigned held;        /* bytes of them that wait */
    _Atomic unsigned delay_ms;    /* each piece of an answer comes so much later */
};

static inline int socket_to(unsigned short port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline bool pass(int from, int to)
{
    char bytes[65536];
    ssize_t size = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t sent = 0, step; sent < size; sent += step) {
        step = send(to, bytes + sent, (size_t)(size - sent), MSG_NOSIGNAL);
        if (step <= 0)
            return false;
    }
    return size > 0;
}

/* One connection.  A cut lets requests through for a while, holds the answers back and then closes. */
static inline void cutter_serve(struct cutter *cutter, int client, int server)
{
    uint64_t closes = 0;
    for (;;) {
        bool cutting = cutter->cuts_wanted > cutter->cuts_done;
        int waiting = 0;
        cutter->held = cutter->holds && ioctl(client, FIONREAD, &waiting) == 0 ? (unsigned)waiting : 0;
        struct pollfd fds[2] = {{.fd = cutter->holds ? -1 : client, .events = POLLIN},
                                {.fd = cutting ? -1 : server, .events = POLLIN}};
        if (cutting && closes == 0)
            closes = clock_now() + 60 * NS_PER_MS;
        if (closes != 0 && clock_now() >= closes) {
            cutter->cuts_done++;
            return;
        }
        if (poll(fds, 2, 5) < 0)
            return;
        if (fds[0].revents != 0 && !pass(client, server))
            return;
        if (fds[1].revents != 0)
            sleep_ms(cutter->delay_ms);
        if (fds[1].revents != 0 && !pass(server, client))
            return;
    }
}

static inline void cutter_main(struct cutter *cutter, int listener, unsigned short upstream)
{
    for (;;) {
        int client = accept(listener, NULL, NULL);
        int server = socket_to(upstream);
        if (client >= 0 && server >= 0)
            cutter_serve(cutter, client, server);
        close(client);
        close(server);
    }
}

/* Between relays started from now on and the stack's NATS. */
static inline struct cutter *cutter_start(void)
{
    static char url[64];
    unsigned short upstream = (unsigned short)atoi(strrchr(env("STACK_NATS_URL"), ':') + 1);
    struct cutter *cutter =
        mmap(NULL, sizeof *cutter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(url, sizeof url, "tls://127.0.0.1:%u", ntohs(address.sin_port));
    rig.nats_url = url;
    if (child_fork() == 0) /* ends with its test */
        cutter_main(cutter, listener, upstream);
    close(listener);
    return cutter;
}

/* More than a relay asks of all its streams together: what waits is events. */
#define WINDOW_BYTES 16384

/* Begins to hold, at a moment that leaves windows on their way.  A relay that is asking a stream just then,
 * or reading the database, sends none: let go before its leases suffer, and try again. */
static inline void cutter_hold_windows(struct cutter *cutter)
{
    for (int attempt = 0; attempt < 20; attempt++) {
        cutter->holds = true;
        for (int ms = 0; ms < 300; ms += 10) {
            sleep_ms(10);
            if (cutter->held >= WINDOW_BYTES)
                return;
        }
        cutter->holds = false;
        sleep_ms(500);
    }
    ck_abort_msg("the relay sends no window");
}

#endif
