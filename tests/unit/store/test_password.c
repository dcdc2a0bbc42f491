/* Passwords that are renewed while threads take them. */
#include "store/pg_password.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define BASE "postgresql://user:first@host:5432/data?sslmode=require"

static struct pg_password *password;

static void set_up(void)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    ck_assert_int_eq(pg_password_new(&ctx, BASE, &password), OK);
}

static void tear_down(void)
{
    pg_password_free(password);
}

static void expect_password(const char *expected)
{
    char *copy = pg_password_copy(password);
    if (expected == NULL)
        ck_assert_ptr_null(copy);
    else
        ck_assert_str_eq(copy, expected);
    pg_password_drop(copy);
}

START_TEST(only_the_password_may_differ)
    {
        expect_password("first");
        ck_assert(pg_password_renew(
            password, "postgresql://user:a%40b@host:5432/data?sslmode=require"));
        expect_password("a@b");
        static const char *const others[] = {
            "postgresql://other:x@host:5432/data?sslmode=require",
            "postgresql://user:x@other:5432/data?sslmode=require",
            "postgresql://user:x@host:5433/data?sslmode=require",
            "postgresql://user:x@host:5432/other?sslmode=require",
            "postgresql://user:x@host:5432/data?sslmode=disable",
            "postgresql://user:x@host:5432/data",
            "postgresql://user:x@host:5432/data?sslmode=require&options=x",
            "postgresql://user:x@host:5432/data?nonsense=1",
            "",
        };
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            ck_assert_msg(!pg_password_renew(password, others[i]), "%s", others[i]);
            expect_password("a@b");
        }
    }
END_TEST

START_TEST(a_password_may_come_and_go)
    {
        ck_assert(pg_password_renew(password, "postgresql://user@host:5432/data?sslmode=require"));
        expect_password(NULL);
        ck_assert(pg_password_renew(
            password, "postgresql://user@host:5432/data?password=query&sslmode=require"));
        expect_password("query");
        ck_assert(pg_password_renew(password, BASE));
        expect_password("first");
    }
END_TEST

START_TEST(what_is_no_url_is_refused_without_being_repeated)
    {
        struct ctx ctx;
        struct pg_password *none = NULL;
        ctx_init(&ctx, NULL, NULL);
        ck_assert_int_eq(pg_password_new(&ctx, "postgresql://u:hunter2@h:1/d?x=%zz", &none),
                         FAULT_CONFIG);
        ck_assert_ptr_null(none);
        ck_assert_ptr_null(strstr(ctx.fault.text, "hunter2"));
        pg_password_free(NULL);
        pg_password_drop(NULL);
    }
END_TEST

static atomic_bool is_over;

static void *take_always(void *argument)
{
    (void)argument;
    while (!atomic_load(&is_over)) {
        char *copy = pg_password_copy(password);
        bool is_whole = strcmp(copy, "first") == 0 || strcmp(copy, "second") == 0;
        pg_password_drop(copy);
        if (!is_whole)
            return "a password that was never set";
    }
    return NULL;
}

START_TEST(threads_take_one_or_the_other)
    {
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, take_always, NULL), 0);
        for (int i = 0; i < 1000; i++)
            ck_assert(pg_password_renew(
                password, i % 2 == 0 ? "postgresql://user:second@host:5432/data?sslmode=require"
                                     : BASE));
        atomic_store(&is_over, true);
        for (int i = 0; i < 2; i++) {
            void *trouble = NULL;
            pthread_join(threads[i], &trouble);
            ck_assert_msg(trouble == NULL, "%s", (const char *)trouble);
        }
    }
END_TEST

Suite *suite_store_password(void);
Suite *suite_store_password(void)
{
    Suite *suite = suite_create("store/password");
    TCase *tcase = tcase_create("password");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, only_the_password_may_differ);
    tcase_add_test(tcase, a_password_may_come_and_go);
    tcase_add_test(tcase, what_is_no_url_is_refused_without_being_repeated);
    tcase_add_test(tcase, threads_take_one_or_the_other);
    suite_add_tcase(suite, tcase);
    return suite;
}
