/* Connect and gRPC-Web: the same handlers behind other bytes. */
#include "connect_pair.h"

#include "rpc/coding.h"
#include "rpc/connect_query.h"
#include "rpc/gzip.h"

#include <string.h>

/* --- Connect unary --------------------------------------------------------------------------------------- */

START_TEST(json_in_json_out)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Echo", JSON, text_body("{\"code\":7,\"message\":\"h\\u00e4\",\"more\":1}"));
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-type", JSON);
        check_field(exchange, "content-length", "26");
        check_body(exchange, "{\"code\":7,\"message\":\"h\xC3\xA4\"}");
        ck_assert_int_eq(exchange->blocks, 1);
        ck_assert_ptr_nonnull(answer_field(exchange, "x-request-id"));
        ck_assert_ptr_null(answer_field(exchange, "grpc-status"));
        ck_assert_ptr_null(answer_field(exchange, "grpc-accept-encoding"));
        check_body(post(pair, "Echo", "Application/JSON; charset=UTF-8", text_body("{}")), "{}");
        ck_assert_int_eq(pair->invocations, 2);
        pair_free(pair);
    }
END_TEST

START_TEST(protobuf_without_a_prefix)
    {
        struct pair *pair = connected();
        struct exchange *exchange = post(pair, "Echo", "application/proto", text_body("\x08\x07"));
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-type", "application/proto");
        check_body(exchange, "\x08\x07");
        exchange = post(pair, "Echo", "application/proto", text_body(""));
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-length", "0");
        ck_assert_uint_eq(buf_size(&exchange->body), 0);
        pair_free(pair);
    }
END_TEST

START_TEST(metadata_both_ways)
    {
        struct pair *pair = connected();
        struct exchange *exchange = post_with(pair, "x-echo-bin", "AAEC");
        check_field(exchange, ":status", "200");
        check_field(exchange, "x-echo-bin", "AAEC");
        check_field(exchange, "trailer-x-trail-bin", "AAEC");
        ck_assert_ptr_null(answer_field(exchange, "x-trail-bin"));
        pair_free(pair);
    }
END_TEST

START_TEST(errors_are_json_with_details)
    {
        struct pair *pair = connected();
        struct exchange *exchange = post(pair, "Refuse", JSON, text_body("{\"code\":1}"));
        check_error(exchange, "400", "invalid_argument");
        const char *body = buf_str(&exchange->body);
        ck_assert_ptr_nonnull(strstr(body, "must be 50% \xC3\xA4"));
        ck_assert_ptr_nonnull(strstr(body, "\"details\":[{\"type\":\"google.rpc.ErrorInfo\","));
        ck_assert_ptr_nonnull(strstr(body, "{\"type\":\"google.rpc.BadRequest\",\"value\":\""));
        ck_assert_ptr_null(strchr(body, '=')); /* no padding, no spaces */

        exchange = post(pair, "Refuse", "application/proto", text_body("\x08\x02"));
        check_error(exchange, "400", "failed_precondition");
        check_field(exchange, "retry-after", "2");
        exchange = post(pair, "Refuse", JSON, text_body("{\"code\":3}"));
        check_error(exchange, "503", "unavailable");
        ck_assert_ptr_null(strstr(buf_str(&exchange->body), "hunter2"));
        exchange = post(pair, "Refuse", JSON, text_body("{\"code\":5}"));
        check_error(exchange, "404", "not_found");
        check_field(exchange, "x-many", "h");
        check_field(exchange, "trailer-x-more", "t");
        pair_free(pair);
    }
END_TEST

START_TEST(what_is_not_for_us_is_refused)
    {
        struct pair *pair = connected();
        check_error(post(pair, "Echo", JSON, text_body("{")), "400", "invalid_argument");
        check_error(post(pair, "Echo", JSON, text_body("")), "400", "invalid_argument");
        check_error(post(pair, "Echo", JSON, text_body("{\"code\":\"x\"}")), "400",
                    "invalid_argument");
        check_error(post(pair, "Echo", "application/proto", text_body("\x08")), "400",
                    "invalid_argument");
        check_error(post(pair, "Nothing", JSON, text_body("{}")), "404", "unimplemented");
        check_error(post(pair, "Unserved", JSON, text_body("{}")), "501", "unimplemented");
        check_error(post_with(pair, "content-encoding", "br"), "501", "unimplemented");
        check_error(post_with(pair, "connect-protocol-version", "2"), "400", "invalid_argument");
        check_error(post_with(pair, "x-forbid", "gate"), "403", "permission_denied");
        check_error(post_with(pair, "x-forbid", "match"), "403", "permission_denied");
        ck_assert_int_eq(pair->invocations, 0);
        check_field(post_with(pair, "connect-protocol-version", "1"), ":status", "200");
        check_field(post_with(pair, "content-encoding", "identity"), ":status", "200");
        pair_free(pair);
    }
