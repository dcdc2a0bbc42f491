/* Slots, addresses, URLs, maps and redirects: what the cluster client reads. */
#include "base/arena.h"
#include "base/ctx.h"
#include "cache/key_slot.h"
#include "cache/redis_url.h"
#include "cache/slot_map.h"

#include <check.h>
#include <stdio.h>

START_TEST(crc16_vectors)
{
    ck_assert_uint_eq(crc16_xmodem(slice_of_str("")), 0);
    ck_assert_uint_eq(crc16_xmodem(slice_of_str("123456789")),
                      0x31c3); /* cluster specification */
    ck_assert_uint_eq(crc16_xmodem(slice_of_str("foo")) % 16384, 12182);
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    uint16_t crc = 0; /* bit by bit, as the definition says */
    for (int i = 0; i < 256; i++) {
        crc ^= (uint16_t)(all[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? (uint16_t)(crc << 1) ^ 0x1021 : (uint16_t)(crc << 1);
    }
    ck_assert_uint_eq(crc16_xmodem(slice_make(all, sizeof all)), crc);
}
END_TEST

static unsigned slot(const char *key)
{
    return key_slot(slice_of_str(key));
}

START_TEST(hash_tags_decide_the_slot)
{
    ck_assert_uint_eq(slot("foo"), 12182);
    ck_assert_uint_eq(slot("bar"), 5061);
    ck_assert_uint_eq(slot("{user1000}.following"), slot("user1000"));
    ck_assert_uint_eq(slot("tenants/{tnt_x}/profile"), slot("tnt_x"));
    ck_assert_uint_eq(slot("foo{}{bar}"), crc16_xmodem(slice_of_str("foo{}{bar}")) % 16384);
    ck_assert_uint_eq(slot("foo{{bar}}zap"), slot("{bar"));
    ck_assert_uint_eq(slot("foo{bar}{zap}"), slot("bar"));
    ck_assert_uint_eq(slot("foo{bar"), crc16_xmodem(slice_of_str("foo{bar")) % 16384);
    ck_assert_uint_eq(slot(""), 0);
    ck_assert_uint_eq(slot("{"), crc16_xmodem(slice_of_str("{")) % 16384);
}
END_TEST

static struct ctx ctx;
static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
}

static void tear_down(void)
{
    arena_free(arena);
}

START_TEST(urls_are_read)
{
    struct redis_url url;
    ck_assert_int_eq(
        redis_url_parse(&ctx,
                        slice_of_str("rediss://:se%63ret@127.0.0.1:7000,127.0.0.2:7001,"
                                     "[::1]:65535"),
                        &url),
        OK);
    ck_assert(url.tls);
    ck_assert_ptr_null(url.user);
    ck_assert_str_eq(url.password, "secret");
    ck_assert_uint_eq(url.node_count, 3);
    ck_assert_str_eq(url.nodes[1].host, "127.0.0.2");
    ck_assert_uint_eq(url.nodes[1].port, 7001);
    ck_assert_str_eq(url.nodes[2].host, "::1");
    ck_assert_uint_eq(url.nodes[2].port, 65535);

    ck_assert_int_eq(
        redis_url_parse(&ctx, slice_of_str("redis://default:p@ss:%2F%zz@1.2.3.4:1"), &url),
        FAULT_CONFIG);
    ck_assert_int_eq(
        redis_url_parse(&ctx, slice_of_str("redis://default:p@ss:%2F%40@1.2.3.4:1/"), &url),
        OK);
    ck_assert(!url.tls);
    ck_assert_str_eq(url.user, "default");
    ck_assert_str_eq(url.password, "p@ss:/@");
    ck_assert_int_eq(redis_url_parse(&ctx, slice_of_str("redis://1.2.3.4:1"), &url), OK);
    ck_assert_ptr_null(url.password);
}
END_TEST

START_TEST(wrong_urls_name_the_rule_and_no_secret)
{
    static const struct {
        const char *url;
        const char *rule;
    } cases[] = {
        {"", "neither rediss:// nor redis://"},
        {"http://127.0.0.1:1", "neither rediss:// nor redis://"},
        {"rediss://", "node 1 is not a numeric IP address"},
        {"rediss://:hush@", "node 1 is not a numeric IP address"},
        {"rediss://hush@127.0.0.1:1", "no ':' before the password"},
        {"rediss://@127.0.0.1:1", "no ':' before the password"},
        {"rediss://:@127.0.0.1:1", "the password is empty"},
        {"rediss://:hush%4@127.0.0.1:1", "'%' in the password"},
        {"rediss://:hush%@127.0.0.1:1", "'%' in the password"},
        {"rediss://u%gg:hush@127.0.0.1:1", "'%' in the user"},
        {"rediss://:hush%00@127.0.0.1:1", "zero byte"},
        {"rediss://:hush@redis.example:6379", "node 1 is not a numeric IP address"},
        {"rediss://:hush@127.0.0.1:1,127.0.0.1", "node 2 is not"},
        {"rediss://:hush@127.0.0.1:1,", "node 2 is not"},
        {"rediss://:hush@127.0.0.1:0", "node 1 is not"},
        {"rediss://:hush@127.0.0.1:65536", "node 1 is not"},
        {"rediss://:hush@127.0.0.1:99999999999", "node 1 is not"},
        {"rediss://:hush@127.0.0.1:1x", "node 1 is not"},
        {"rediss://:hush@127.0.0.1:", "node 1 is not"},
        {"rediss://:hush@:1", "node 1 is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct redis_url url = {.node_count = 77};
        ck_assert_int_eq(redis_url_parse(&ctx, slice_of_str(cases[i].url), &url), FAULT_CONFIG);
        ck_assert_msg(strstr(ctx.fault.text, cases[i].rule) != NULL, "%s: %s", cases[i].url,
                      ctx.fault.text);
        ck_assert_ptr_null(strstr(ctx.fault.text, "hush"));
        ck_assert_uint_eq(url.node_count, 77);
    }
}
END_TEST

START_TEST(more_nodes_than_there_is_room_for_are_refused)
{
    char text[2048] = "redis://";
    for (int i = 0; i <= REDIS_URL_NODES; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s10.0.0.%d:1",
                 i == 0 ? "" : ",", i + 1);
    struct redis_url url;
    ck_assert_int_eq(redis_url_parse(&ctx, slice_of_str(text), &url), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "more than 32 nodes"));
    *strrchr(text, ',') = '\0';
    ck_assert_int_eq(redis_url_parse(&ctx, slice_of_str(text), &url), OK);
    ck_assert_uint_eq(url.node_count, REDIS_URL_NODES);
}
END_TEST

static const struct redis_address here = {.host = "127.0.0.9", .port = 7000};

static bool redirect(const char *text, struct slot_redirect *out)
{
    struct redis_reply reply = {.kind = REDIS_ERROR, .text = slice_of_str(text)};
    return slot_redirect_read(&reply, &here, out);
}

START_TEST(redirects_are_read)
{
    struct slot_redirect out;
    ck_assert(redirect("MOVED 3999 127.0.0.1:6381", &out));
    ck_assert(!out.ask);
    ck_assert_uint_eq(out.slot, 3999);
    ck_assert_str_eq(out.target.host, "127.0.0.1");
    ck_assert_uint_eq(out.target.port, 6381);
    ck_assert(redirect("ASK 16383 ::1:6381", &out));
    ck_assert(out.ask);
    ck_assert_str_eq(out.target.host, "::1");
    ck_assert(redirect("MOVED 0 :6382", &out)); /* the host that was asked */
    ck_assert_str_eq(out.target.host, "127.0.0.9");
    ck_assert_uint_eq(out.target.port, 6382);
}
END_TEST

START_TEST(nonsense_is_no_redirect)
{
    static const char *const texts[] = {
        "MOVED",
        "MOVED ",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 16384 127.0.0.1:1",
        "MOVED -1 127.0.0.1:1",
        "MOVED x 127.0.0.1:1",
        "MOVED 1 127.0.0.1",
        "MOVED 1 127.0.0.1:0",
        "MOVED 1 host.example:1",
        "MOVED 1 :",
        "MOVED 1 :x",
        "MOVED 1 :99999",
        "MOVEDX 1 127.0.0.1:1",
        "ERR MOVED 1 127.0.0.1:1",
        "ASKING 1 127.0.0.1:1",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct slot_redirect out;
        ck_assert_msg(!redirect(texts[i], &out), "%s", texts[i]);
    }
    struct redis_reply status = {.kind = REDIS_STATUS,
                                 .text = slice_of_str("MOVED 1 127.0.0.1:1")};
    struct slot_redirect out;
    ck_assert(!slot_redirect_read(&status, &here, &out));
}
END_TEST

/* Parses one element of an answer to CLUSTER SLOTS from its RESP text. */
static bool range(const char *resp, struct slot_range *out)
{
    struct redis_parser *parser = redis_parser_new();
    const struct redis_reply *reply = NULL;
    redis_parser_feed(parser, resp, strlen(resp));
    ck_assert_int_eq(redis_parser_next(parser, &reply), REDIS_PARSED_REPLY);
    bool sound = slot_range_read(reply, &here, out);
    redis_parser_free(parser);
    return sound;
}

START_TEST(slot_ranges_are_read)
{
    struct slot_range out;
    ck_assert(range("*4\r\n:5461\r\n:10922\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n"
                    "*2\r\n$9\r\n127.0.0.1\r\n:7004\r\n",
                    &out));
    ck_assert_uint_eq(out.first, 5461);
    ck_assert_uint_eq(out.last, 10922);
    ck_assert_str_eq(out.master.host, "127.0.0.1");
    ck_assert_uint_eq(out.master.port, 7001);
    ck_assert(range("*3\r\n:0\r\n:0\r\n*2\r\n$0\r\n\r\n:7001\r\n", &out));
    ck_assert_str_eq(out.master.host, "127.0.0.9");
    ck_assert(range("*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:7001\r\n", &out));
    ck_assert_str_eq(out.master.host, "127.0.0.9");
}
END_TEST

START_TEST(nonsense_is_no_slot_range)
{
    static const char *const texts[] = {
        ":1\r\n",
        "*0\r\n",
        "*2\r\n:0\r\n:1\r\n",
        "*3\r\n:0\r\n:1\r\n:2\r\n",
        "*3\r\n:0\r\n:1\r\n*0\r\n",
        "*3\r\n:0\r\n:16384\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n",
        "*3\r\n:-1\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n",
        "*3\r\n:2\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n",
        "*3\r\n$1\r\n0\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:65536\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:-1\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$4\r\nhost\r\n:7001\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n:5\r\n:7001\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct slot_range out;
        ck_assert_msg(!range(texts[i], &out), "case %zu", i);
    }
}
END_TEST

Suite *suite_cache_keys(void);
Suite *suite_cache_keys(void)
{
    Suite *suite = suite_create("cache/keys");
    TCase *tcase = tcase_create("keys");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, crc16_vectors);
    tcase_add_test(tcase, hash_tags_decide_the_slot);
    tcase_add_test(tcase, urls_are_read);
    tcase_add_test(tcase, wrong_urls_name_the_rule_and_no_secret);
    tcase_add_test(tcase, more_nodes_than_there_is_room_for_are_refused);
    tcase_add_test(tcase, redirects_are_read);
    tcase_add_test(tcase, nonsense_is_no_redirect);
    tcase_add_test(tcase, slot_ranges_are_read);
    tcase_add_test(tcase, nonsense_is_no_slot_range);
    suite_add_tcase(suite, tcase);
    return suite;
}
