/* Values out and cells in: the two halves of PostgreSQL's binary formats against each other, and against bytes
 * that no server should send. */
#include "store/row.h"
#include "store/stmt.h"
#include "store/value.h"

#include <check.h>
#include <libpq-fe.h>
#include <stdlib.h>

static struct arena *arena;
static struct buf bytes;

static void set_up(void)
{
    arena = arena_new(0);
    bytes = BUF_EMPTY;
}

static void tear_down(void)
{
    buf_deinit(&bytes);
    arena_free(arena);
}

static struct slice encoded(struct sql_value value)
{
    buf_clear(&bytes);
    sql_value_encode(&value, &bytes);
    return buf_slice(&bytes);
}

static bool slice_has(struct slice slice, const char *expected, size_t size)
{
    return slice.size == size && memcmp(slice.data, expected, size) == 0;
}

/* The bytes as array_send and int8send make them (PostgreSQL's source: arrayfuncs.c, int8.c). */
START_TEST(values_have_the_servers_bytes)
{
    ck_assert(slice_has(encoded(sql_int2(-2)), "\xff\xfe", 2));
    ck_assert(slice_has(encoded(sql_int4(0x01020304)), "\x01\x02\x03\x04", 4));
    ck_assert(slice_has(encoded(sql_int8(INT64_MIN)), "\x80\0\0\0\0\0\0\0", 8));
    ck_assert(slice_has(encoded(sql_bool(true)), "\x01", 1));
    ck_assert(slice_has(encoded(sql_bool(false)), "\0", 1));
    ck_assert(slice_has(encoded(sql_time_us(UINT64_C(946684800000001))), "\0\0\0\0\0\0\0\x01", 8));
    ck_assert(slice_has(encoded(sql_time_us(UINT64_C(946684799999999))),
                        "\xff\xff\xff\xff\xff\xff\xff\xff", 8));
    ck_assert(slice_has(encoded(sql_text("é")), "\xc3\xa9", 2));
    ck_assert(slice_has(encoded(sql_text("")), "", 0));
    const char *items[] = {"a", ""};
    const struct string_list two = {items, 2};
    const struct string_list none = {NULL, 0};
    ck_assert(slice_has(encoded(sql_list(&two)),
                        "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1a\0\0\0\0", 29));
    ck_assert(slice_has(encoded(sql_list(&none)), "\0\0\0\0\0\0\0\0\0\0\0\x19", 12));
    const int64_t numbers[] = {-1};
    ck_assert(slice_has(encoded(sql_int8_list(numbers, 1)),
                        "\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\1\0\0\0\1\0\0\0\x08"
                        "\xff\xff\xff\xff\xff\xff\xff\xff",
                        32));
    struct sql_value null = sql_text(NULL);
    ck_assert(null.is_null);
    ck_assert_uint_eq(encoded(null).size, 0);
}
END_TEST

START_TEST(integers_come_back)
{
    static const int64_t wide[] = {0, 1, -1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        int64_t back = 7;
        ck_assert(cell_int(&(struct cell){.bytes = encoded(sql_int8(wide[i])), .oid = 20}, &back));
        ck_assert_int_eq(back, wide[i]);
        int32_t narrow = (int32_t)wide[i];
        ck_assert(cell_int(&(struct cell){.bytes = encoded(sql_int4(narrow)), .oid = 23}, &back));
        ck_assert_int_eq(back, narrow);
        int16_t least = (int16_t)wide[i];
        ck_assert(cell_int(&(struct cell){.bytes = encoded(sql_int2(least)), .oid = 21}, &back));
        ck_assert_int_eq(back, least);
    }
}
END_TEST

START_TEST(integers_of_another_size_or_type_are_refused)
{
    static const uint32_t oids[] = {20, 21, 23};
    static const size_t sizes[] = {8, 2, 4};
    uint8_t data[16] = {0};
    for (size_t kind = 0; kind < 3; kind++) {
        for (size_t size = 0; size <= 16; size++) {
            int64_t back = 7;
            struct cell cell = {.bytes = slice_make(data, size), .oid = oids[kind]};
            bool fits = size == sizes[kind];
            ck_assert_int_eq(cell_int(&cell, &back), fits);
            ck_assert_int_eq(back, fits ? 0 : 7);
        }
    }
    int64_t back = 7;
    ck_assert(!cell_int(&(struct cell){.bytes = slice_make(data, 8), .oid = 1184}, &back));
    ck_assert_int_eq(back, 7);
}
END_TEST