END_TEST

START_TEST(types_fit_the_kind_of_method)
    {
        static const char *const wrong[][2] = {
            {"Echo", "application/connect+json"},
            {"Echo", "application/connect+proto"},
            {"Count", JSON},
            {"Sum", "application/proto"},
            {"Echo", "application/json; charset=latin1"},
            {"Echo", "application/jsonx"},
        };
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            struct exchange *exchange = post(pair, wrong[i][0], wrong[i][1], text_body("{}"));
            check_field(exchange, ":status", "415");
            ck_assert_ptr_nonnull(
                strstr(answer_field(exchange, "accept-post"), "application/grpc"));
            bool unary = strcmp(wrong[i][0], "Echo") == 0;
            ck_assert_int_eq(strstr(answer_field(exchange, "accept-post"), JSON) != NULL, unary);
        }
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

/* 100 bytes are accepted by Small and Look. */
START_TEST(the_method_s_limit_holds)
    {
        char fits[101];
        char large[102];
        snprintf(fits, sizeof fits, "{\"message\":\"%086d\"}", 0);
        snprintf(large, sizeof large, "{\"message\":\"%087d\"}", 0);
        ck_assert_uint_eq(strlen(fits), 100);
        struct pair *pair = connected();
        check_field(post(pair, "Small", JSON, text_body(fits)), ":status", "200");
        check_error(post(pair, "Small", JSON, text_body(large)), "429", "resource_exhausted");
        const struct extra told[] = {
            {"content-type", JSON}, {"content-length", "1000000000000"}, {NULL, NULL}};
        int32_t id = pair_request(pair, "/test.v1.Pair/Small", told, NULL); /* and no body */
        check_error(pair_finish(pair, id), "429", "resource_exhausted");
        ck_assert_int_eq(pair->invocations, 1);
        pair_free(pair);
    }
END_TEST

