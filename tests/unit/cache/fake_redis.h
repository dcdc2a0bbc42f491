/* A Redis node in the test's own process and loop: real sockets, scripted misbehaviour. */
#ifndef TESTS_FAKE_REDIS_H
#define TESTS_FAKE_REDIS_H

#include "base/buf.h"
#include "base/clock.h"
#include "cache/redis_reply.h"
#include "loop/loop.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_KEYS 8
#define FAKE_SHA "0123456789abcdef0123456789abcdef01234567"

struct fake_redis {
    struct loop *loop;
    int listener;
    struct io *accepting;
    uint16_t port;
    int fd; /* one client at a time, -1: none */
    struct io *io;
    struct redis_parser *parser;
    struct buf out;
    /* script */
    bool hold;       /* collects answers, sends nothing */
    bool trickle;    /* sends one byte at a time */
    const char *raw; /* bytes to send instead of the answer to GET */
    size_t raw_size;
    bool close_on_get;
    const char *auth_answer;  /* NULL: +OK */
    const char *store_answer; /* NULL: stores and says 1 */
    const char *slots_answer; /* NULL: all slots are here */
    int64_t clock_us;         /* added to TIME */
    /* what was seen */
    unsigned connections, gets, stores, loads, askings, maps;
    char password[64];
    struct slice keys[FAKE_KEYS], values[FAKE_KEYS];
    size_t key_count;
    uint64_t end_ms; /* PXAT of the last store … */
    bool relative;   /* … or PX */
};

static inline void fake_say(struct fake_redis *fake, const char *text)
{
    buf_put_str(&fake->out, text);
}

static inline void fake_bulk(struct fake_redis *fake, struct slice value)
{
    buf_printf(&fake->out, "$%zu\r\n", value.size);
    buf_put_slice(&fake->out, value);
    fake_say(fake, "\r\n");
}

static inline struct slice fake_copy(struct slice bytes)
{
    char *copy = malloc(bytes.size + 1);
    memcpy(copy, bytes.data, bytes.size);
    return slice_make(copy, bytes.size);
}

static inline void fake_keep(struct fake_redis *fake, struct slice key, struct slice value)
{
    size_t i = 0;
    while (i < fake->key_count && !slice_equal(fake->keys[i], key))
        i++;
    ck_assert_uint_lt(i, FAKE_KEYS);
    if (i == fake->key_count)
        fake->keys[fake->key_count++] = fake_copy(key);
    free((void *)(uintptr_t)fake->values[i].data);
    fake->values[i] = fake_copy(value);
}

static inline void fake_hang_up(struct fake_redis *fake)
{
    if (fake->fd < 0)
        return;
    io_close(fake->io);
    close(fake->fd);
    redis_parser_free(fake->parser);
    buf_clear(&fake->out);
    fake->fd = -1;
}

static inline void fake_get(struct fake_redis *fake, struct slice key)
{
    fake->gets++;
    if (fake->raw != NULL) {
        buf_put(&fake->out, fake->raw, fake->raw_size);
        return;
    }
    for (size_t i = 0; i < fake->key_count; i++) {
        if (slice_equal(fake->keys[i], key)) {
            fake_bulk(fake, fake->values[i]);
            return;
        }
    }
    fake_say(fake, "$-1\r\n");
}

