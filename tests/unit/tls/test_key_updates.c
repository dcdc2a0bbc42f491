/* What TLS itself may say after the handshake: KeyUpdates, and a server's tickets.  None of it reaches the
 * reader, so that nobody else could count it. */
#include "pair.h"
#include "tls/tls_int.h"

#include <openssl/bio.h>
#include <sys/ioctl.h>

static struct pair pair;

static void set_up(void)
{
    pair_init(&pair);
    pair_open(&pair);
}

static void tear_down(void)
{
    pair_deinit(&pair);
}

static void update(struct tls_stream *stream, int type)
{
    ck_assert_int_eq(SSL_key_update(stream->ssl, type), 1);
    ck_assert_int_eq(SSL_do_handshake(stream->ssl), 1);
}

/* In writes of many records each, as a flood comes. */
static void flood(struct tls_stream *stream, int count, int type)
{
    BIO *own = SSL_get_wbio(stream->ssl);
    BIO_up_ref(own);
    BIO *memory = BIO_new(BIO_s_mem());
    BIO_up_ref(memory);
    SSL_set0_wbio(stream->ssl, memory);
    for (int i = 0; i < count; i++)
        update(stream, type);
    SSL_set0_wbio(stream->ssl, own);
    char *bytes = NULL;
    long size = BIO_get_mem_data(memory, &bytes);
    ck_assert_int_eq(send(stream->fd, bytes, (size_t)size, MSG_NOSIGNAL), size);
    BIO_free(memory);
}

static int in_socket(int fd)
{
    int size = 0;
    ck_assert_int_eq(ioctl(fd, FIONREAD, &size), 0);
    return size;
}

static void say(struct tls_stream *from, struct tls_stream *to, const char *text)
{
    char got[16] = "";
    size_t count = 0;
    ck_assert_int_eq(tls_stream_write(from, text, strlen(text), &count), TLS_OK);
    enum tls_status status = TLS_WANT_READ;
    for (int i = 0; i < 10 && status == TLS_WANT_READ; i++)
        status = tls_stream_read(to, got, sizeof got - 1, &count);
    ck_assert_int_eq(status, TLS_OK);
    ck_assert_str_eq(got, text);
}

/* RFC 8446 section 4.6.3: either side may change its keys, and ask for as much of the other. */
START_TEST(keys_change_now_and_then)
{
    for (int i = 0; i < 10; i++) {
        struct tls_stream *from = i % 2 == 0 ? pair.client : pair.server;
        struct tls_stream *to = i % 2 == 0 ? pair.server : pair.client;
        update(from, i % 3 == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED);
        say(from, to, "new keys");
        say(to, from, "and so have I");
    }
}
END_TEST

static void fill(struct tls_stream *from, size_t *sent)
{
    static const char block[16384];
    size_t count = 0;
    while (tls_stream_write(from, block, sizeof block, &count) == TLS_OK)
        *sent += count;
}

/* The answer to a KeyUpdate has to wait for what is being written. */
START_TEST(keys_change_while_a_write_waits)
{
    size_t sent = 0;
    fill(pair.server, &sent);
    update(pair.client, SSL_KEY_UPDATE_REQUESTED);
    size_t count = 0;
    ck_assert_int_eq(tls_stream_write(pair.client, "x", 1, &count), TLS_OK);
    char got[16384];
    enum tls_status status = tls_stream_read(pair.server, got, sizeof got, &count);
    ck_assert_msg(status != TLS_FAILED, "%s", tls_stream_error(pair.server));
    size_t received = 0;
    for (int i = 0; i < 1000 && received < sent; i++) {
        if (tls_stream_read(pair.client, got, sizeof got, &count) == TLS_OK)
            received += count;
        if (status != TLS_OK)
            status = tls_stream_read(pair.server, got, sizeof got, &count);
    }
    ck_assert_uint_ge(received, sent);
    ck_assert_int_eq(status, TLS_OK);
}
END_TEST

/* OpenSSL would read on until the socket is dry: 60,000 of them took half a second in one call. */
START_TEST(one_read_takes_one_buffer_of_them)
{
    struct tls_stream *sides[] = {pair.server, pair.client};
    for (int i = 0; i < 2; i++) {
        struct tls_stream *to = sides[i];
        tls_stream_allow_updates(to, 10000);
        flood(sides[1 - i], 2000, SSL_KEY_UPDATE_NOT_REQUESTED);
        int before = in_socket(to->fd);
        ck_assert_int_gt(before, 50000);
        char got[16];
        size_t count = 0;
        int calls = 0;
        for (int left = before; left > 0; calls++) {
            ck_assert_int_eq(tls_stream_read(to, got, sizeof got, &count), TLS_WANT_READ);
            int now = in_socket(to->fd);
            ck_assert_int_lt(now, left);
            ck_assert_int_le(left - now, 20000);
            left = now;
        }
        ck_assert_int_ge(calls, 3);
        say(sides[1 - i], to, "still here");
    }
}
END_TEST

static void check_end(struct tls_stream *from, struct tls_stream *to, uint32_t allowed)
{
    char got[16];
    size_t count = 0;
    flood(from, (int)allowed, SSL_KEY_UPDATE_REQUESTED);
    ck_assert_int_eq(tls_stream_read(to, got, sizeof got, &count), TLS_WANT_READ);
    flood(from, 1, SSL_KEY_UPDATE_NOT_REQUESTED);
    ck_assert_int_eq(tls_stream_write(from, "x", 1, &count), TLS_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tls_stream_read(to, got, sizeof got, &count), TLS_FAILED);
        ck_assert_str_eq(tls_stream_error_label(to), "flood");
    }
}

START_TEST(too_many_end_a_server)
{
    tls_stream_allow_updates(pair.server, 3);
    check_end(pair.client, pair.server, 3);
}
END_TEST

/* A buffer holds six hundred, which are six milliseconds. */
START_TEST(the_rest_is_not_read)
{
    char got[16];
    size_t count = 0;
    tls_stream_allow_updates(pair.server, 3);
    flood(pair.client, 500, SSL_KEY_UPDATE_NOT_REQUESTED);
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_FAILED);
    ck_assert_uint_eq(pair.server->updates, 4);
}
END_TEST

START_TEST(too_many_end_a_client)
{
    check_end(pair.server, pair.client, TLS_UPDATES_DEFAULT);
}
END_TEST

Suite *suite_tls_key_updates(void);
Suite *suite_tls_key_updates(void)
{
    Suite *suite = suite_create("tls/key_updates");
    TCase *tests = tcase_create("updates");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, keys_change_now_and_then);
    tcase_add_test(tests, keys_change_while_a_write_waits);
    tcase_add_test(tests, one_read_takes_one_buffer_of_them);
    tcase_add_test(tests, too_many_end_a_server);
    tcase_add_test(tests, the_rest_is_not_read);
    tcase_add_test(tests, too_many_end_a_client);
    suite_add_tcase(suite, tests);
    return suite;
}