/* Larger than a stream's window, its size told and not told. */
START_TEST(large_messages_pass)
    {
        struct pair *pair = connected();
        for (int told = 0; told <= 1; told++) {
            struct buf *body = text_body("{\"message\":\"");
            while (buf_size(body) < 2u << 20)
                buf_put_str(body, "0123456789012345678901234567890123456789");
            buf_put_str(body, "\"}");
            char size[24];
            snprintf(size, sizeof size, "%zu", buf_size(body));
            const struct extra extras[] = {
                {"content-type", JSON}, {told ? "content-length" : "x-none", size}, {NULL, NULL}};
            size_t sent = buf_size(body);
            struct exchange *exchange =
                pair_finish(pair, pair_request(pair, "/test.v1.Pair/Import", extras, body));
            check_field(exchange, ":status", "200");
            ck_assert_uint_eq(buf_size(&exchange->body), sent);
        }
        ck_assert_uint_eq(pair->h2->buffered, 0);
        ck_assert_uint_eq(pair->h2->reserved, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(a_timeout_is_in_milliseconds)
    {
        static const char *const broken[] = {"", "-1", "1s", "12345678901", "+1", "1.5"};
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
            check_error(post_with(pair, "connect-timeout-ms", broken[i]), "400",
                        "invalid_argument");
        ck_assert_int_eq(pair->invocations, 0);
        check_field(post_with(pair, "connect-timeout-ms", "9999999999"), ":status", "200");
        static const char *const slow[] = {"Sleep", "Stubborn"};
        for (size_t i = 0; i < 2; i++) {
            char path[64];
            snprintf(path, sizeof path, "/test.v1.Pair/%s", slow[i]);
            const struct extra extras[] = {
                {"content-type", JSON}, {"connect-timeout-ms", "20"}, {NULL, NULL}};
            int32_t id = pair_request(pair, path, extras, text_body("{\"code\":500}"));
            check_error(pair_finish(pair, id), "504", "deadline_exceeded");
        }
        pair_free(pair);
    }
END_TEST

/* --- gzip ------------------------------------------------------------------------------------------------ */

static struct buf *gzip_body(const char *text)
{
    struct buf *body = xcalloc(1, sizeof *body);
    gzip_deflate(slice_of_str(text), body);
    return body;
}

#define LONG_TEXT                                                                                  \
    "{\"message\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"

START_TEST(a_unary_body_may_be_gzip)
    {
        static const struct extra extras[] = {
            {"content-type", JSON}, {"content-encoding", "gzip"}, {NULL, NULL}};
        struct pair *pair = connected();
        struct exchange *exchange = pair_finish(
            pair, pair_request(pair, "/test.v1.Pair/Echo", extras, gzip_body(LONG_TEXT)));
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-encoding", "gzip");
        struct buf plain = BUF_EMPTY;
        ck_assert_int_eq(gzip_inflate(buf_slice(&exchange->body), 1000, &plain), GZIP_OK);
        ck_assert_str_eq(buf_str(&plain), LONG_TEXT);
        buf_deinit(&plain);

        char bomb[1001];
        snprintf(bomb, sizeof bomb, "{\"message\":\"%0986d\"}", 0);
        exchange =
            pair_finish(pair, pair_request(pair, "/test.v1.Pair/Small", extras, gzip_body(bomb)));
        check_error(exchange, "429", "resource_exhausted");
        ck_assert_ptr_null(answer_field(exchange, "content-encoding"));
        exchange =
            pair_finish(pair, pair_request(pair, "/test.v1.Pair/Echo", extras, text_body("{}")));
        check_error(exchange, "500", "internal");
        ck_assert_int_eq(pair->invocations, 1);
        pair_free(pair);
    }
END_TEST

START_TEST(an_answer_is_plain_for_who_does_not_compress)
    {
        struct pair *pair = connected();
        const struct extra extras[] = {
            {"content-type", JSON}, {"accept-encoding", "gzip"}, {NULL, NULL}};
        struct exchange *exchange = pair_finish(
            pair, pair_request(pair, "/test.v1.Pair/Echo", extras, text_body(LONG_TEXT)));
        ck_assert_ptr_null(answer_field(exchange, "content-encoding"));
        check_body(exchange, LONG_TEXT);
        check_field(post_with(pair, "content-encoding", "br"), "accept-encoding", "identity,gzip");
        pair_free(pair);
    }
END_TEST

/* The flag alone says what is compressed; the end of the stream is not. */
START_TEST(envelopes_may_be_gzip)
    {
        static const struct extra extras[] = {{"content-type", "application/connect+json"},
                                              {"connect-content-encoding", "gzip"},
                                              {"connect-accept-encoding", "gzip"},
                                              {NULL, NULL}};
        struct pair *pair = connected();
        struct buf *packed = gzip_body(LONG_TEXT);
        struct buf *body = xcalloc(1, sizeof *body);
        framing_put(body, buf_slice(packed));
        body->data[body->start] = FRAME_COMPRESSED;
        pair_drop_body(packed);
        framing_put(body, slice_of_str("{}"));
        struct exchange *exchange =
            pair_finish(pair, pair_request(pair, "/test.v1.Pair/Chat", extras, body));
        check_field(exchange, "connect-content-encoding", "gzip");
        check_field(exchange, "connect-accept-encoding", "identity,gzip");
        struct slice rest = buf_slice(&exchange->body);
        char text[2048];
        uint8_t flags;
        struct buf plain = BUF_EMPTY;
        size_t size = (size_t)rest.data[3] << 8 | rest.data[4];
        ck_assert_int_eq(
            gzip_inflate(slice_make(rest.data + FRAME_PREFIX_SIZE, size), 1000, &plain), GZIP_OK);
        ck_assert_str_eq(buf_str(&plain), LONG_TEXT);
        buf_deinit(&plain);
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_uint_eq(flags, FRAME_COMPRESSED);
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_uint_eq(flags, 0);
        ck_assert_str_eq(text, "{}");
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_uint_eq(flags, 2);
        ck_assert_str_eq(text, "{}");
        pair_free(pair);
    }
END_TEST

/* --- Connect GET ----------------------------------------------------------------------------------------- */

START_TEST(a_get_reads_its_query)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            get(pair, "Look?connect=v1&encoding=json&message=%7B%22message%22%3A%22a+b%22%7D");
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-type", JSON);
        check_field(exchange, "cache-control", "no-store");
        check_body(exchange, "{\"message\":\"a b\"}");
        exchange = get(pair, "Look?message=CAc&base64=1&encoding=proto&more=1");
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-type", "application/proto");
        check_body(exchange, "\x08\x07");
        check_body(post(pair, "Look", JSON, text_body("{\"code\":7}")), "{\"code\":7}");
        struct buf *packed = gzip_body("{\"code\":7}");
        struct buf base64 = BUF_EMPTY;
        char path[256];
        base64_encode(&base64, buf_slice(packed));
        for (size_t i = base64.start; i < base64.end; i++)
            base64.data[i] = base64.data[i] == '+'   ? '-'
                             : base64.data[i] == '/' ? '_'
                                                     : base64.data[i];
        snprintf(path, sizeof path, "Look?encoding=json&compression=gzip&base64=1&message=%s",
                 buf_str(&base64));
        struct exchange *small = get(pair, path);
        check_field(small, ":status", "200");
        buf_deinit(&base64);
        pair_drop_body(packed);
        ck_assert_int_eq(pair->invocations, 4);
        pair_free(pair);
    }
END_TEST

START_TEST(a_broken_query_is_refused)
    {
        static const char *const queries[] = {
            "?connect=v2&encoding=json&message=%7B%7D",
            "?encoding=json",
            "?encoding=json&message=%7",
            "?encoding=json&message=%zz",
            "?encoding=json&message=%7B",
            "?encoding=proto&message=CAc&base64=2",
            "?encoding=proto&message=C+c&base64=1",
            "?encoding=proto&message=C&base64=1",
        };
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
            char path[256];
            snprintf(path, sizeof path, "Look%s", queries[i]);
            check_error(get(pair, path), "400", "invalid_argument");
        }
        check_error(get(pair, "Look?encoding=json&message=%7B%7D&compression=br"), "501",
                    "unimplemented");
        check_field(get(pair, "Look?encoding=xml&message=%7B%7D"), ":status", "415");
        check_field(get(pair, "Look"), ":status", "415");
        char large[256];
        snprintf(large, sizeof large, "Look?encoding=json&message={\"message\":\"%087d\"}", 0);
        check_error(get(pair, large), "429", "resource_exhausted");
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(only_reads_are_got)
    {
        struct pair *pair = connected();
        static const char *const others[] = {"Echo", "Count", "Nothing"};
        for (size_t i = 0; i < 3; i++) {
            char path[128];
            snprintf(path, sizeof path, "%s?connect=v1&encoding=json&message=%%7B%%7D", others[i]);
            struct exchange *exchange = get(pair, path);
            check_field(exchange, ":status", "405");
            check_field(exchange, "allow", "POST");
        }
        const struct extra put[] = {{":method", "PUT"}, {NULL, NULL}};
        struct exchange *exchange =
            pair_finish(pair, pair_request(pair, "/test.v1.Pair/Look", put, text_body("")));
        check_field(exchange, ":status", "405");
        check_field(exchange, "allow", "GET, POST");
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

/* --- gRPC-Web -------------------------------------------------------------------------------------------- */

START_TEST(web_trailers_lie_in_the_body)
    {
        static const char *const types[] = {"application/grpc-web", "application/grpc-web+proto"};
        for (size_t i = 0; i < 2; i++) {
            struct pair *pair = connected();
            const struct extra extras[] = {
                {"content-type", types[i]}, {"x-echo-bin", "AAEC"}, {NULL, NULL}};
            int32_t id = pair_request(pair, "/test.v1.Pair/Echo", extras, framed_text("\x08\x07"));
            struct exchange *exchange = pair_finish(pair, id);
            check_field(exchange, ":status", "200");
            check_field(exchange, "content-type", "application/grpc-web+proto");
            check_field(exchange, "x-echo-bin", "AAEC");
            ck_assert_int_eq(exchange->blocks, 1);
            ck_assert_ptr_null(answer_field(exchange, "grpc-status"));
            struct slice body = buf_slice(&exchange->body);
            char text[2048];
            uint8_t flags;
            ck_assert(envelope_next(&body, &flags, text));
            ck_assert_uint_eq(flags, 0);
            ck_assert_str_eq(text, "\x08\x07");
            ck_assert(envelope_next(&body, &flags, text));
            ck_assert_uint_eq(flags, 0x80);
            ck_assert_str_eq(text, "grpc-status: 0\r\nx-trail-bin: AAEC\r\n");
            ck_assert(!envelope_next(&body, &flags, text));
            pair_free(pair);
        }
    }
END_TEST

START_TEST(web_errors_too)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Refuse", "application/grpc-web+proto", framed_text("\x08\x01"));
        check_field(exchange, ":status", "200");
        struct slice body = buf_slice(&exchange->body);
        char text[2048];
        uint8_t flags;
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_uint_eq(flags, 0x80);
        ck_assert_msg(strncmp(text, "grpc-status: 3\r\ngrpc-message: INVALID_ARGUMENT", 46) == 0,
                      "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "50%25 %C3%A4"));
        ck_assert_ptr_nonnull(strstr(text, "\r\ngrpc-status-details-bin: "));
        ck_assert(!envelope_next(&body, &flags, text));
        exchange = post(pair, "Refuse", "application/grpc-web+proto", framed_text("\x08\x03"));
        ck_assert_ptr_nonnull(
            strstr(buf_str(&exchange->body) + FRAME_PREFIX_SIZE, "\r\ngrpc-retry-pushback-ms: 1"));
        pair_free(pair);
    }
END_TEST

START_TEST(web_streams_from_the_server)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Count", "application/grpc-web+proto", framed_text("\x08\x03"));
        check_field(exchange, "x-before", "yes");
        struct slice body = buf_slice(&exchange->body);
        char text[2048];
        uint8_t flags;
        for (int n = 1; n <= 3; n++) {
            ck_assert(envelope_next(&body, &flags, text));
            ck_assert_uint_eq(flags, 0);
            ck_assert_int_eq(text[1], n);
        }
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_uint_eq(flags, 0x80);
        ck_assert_str_eq(text, "grpc-status: 0\r\nx-after: yes\r\n");
        ck_assert(!envelope_next(&body, &flags, text));
        pair_free(pair);
    }
END_TEST

/* --- Connect streams ------------------------------------------------------------------------------------- */

START_TEST(an_envelope_ends_the_stream)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Count", "application/connect+json", framed_text("{\"code\":2}"));
        check_field(exchange, ":status", "200");
        check_field(exchange, "content-type", "application/connect+json");
        struct slice body = buf_slice(&exchange->body);
        char text[2048];
        uint8_t flags;
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_str_eq(text, "{\"code\":1}");
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_str_eq(text, "{\"code\":2}");
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_uint_eq(flags, 2);
        ck_assert_str_eq(text, "{\"metadata\":{\"x-after\":[\"yes\"]}}");
        ck_assert(!envelope_next(&body, &flags, text));
        ck_assert_int_eq(exchange->blocks, 1);
        pair_free(pair);
    }
