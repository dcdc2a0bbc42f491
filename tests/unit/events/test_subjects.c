/* Partitions, subjects and stream names against the committed vectors. */
#include "events/subjects.h"

#include "events/json_scan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct buf file_read(const char *path)
{
    struct buf text = BUF_EMPTY;
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be opened: run from the top folder", path);
    char chunk[4096];
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, file)) > 0;)
        buf_put(&text, chunk, size);
    fclose(file);
    return text;
}

static void member_text(struct slice object, const char *name, char *out, size_t size)
{
    struct slice value;
    ck_assert(json_scan_member(object, name, &value));
    ck_assert(json_scan_text(value, out, size));
}

START_TEST(committed_vectors)
    {
        struct buf text = file_read("contracts/partition-vectors.json");
        struct slice list;
        struct slice vector;
        unsigned seen = 0;
        size_t count = 0;
        ck_assert(json_scan_member(buf_slice(&text), "vectors", &list));
        for (; json_scan_element(list, count, &vector); count++) {
            char uuid_text[64], tenant_text[64], partition_text[8], stream_text[32];
            char shown[ID_TEXT_SIZE], name[STREAM_NAME_SIZE], number[8];
            struct uuid id, parsed;
            member_text(vector, "uuid", uuid_text, sizeof uuid_text);
            member_text(vector, "tenant_id", tenant_text, sizeof tenant_text);
            member_text(vector, "partition", partition_text, sizeof partition_text);
            member_text(vector, "stream", stream_text, sizeof stream_text);
            ck_assert(uuid_parse(slice_of_str(uuid_text), &id));
            ck_assert(id_parse(ID_TENANT, slice_of_str(tenant_text), &parsed));
            ck_assert(uuid_equal(&id, &parsed));
            id_format(ID_TENANT, &id, shown);
            ck_assert_str_eq(shown, tenant_text);
            unsigned partition = partition_of(&id);
            snprintf(number, sizeof number, "%02u", partition);
            ck_assert_str_eq(number, partition_text);
            stream_name(partition, name);
            ck_assert_str_eq(name, stream_text);
            seen |= 1u << partition;
        }
        ck_assert_uint_ge(count, 60);
        ck_assert_uint_eq(seen, 0xFFFF);
        buf_deinit(&text);
    }
END_TEST

START_TEST(subjects_are_built_and_checked)
    {
        char subject[SUBJECT_SIZE];
        event_subject("tenant.org.provisioned", 1, subject);
        ck_assert_str_eq(subject, "tenant.org.provisioned.v1");
        ck_assert(subject_with_partition("tenant.org.provisioned.v1", 7, subject));
        ck_assert_str_eq(subject, "tenant.org.provisioned.v1.07");
        ck_assert(subject_with_partition("tenant.data_residency.changed.v12", 15, subject));
        ck_assert_str_eq(subject, "tenant.data_residency.changed.v12.15");
    }
END_TEST

START_TEST(foreign_subjects_are_refused)
    {
        static const char *const wrong[] = {
            "",
            "tenant",
            "tenant.org.v1",
            "tenant.org.provisioned",
            "tenant.org.provisioned.v0",
            "tenant.org.provisioned.1",
            "tenant.org.provisioned.v1.07",
            "tenant.*.provisioned.v1",
            "tenant.org.>.v1",
            "tenant.org..v1",
            "tenant.Org.provisioned.v1",
            "billing.org.made.v1",
            "tenant.org.pro visioned.v1",
            "tenant.org.provisioned.v12345",
            "tenant.org.provisioned.v1x",
        };
        char subject[SUBJECT_SIZE] = "untouched";
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(!subject_with_partition(wrong[i], 0, subject), "taken: \"%s\"", wrong[i]);
        char lengthy[2 * SUBJECT_SIZE];
        snprintf(lengthy, sizeof lengthy, "tenant.org.%0150d.v1", 1);
        ck_assert(!subject_with_partition(lengthy, 0, subject));
        ck_assert_str_eq(subject, "untouched");
    }
END_TEST

START_TEST(stream_subjects_hold_their_partition)
    {
        char subject[STREAM_SUBJECT_SIZE];
        stream_subject(3, subject);
        ck_assert_str_eq(subject, "tenant.*.*.*.03");
        stream_subject(15, subject);
        ck_assert_str_eq(subject, "tenant.*.*.*.15");
    }
END_TEST

Suite *suite_events_subjects(void);
Suite *suite_events_subjects(void)
{
    Suite *suite = suite_create("events_subjects");
    TCase *tests = tcase_create("subjects");
    tcase_add_test(tests, committed_vectors);
    tcase_add_test(tests, subjects_are_built_and_checked);
    tcase_add_test(tests, foreign_subjects_are_refused);
    tcase_add_test(tests, stream_subjects_hold_their_partition);
    suite_add_tcase(suite, tests);
    return suite;
}
