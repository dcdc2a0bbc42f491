/* gRPC and gRPC-Web with JSON messages. */
#include "h2_pair.h"

#include <string.h>

static struct exchange *post(struct pair *pair, const char *method, const char *type,
                             const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", method);
    struct buf *body = xcalloc(1, sizeof *body);
    framing_put(body, slice_of_str(text));
    const struct extra extras[] = {{"content-type", type}, {NULL, NULL}};
    return pair_finish(pair, pair_request(pair, path, extras, body));
}

static struct pair *connected(void)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    return pair;
}

/* The body begins with these framed texts; what follows them. */
static struct slice after(const struct exchange *exchange, const char *const *texts)
{
    struct slice body = buf_slice(&exchange->body);
    for (; *texts != NULL; texts++) {
        struct buf framed = BUF_EMPTY;
        framing_put(&framed, slice_of_str(*texts));
        size_t size = buf_size(&framed);
        ck_assert_uint_ge(body.size, size);
        ck_assert_mem_eq(body.data, buf_slice(&framed).data, size);
        body = slice_skip(body, size);
        buf_deinit(&framed);
    }
    return body;
}

START_TEST(grpc_speaks_json)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Echo", "application/grpc+json", "{\"code\":7,\"message\":\"hi\"}");
        ck_assert_int_eq(answer_status(exchange), 0);
        ck_assert_str_eq(answer_field(exchange, "content-type"), "application/grpc+json");
        const char *const texts[] = {"{\"code\":7,\"message\":\"hi\"}", NULL};
        ck_assert_uint_eq(after(exchange, texts).size, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(grpc_streams_json)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Count", "application/grpc+json;charset=UTF-8", "{\"code\":2}");
        ck_assert_int_eq(answer_status(exchange), 0);
        const char *const texts[] = {"{\"code\":1}", "{\"code\":2}", NULL};
        ck_assert_uint_eq(after(exchange, texts).size, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(grpc_json_is_judged)
    {
        struct pair *pair = connected();
        static const char *const broken[] = {"", "{", "[]", "{\"code\":\"x\"}", "{\"code\":1}x"};
        for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
            ck_assert_int_eq(answer_status(post(pair, "Echo", "application/grpc+json", broken[i])),
                             GRPC_INVALID_ARGUMENT);
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(web_speaks_json)
    {
        struct pair *pair = connected();
        struct exchange *exchange = post(pair, "Echo", "application/grpc-web+json", "{\"code\":7}");
        ck_assert_str_eq(answer_field(exchange, "content-type"), "application/grpc-web+json");
        const char *const texts[] = {"{\"code\":7}", NULL};
        struct slice rest = after(exchange, texts);
        static const char trailers[] = "\x80\0\0\0\x10grpc-status: 0\r\n";
        ck_assert_uint_eq(rest.size, sizeof trailers - 1);
        ck_assert_mem_eq(rest.data, trailers, rest.size);
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_grpc_json(void);
Suite *suite_rpc_grpc_json(void)
{
    Suite *suite = suite_create("rpc_grpc_json");
    TCase *tests = tcase_create("grpc_json");
    tcase_add_test(tests, grpc_speaks_json);
    tcase_add_test(tests, grpc_streams_json);
    tcase_add_test(tests, grpc_json_is_judged);
    tcase_add_test(tests, web_speaks_json);
    suite_add_tcase(suite, tests);
    return suite;
}