END_TEST

START_TEST(an_envelope_tells_the_error)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            post(pair, "Count", "application/connect+json", framed_text("{\"code\":-1}"));
        check_field(exchange, ":status", "200");
        struct slice body = buf_slice(&exchange->body);
        char text[2048];
        uint8_t flags;
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_uint_eq(flags, 2);
        const char *begin = "{\"error\":{\"code\":\"already_exists\",\"message\":\"SLUG_TAKEN: ";
        ck_assert_msg(strncmp(text, begin, strlen(begin)) == 0, "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "},\"metadata\":{\"x-after\":[\"yes\"]}}"));
        ck_assert(!envelope_next(&body, &flags, text));

        exchange = post(pair, "Count", "application/connect+json", framed_text("{"));
        check_field(exchange, ":status", "200");
        body = buf_slice(&exchange->body);
        ck_assert(envelope_next(&body, &flags, text));
        ck_assert_uint_eq(flags, 2);
        ck_assert_ptr_nonnull(strstr(text, "{\"error\":{\"code\":\"invalid_argument\""));
        ck_assert(!envelope_next(&body, &flags, text));
        pair_free(pair);
    }
END_TEST

START_TEST(clients_stream_in_both_codecs)
    {
        struct pair *pair = connected();
        struct buf *body = framed_text("{\"code\":20}");
        framing_put(body, slice_of_str("{\"code\":3}"));
        struct exchange *exchange = post(pair, "Sum", "application/connect+json", body);
        struct slice rest = buf_slice(&exchange->body);
        char text[2048];
        uint8_t flags;
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_str_eq(text, "{\"code\":23}");
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_uint_eq(flags, 2);
        ck_assert_str_eq(text, "{}");
        ck_assert(!envelope_next(&rest, &flags, text));

        body = framed_text("\x08\x14");
        framing_put(body, slice_of_str("\x08\x03"));
        exchange = post(pair, "Chat", "application/connect+proto", body);
        check_field(exchange, "content-type", "application/connect+proto");
        rest = buf_slice(&exchange->body);
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_str_eq(text, "\x08\x14");
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_str_eq(text, "\x08\x03");
        ck_assert(envelope_next(&rest, &flags, text));
        ck_assert_str_eq(text, "{}");
        pair_free(pair);
    }
