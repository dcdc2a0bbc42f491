/* The group's record: its text, and shares that come out fair whoever joins and leaves. */
#include "consumer/group_table.h"

#include "base/random.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse(const char *text, struct group_table *table)
{
    return group_table_parse(slice_of_str(text), table);
}

static struct group_table *table_new(void)
{
    struct group_table *table = calloc(1, sizeof *table);
    ck_assert_ptr_nonnull(table);
    return table;
}

/* Member by member: what is between them is nobody's. */
static void same(const struct group_table *a, const struct group_table *b)
{
    ck_assert_uint_eq(a->member_count, b->member_count);
    for (size_t i = 0; i < a->member_count; i++) {
        ck_assert_str_eq(a->members[i].name, b->members[i].name);
        ck_assert_uint_eq(a->members[i].beat, b->members[i].beat);
        ck_assert_uint_eq(a->members[i].ttl_ms, b->members[i].ttl_ms);
    }
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        ck_assert_str_eq(a->owners[i], b->owners[i]);
    ck_assert_uint_eq(a->attempt_count, b->attempt_count);
    for (size_t i = 0; i < a->attempt_count; i++) {
        ck_assert_uint_eq(a->attempts[i].partition, b->attempts[i].partition);
        ck_assert_uint_eq(a->attempts[i].stream_seq, b->attempts[i].stream_seq);
        ck_assert_uint_eq(a->attempts[i].attempts, b->attempts[i].attempts);
    }
}

START_TEST(what_is_written_is_read)
    {
        struct group_table *table = table_new(), *read = table_new();
        struct buf text = BUF_EMPTY;
        ck_assert(group_table_join(table, "pod-0", 1500));
        ck_assert(group_table_join(table, "pod_1", 10000));
        table->members[0].beat = UINT64_MAX;
        snprintf(table->owners[0], GROUP_NAME_SIZE, "pod-0");
        snprintf(table->owners[15], GROUP_NAME_SIZE, "pod_1");
        group_table_note(table, &(struct group_attempt){7, 123456, 9});
        group_table_note(table, &(struct group_attempt){PARTITION_COUNT, 123456, 4});
        group_table_format(table, &text);
        ck_assert_msg(group_table_parse(buf_slice(&text), read), "%s", buf_str(&text));
        same(read, table);
        ck_assert_uint_eq(group_table_attempts(read, 7, 123456), 9);
        ck_assert_uint_eq(group_table_attempts(read, PARTITION_COUNT, 123456), 4); /* of a letter */
        ck_assert_uint_eq(group_table_attempts(read, 8, 123456), 0);
        buf_deinit(&text);
        free(table);
        free(read);
    }
END_TEST

START_TEST(a_full_one_fits)
    {
        struct group_table *table = table_new(), *read = table_new();
        struct buf text = BUF_EMPTY;
        char name[GROUP_NAME_SIZE];
        for (unsigned i = 0; i < GROUP_MEMBERS_MAX; i++) {
            snprintf(name, sizeof name, "%064u", i);
            ck_assert(group_table_join(table, name, UINT64_MAX));
            table->members[i].beat = UINT64_MAX;
        }
        ck_assert(!group_table_join(table, "one-too-many", 1));
        for (unsigned i = 0; i < PARTITION_COUNT; i++)
            snprintf(table->owners[i], GROUP_NAME_SIZE, "%s", name);
        for (unsigned i = 0; i < 2 * GROUP_ATTEMPTS_MAX; i++)
            group_table_note(table, &(struct group_attempt){i % 16, UINT64_MAX - i, 1 + i});
        ck_assert_uint_eq(table->attempt_count, GROUP_ATTEMPTS_MAX);
        ck_assert_uint_eq(group_table_attempts(table, 15, UINT64_MAX - 127), 128); /* the few gave way */
        group_table_format(table, &text);
        ck_assert(group_table_parse(buf_slice(&text), read));
        same(read, table);
        buf_deinit(&text);
        free(table);
        free(read);
    }
END_TEST

