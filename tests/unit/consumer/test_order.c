/* What an event's place means, and the table of tenants against a plain list. */
#include "consumer/consumer_int.h"
#include "consumer/id_map.h"
#include "consumer/order.h"

#include "base/alloc.h"
#include "base/random.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(every_cell_of_the_table)
    {
        static const struct {
            struct tenant_position last, event;
            enum order order;
        } cells[] = {
            {{0, 0}, {1, 1}, ORDER_NEXT},  {{0, 0}, {7, 1}, ORDER_FIRST}, {{0, 0}, {1, 2}, ORDER_FIRST},
            {{0, 0}, {3, 9}, ORDER_FIRST}, {{1, 5}, {1, 6}, ORDER_NEXT}, {{1, 5}, {1, 5}, ORDER_OLD},
            {{1, 5}, {1, 1}, ORDER_OLD},   {{1, 5}, {1, 7}, ORDER_GAP},  {{1, 5}, {2, 1}, ORDER_FIRST},
            {{1, 5}, {2, 2}, ORDER_GAP},   {{1, 5}, {9, 1}, ORDER_FIRST}, {{2, 1}, {1, 2}, ORDER_OLD},
            {{2, 1}, {1, 900}, ORDER_OLD}, {{2, 1}, {2, 2}, ORDER_NEXT}, {{2, 9}, {2, 1}, ORDER_OLD},
        };
        for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
            ck_assert_msg(order_of(cells[i].last, cells[i].event) == cells[i].order, "cell %zu", i);
    }
END_TEST

/* Of an incarnation that went before only who sees the stream knows how it ended: here the list does. */
START_TEST(a_history_in_any_delivery_order_is_applied_in_order)
    {
        /* Two incarnations of ten events each, redelivered at random until all are applied. */
        for (int round = 0; round < 200; round++) {
            struct tenant_position last = {0, 0};
            size_t count = 0;
            for (int delivery = 0; delivery < 40000 && count < 20; delivery++) {
                struct tenant_position event = {1 + random_below(2), 1 + random_below(10)};
                enum order order = order_of(last, event);
                bool nothing_is_before = count == 10;
                if (order != ORDER_NEXT && !(order == ORDER_FIRST && nothing_is_before))
                    continue;
                ck_assert_uint_eq(event.incarnation, count < 10 ? 1 : 2);
                ck_assert_uint_eq(event.sequence, count % 10 + 1);
                last = event;
                count++;
            }
            ck_assert_uint_eq(count, 20);
        }
    }
END_TEST

struct number {
    struct uuid tenant;
    uint64_t value;
};

#define IDS 300

START_TEST(a_table_of_tenants_is_a_list_of_pairs)
    {
        struct id_map map;
        struct uuid ids[IDS];
        uint64_t values[IDS] = {0}; /* 0: not there */
        id_map_init(&map, sizeof(struct number));
        for (size_t i = 0; i < IDS; i++)
            ids[i] = uuid_new();
        for (uint64_t step = 1; step < 60000; step++) {
            size_t i = (size_t)random_below(IDS);
            if (random_below(2) == 0) {
                struct number *record = id_map_put(&map, &ids[i]);
                ck_assert_uint_eq(record->value, values[i]);
                record->value = values[i] = step;
            } else {
                id_map_remove(&map, &ids[i]);
                values[i] = 0;
            }
            size_t j = (size_t)random_below(IDS);
            const struct number *found = id_map_find(&map, &ids[j]);
            ck_assert_uint_eq(found == NULL ? 0 : found->value, values[j]);
        }
        size_t there = 0, walked = 0, cursor = 0;
        for (size_t i = 0; i < IDS; i++)
            there += values[i] != 0;
        while (id_map_next(&map, &cursor) != NULL)
            walked++;
        ck_assert_uint_eq(there, map.count);
        ck_assert_uint_eq(there, walked);
        ck_assert(id_map_any(&map) != NULL);
        id_map_deinit(&map);
        ck_assert(id_map_any(&map) == NULL);
        ck_assert(id_map_find(&map, &ids[0]) == NULL);
        id_map_remove(&map, &ids[0]);
    }
END_TEST

/* Before the server has said what is out of sight, anything may be. */
START_TEST(nothing_begins_before_the_consumer_was_looked_at)
    {
        struct tenant_consumer *consumer = xcalloc(1, sizeof *consumer);
        ck_assert(source_may_begin(&consumer->sources[3], 7));
        source_hold(consumer, 3);
        ck_assert(!source_may_begin(&consumer->sources[3], 7));
        ck_assert(!source_may_begin(&consumer->sources[3], UINT64_MAX - 1));
        free(consumer);
    }
END_TEST

Suite *suite_consumer_order(void);
Suite *suite_consumer_order(void)
{
    Suite *suite = suite_create("consumer_order");
    TCase *tcase = tcase_create("order");
    tcase_add_test(tcase, every_cell_of_the_table);
    tcase_add_test(tcase, a_history_in_any_delivery_order_is_applied_in_order);
    tcase_add_test(tcase, nothing_begins_before_the_consumer_was_looked_at);
    tcase_add_test(tcase, a_table_of_tenants_is_a_list_of_pairs);
    suite_add_tcase(suite, tcase);
    return suite;
}