END_TEST

/* --- the query alone ------------------------------------------------------------------------------------- */

START_TEST(the_query_is_read_as_forms_are)
    {
        struct arena *arena = arena_new(0);
        struct connect_query query;
        struct connect_query_fault fault = connect_query_parse(
            arena, slice_of_str("&&message=a%26b%3D%00&message=2&encoding=proto&&x"), &query);
        ck_assert_ptr_null(fault.parameter);
        ck_assert(slice_equal(query.message, slice_make("a&b=\0", 5)));
        ck_assert_int_eq(query.codec, CODEC_PROTO);
        fault =
            connect_query_parse(arena, slice_of_str("encoding=json&base64=1&message=-_-_"), &query);
        ck_assert_ptr_null(fault.parameter);
        ck_assert(slice_equal(query.message, slice_make("\xFB\xFF\xBF", 3)));
        fault = connect_query_parse(arena, slice_of_str("encoding=json&message=a%2"), &query);
        ck_assert_str_eq(fault.parameter, "message");
        fault = connect_query_parse(arena, slice_of_str("encoding=json&base64=1&message=%2B%2F8="),
                                    &query);
        ck_assert_str_eq(fault.parameter, "message");
        fault = connect_query_parse(arena, slice_of_str("encoding=json&base64=1&message=__8%3D"),
                                    &query);
        ck_assert_ptr_null(fault.parameter);
        arena_free(arena);
    }