static inline void fake_command(struct fake_redis *fake, const struct redis_reply *command)
{
    struct slice name = command->elements[0]->text;
    if (slice_is(name, "AUTH")) {
        struct slice word = command->elements[command->count - 1]->text;
        snprintf(fake->password, sizeof fake->password, "%.*s", (int)word.size, word.data);
        fake_say(fake, fake->auth_answer == NULL ? "+OK\r\n" : fake->auth_answer);
    } else if (slice_is(name, "SCRIPT")) {
        fake->loads++;
        fake_say(fake, "$40\r\n" FAKE_SHA "\r\n");
    } else if (slice_is(name, "TIME")) {
        uint64_t us = clock_wall() / 1000 + (uint64_t)fake->clock_us;
        char parts[2][24];
        snprintf(parts[0], 24, "%llu", (unsigned long long)us / 1000000);
        snprintf(parts[1], 24, "%llu", (unsigned long long)us % 1000000);
        fake_say(fake, "*2\r\n");
        fake_bulk(fake, slice_of_str(parts[0]));
        fake_bulk(fake, slice_of_str(parts[1]));
    } else if (slice_is(name, "CLUSTER")) {
        fake->maps++;
        if (fake->slots_answer != NULL)
            fake_say(fake, fake->slots_answer);
        else
            buf_printf(&fake->out, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n",
                       fake->port);
    } else if (slice_is(name, "ASKING")) {
        fake->askings++;
        fake_say(fake, "+OK\r\n");
    } else if (slice_is(name, "GET")) {
        fake_get(fake, command->elements[1]->text);
    } else if (slice_is(name, "EVALSHA")) {
        ck_assert(slice_is(command->elements[1]->text, FAKE_SHA));
        fake->stores++;
        struct buf end = BUF_EMPTY;
        fake->relative = slice_is(command->elements[5]->text, "PX");
        buf_put_slice(&end, command->elements[6]->text);
        fake->end_ms = strtoull(buf_str(&end), NULL, 10);
        buf_deinit(&end);
        if (fake->store_answer == NULL)
            fake_keep(fake, command->elements[3]->text, command->elements[4]->text);
        fake_say(fake, fake->store_answer == NULL ? ":1\r\n" : fake->store_answer);
    } else {
        ck_abort_msg("unexpected command %.*s", (int)name.size, name.data);
    }
}

static inline void fake_send(struct fake_redis *fake)
{
    while (fake->fd >= 0 && !fake->hold && buf_size(&fake->out) > 0) {
        size_t size = fake->trickle ? 1 : buf_size(&fake->out);
        ssize_t sent = send(fake->fd, buf_slice(&fake->out).data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        buf_consume(&fake->out, (size_t)sent);
        if (fake->trickle)
            return; /* the rest in other turns */
    }
}

static inline void fake_on_io(void *owner, unsigned events)
{
    struct fake_redis *fake = owner;
    char bytes[4096];
    ssize_t got = (events & IO_READ) != 0 ? recv(fake->fd, bytes, sizeof bytes, 0) : -1;
    if (got == 0) {
        fake_hang_up(fake);
        return;
    }
    if (got > 0)
        redis_parser_feed(fake->parser, bytes, (size_t)got);
    const struct redis_reply *command = NULL;
    while (got > 0 && redis_parser_next(fake->parser, &command) == REDIS_PARSED_REPLY) {
        if (fake->close_on_get && slice_is(command->elements[0]->text, "GET")) {
            fake_hang_up(fake);
            return;
        }
        fake_command(fake, command);
    }
    fake_send(fake);
    if (fake->fd >= 0)
        io_watch(fake->io, fake->trickle && buf_size(&fake->out) > 0 ? IO_READ | IO_WRITE : IO_READ,
                 fake_on_io, fake);
}

static inline void fake_on_accept(void *owner, unsigned events)
{
    struct fake_redis *fake = owner;
    (void)events;
    int fd = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int on = 1; /* as Redis does; else Nagle and delayed acknowledgements take 40 ms */
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    fake->connections++;
    fake_hang_up(fake);
    fake->fd = fd;
    fake->parser = redis_parser_new();
    fake->io = io_open(fake->loop, fd);
    io_watch(fake->io, IO_READ, fake_on_io, fake);
}

/* Like SIGSTOP: the kernel still accepts and buffers. */
static inline void fake_silence(struct fake_redis *fake, bool silent)
{
    io_watch(fake->accepting, silent ? IO_NONE : IO_READ, fake_on_accept, fake);
    if (fake->fd >= 0)
        io_watch(fake->io, silent ? IO_NONE : IO_READ, fake_on_io, fake);
}

static inline void fake_open(struct fake_redis *fake, struct loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *fake = (struct fake_redis){.loop = loop, .fd = -1};
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(fake->listener, 8), 0);
    ck_assert_int_eq(getsockname(fake->listener, (struct sockaddr *)&address, &size), 0);
    fake->port = ntohs(address.sin_port);
    fake->accepting = io_open(loop, fake->listener);
    io_watch(fake->accepting, IO_READ, fake_on_accept, fake);
}

static inline void fake_close(struct fake_redis *fake)
{
    fake_hang_up(fake);
    io_close(fake->accepting);
    close(fake->listener);
    buf_deinit(&fake->out);
    for (size_t i = 0; i < fake->key_count; i++) {
        free((void *)(uintptr_t)fake->keys[i].data);
        free((void *)(uintptr_t)fake->values[i].data);
    }
}

#endif