/* A copy without a byte behind it: the sanitizer sees who reads too far. */
static bool list_of(struct slice text, size_t size, struct string_list *out)
{
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    if (size > 0)
        memcpy(exact, text.data, size);
    struct cell cell = {.bytes = slice_make(exact, size), .oid = 1009};
    bool fine = cell_text_list(&cell, arena, out);
    free(exact);
    return fine;
}

START_TEST(lists_come_back)
{
    const char *items[] = {"", "one", "zwei…", "{\"a,b\"}", "NULL"};
    for (size_t count = 0; count <= 5; count++) {
        const struct string_list list = {items, count};
        struct slice text = encoded(sql_list(&list));
        struct string_list back = {NULL, 99};
        ck_assert(list_of(text, text.size, &back));
        ck_assert_uint_eq(back.count, count);
        ck_assert(string_list_equal(&list, &back));
    }
}
END_TEST

START_TEST(lists_cut_anywhere_are_refused)
{
    const char *items[] = {"", "one", "zwei…"};
    const struct string_list list = {items, 3};
    struct slice text = encoded(sql_list(&list));
    struct string_list back = {NULL, 99};
    for (size_t size = 0; size < text.size; size++)
        ck_assert_msg(!list_of(text, size, &back), "accepted %zu of %zu bytes", size, text.size);
    buf_put_byte(&bytes, 0);
    text = buf_slice(&bytes);
    ck_assert(!list_of(text, text.size, &back));
    ck_assert_uint_eq(back.count, 99);
}
END_TEST

/* Each place of the head, with values that lie. */
START_TEST(lists_that_lie_are_refused)
{
    const char *items[] = {"one", "two"};
    const struct string_list list = {items, 2};
    static const struct {
        size_t at;
        const char *word;
    } lies[] = {
        {0, "\0\0\0\2"},         {0, "\0\0\0\0"},         {0, "\xff\xff\xff\xff"},
        {8, "\0\0\0\x14"},       {8, "\0\0\0\0"},         {12, "\0\0\0\1"},
        {12, "\0\0\0\3"},        {12, "\x7f\xff\xff\xff"}, {12, "\xff\xff\xff\xff"},
        {20, "\xff\xff\xff\xff"}, {20, "\x7f\xff\xff\xff"}, {20, "\0\0\0\xff"},
        {20, "\0\0\0\4"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        (void)encoded(sql_list(&list));
        memcpy(bytes.data + bytes.start + lies[i].at, lies[i].word, 4);
        struct string_list back = {NULL, 99};
        ck_assert_msg(!list_of(buf_slice(&bytes), buf_size(&bytes), &back), "lie %zu", i);
        ck_assert_uint_eq(back.count, 99);
    }
    struct string_list back = {NULL, 99};
    struct cell cell = {.bytes = encoded(sql_list(&list)), .oid = 1016};
    ck_assert(!cell_text_list(&cell, arena, &back));
}
END_TEST

/* --- whole rows ----------------------------------------------------------------------------------- */

static const struct stmt wide = {
    .name = "test.wide",
    .text = "",
    .columns = {"id", "name", "number", "flag", "at", "payload", "list", "pairs", NULL},
};

struct given {
    uint32_t oid;
    struct sql_value value;
};

static PGresult *result_of(const struct given *cells)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[8] = {{0}};
    for (int i = 0; i < 8; i++) {
        columns[i] = (PGresAttDesc){
            .name = (char *)(uintptr_t)wide.columns[i], .format = 1, .typid = cells[i].oid, .typlen = -1};
    }
    ck_assert_int_eq(PQsetResultAttrs(result, 8, columns), 1);
    for (int i = 0; i < 8; i++) {
        struct slice cell = encoded(cells[i].value);
        char *copy = arena_strndup(arena, cell.data, cell.size);
        int size = cells[i].value.is_null ? -1 : (int)cell.size;
        ck_assert_int_eq(PQsetvalue(result, 0, i, size < 0 ? NULL : copy, size), 1);
    }
    return result;
}

static const char *pair_texts[] = {"a", "1", "b", "2"};
static const struct string_list pair_list = {pair_texts, 4};
static struct uuid some_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void fill(struct given cells[8])
{
    cells[0] = (struct given){2950, sql_uuid(&some_id)};
    cells[1] = (struct given){25, sql_text("Köln")};
    cells[2] = (struct given){20, sql_int8(-5)};
    cells[3] = (struct given){16, sql_bool(true)};
    cells[4] = (struct given){1184, sql_time_us(1700000000000001)};
    cells[5] = (struct given){17, sql_bytes(slice_make("\0x", 2))};
    cells[6] = (struct given){1009, sql_list(&pair_list)};
    cells[7] = (struct given){1009, sql_list(&pair_list)};
}