END_TEST

Suite *suite_rpc_connect(void);
Suite *suite_rpc_connect(void)
{
    Suite *suite = suite_create("rpc_connect");
    TCase *tests = tcase_create("connect");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, json_in_json_out);
    tcase_add_test(tests, protobuf_without_a_prefix);
    tcase_add_test(tests, metadata_both_ways);
    tcase_add_test(tests, errors_are_json_with_details);
    tcase_add_test(tests, what_is_not_for_us_is_refused);
    tcase_add_test(tests, types_fit_the_kind_of_method);
    tcase_add_test(tests, the_method_s_limit_holds);
    tcase_add_test(tests, large_messages_pass);
    tcase_add_test(tests, a_timeout_is_in_milliseconds);
    tcase_add_test(tests, a_unary_body_may_be_gzip);
    tcase_add_test(tests, an_answer_is_plain_for_who_does_not_compress);
    tcase_add_test(tests, envelopes_may_be_gzip);
    tcase_add_test(tests, a_get_reads_its_query);
    tcase_add_test(tests, a_broken_query_is_refused);
    tcase_add_test(tests, only_reads_are_got);
    tcase_add_test(tests, web_trailers_lie_in_the_body);
    tcase_add_test(tests, web_errors_too);
    tcase_add_test(tests, web_streams_from_the_server);
    tcase_add_test(tests, an_envelope_ends_the_stream);
    tcase_add_test(tests, an_envelope_tells_the_error);
    tcase_add_test(tests, clients_stream_in_both_codecs);
    tcase_add_test(tests, the_query_is_read_as_forms_are);
    suite_add_tcase(suite, tests);
    return suite;
}