START_TEST(what_is_none_is_refused_and_empty)
    {
        static const char *const wrong[] = {
            "",
            "tenant-group 2\n",
            "member a 1 1\n",
            "tenant-group 1\nmember a 1\n",
            "tenant-group 1\nmember a x 1\n",
            "tenant-group 1\nmember a/b 1 1\n",
            "tenant-group 1\nmember a 1 1\nmember a 2 1\n",
            "tenant-group 1\nmember a 1 1\nlease 16 a\n",
            "tenant-group 1\nmember a 1 1\nlease 3 a\nlease 3 a\n",
            "tenant-group 1\nmember a 1 1\nlease -1 a\n",
            "tenant-group 1\nattempt 3 5 0\n",
            "tenant-group 1\nattempt 16 5 1\n",
            "tenant-group 1\nletter 5\n",
            "tenant-group 1\nletter 5 0\n",
            "tenant-group 1\nattempt 3 5 99999999999\n",
        };
        struct group_table *table = table_new(), *empty = table_new();
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            ck_assert_msg(!parse(wrong[i], table), "%s", wrong[i]);
            ck_assert_mem_eq(table, empty, sizeof *table);
        }
        free(table);
        free(empty);
    }
END_TEST

START_TEST(what_a_newer_release_adds_is_passed_over)
    {
        struct group_table *table = table_new();
        ck_assert(parse("tenant-group 1\nmember a 1 1 more\n\ncolour blue\nlease 3 a 99\nlease 4 gone\n", table));
        ck_assert_uint_eq(table->member_count, 1);
        ck_assert_str_eq(table->owners[3], "a");
        ck_assert_str_eq(table->owners[4], ""); /* of nobody who is a member */
        free(table);
    }
END_TEST

START_TEST(attempts_are_forgotten)
    {
        struct group_table *table = table_new();
        group_table_note(table, &(struct group_attempt){1, 10, 1});
        group_table_note(table, &(struct group_attempt){2, 10, 2});
        group_table_note(table, &(struct group_attempt){1, 10, 3});
        ck_assert_uint_eq(table->attempt_count, 2);
        ck_assert_uint_eq(group_table_attempts(table, 1, 10), 3);
        group_table_note(table, &(struct group_attempt){1, 10, 0});
        group_table_note(table, &(struct group_attempt){9, 10, 0});
        ck_assert_uint_eq(table->attempt_count, 1);
        ck_assert_uint_eq(group_table_attempts(table, 2, 10), 2);
        free(table);
    }
END_TEST

/* Members with numbers join, leave and act in any order on one table, as compare-and-set lets them. */
START_TEST(shares_come_out_fair)
    {
        struct group_table *table = table_new();
        char name[GROUP_NAME_SIZE];
        for (int round = 0; round < 300; round++) {
            snprintf(name, sizeof name, "m-%u", (unsigned)random_below(20));
            if (group_table_member(table, name) != NULL)
                group_table_remove(table, name);
            else
                ck_assert(group_table_join(table, name, 1000));
            unsigned calm = 0; /* members in a row who wanted nothing */
            for (unsigned turn = 0; calm < table->member_count; turn++) {
                const char *self = table->members[turn % table->member_count].name;
                struct lease_plan plan = group_table_plan(table, self, (unsigned)random_below(16));
                calm = plan.take == 0 && plan.release == 0 ? calm + 1 : 0;
                ck_assert_uint_lt(turn, 4000);
                for (unsigned i = 0; i < PARTITION_COUNT; i++) {
                    if (plan.take >> i & 1)
                        snprintf(table->owners[i], GROUP_NAME_SIZE, "%s", self);
                    if (plan.release >> i & 1)
                        table->owners[i][0] = '\0';
                }
            }
            for (size_t i = 0; i < table->member_count; i++) {
                size_t count = 0;
                for (unsigned p = 0; p < PARTITION_COUNT; p++)
                    count += strcmp(table->owners[p], table->members[i].name) == 0;
                ck_assert_uint_ge(count, PARTITION_COUNT / table->member_count);
                ck_assert_uint_le(count, (PARTITION_COUNT + table->member_count - 1) / table->member_count);
            }
        }
        free(table);
    }
END_TEST

Suite *suite_consumer_group(void);
Suite *suite_consumer_group(void)
{
    Suite *suite = suite_create("consumer_group");
    TCase *tcase = tcase_create("table");
    tcase_add_test(tcase, what_is_written_is_read);
    tcase_add_test(tcase, a_full_one_fits);
    tcase_add_test(tcase, what_is_none_is_refused_and_empty);
    tcase_add_test(tcase, what_a_newer_release_adds_is_passed_over);
    tcase_add_test(tcase, attempts_are_forgotten);
    tcase_add_test(tcase, shares_come_out_fair);
    suite_add_tcase(suite, tcase);
    return suite;
}