static const char *first_bad(const struct given cells[8])
{
    PGresult *result = result_of(cells);
    struct rows rows = {(const struct pg_result *)(const void *)result, &wide, 1};
    struct row row = row_at(&rows, 0, arena);
    (void)row_uuid(&row, "id");
    (void)row_text(&row, "name");
    (void)row_int(&row, "number");
    (void)row_bool(&row, "flag");
    (void)row_time_us(&row, "at");
    (void)row_bytes(&row, "payload");
    (void)row_list(&row, "list");
    (void)row_pairs(&row, "pairs");
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ck_assert_int_eq(row_end(&ctx, &row), row.bad == NULL ? OK : FAULT_INTERNAL);
    PQclear(result);
    return row.bad;
}

START_TEST(rows_are_read_in_any_order)
{
    struct given cells[8];
    fill(cells);
    ck_assert_ptr_null(first_bad(cells));
    PGresult *result = result_of(cells);
    struct rows rows = {(const struct pg_result *)(const void *)result, &wide, 1};
    struct row row = row_at(&rows, 0, arena);
    struct string_map map = row_pairs(&row, "pairs");
    ck_assert_uint_eq(map.count, 2);
    ck_assert_str_eq(map.pairs[1].key, "b");
    ck_assert_str_eq(map.pairs[1].value, "2");
    ck_assert_uint_eq(row_list(&row, "list").count, 4);
    struct slice payload = row_bytes(&row, "payload");
    ck_assert(slice_has(payload, "\0x", 2));
    ck_assert_uint_eq(row_time_us(&row, "at"), 1700000000000001);
    ck_assert(row_bool(&row, "flag"));
    ck_assert_int_eq(row_int(&row, "number"), -5);
    ck_assert_str_eq(row_text(&row, "name"), "Köln");
    struct uuid id = row_uuid(&row, "id");
    ck_assert(uuid_equal(&id, &some_id));
    ck_assert_ptr_null(row.bad);
    ck_assert_int_eq(row_int(&row, "nothing"), 0);
    ck_assert_str_eq(row.bad, "nothing");
    PQclear(result);
}
END_TEST

START_TEST(wrong_cells_are_told_by_name)
{
    for (int i = 0; i < 8; i++) {
        struct given cells[8];
        fill(cells);
        cells[i].value.is_null = true;
        ck_assert_pstr_eq(first_bad(cells), wide.columns[i]);
        fill(cells);
        cells[i].oid = 600; /* point */
        ck_assert_pstr_eq(first_bad(cells), wide.columns[i]);
    }
    struct given cells[8];
    fill(cells);
    cells[0].value = sql_bytes(slice_make("short", 5));
    ck_assert_pstr_eq(first_bad(cells), "id");
    fill(cells);
    cells[1].value = sql_bytes(slice_make("a\0b", 3));
    ck_assert_pstr_eq(first_bad(cells), "name");
    fill(cells);
    cells[3].value = sql_int2(1);
    ck_assert_pstr_eq(first_bad(cells), "flag");
    fill(cells);
    cells[4].value = sql_int8(INT64_MAX); /* infinity */
    ck_assert_pstr_eq(first_bad(cells), "at");
    fill(cells);
    cells[4].value = sql_int8(INT64_MIN); /* -infinity */
    ck_assert_pstr_eq(first_bad(cells), "at");
    fill(cells);
    const struct string_list odd = {pair_texts, 3};
    cells[7].value = sql_list(&odd);
    ck_assert_pstr_eq(first_bad(cells), "pairs");
}
END_TEST

Suite *suite_store_value(void);
Suite *suite_store_value(void)
{
    Suite *suite = suite_create("store_value");
    TCase *tests = tcase_create("value");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, values_have_the_servers_bytes);
    tcase_add_test(tests, integers_come_back);
    tcase_add_test(tests, integers_of_another_size_or_type_are_refused);
    tcase_add_test(tests, lists_come_back);
    tcase_add_test(tests, lists_cut_anywhere_are_refused);
    tcase_add_test(tests, lists_that_lie_are_refused);
    tcase_add_test(tests, rows_are_read_in_any_order);
    tcase_add_test(tests, wrong_cells_are_told_by_name);
    suite_add_tcase(suite, tests);
    return suite;
}
