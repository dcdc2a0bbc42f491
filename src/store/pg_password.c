/* Passwords that are renewed under running pools.  Never logs or returns one but to who connects. */
#include "store/pg_password.h"

#include "base/alloc.h"

#include <libpq-fe.h>

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pg_password {
    PQconninfoOption *options; /* of the first URL; const */
    pthread_mutex_t lock;      /* over `text` */
    char *text;                /* NULL: none */
};

static bool is_password(const PQconninfoOption *option);
static const char *password_of(const PQconninfoOption *options);
static bool is_same_login(const PQconninfoOption *one, const PQconninfoOption *other);

int pg_password_new(struct ctx *ctx, const char *url, struct pg_password **password)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    if (options == NULL)
        return FAULT(ctx, FAULT_CONFIG, "a database URL is malformed");
    struct pg_password *made = xcalloc(1, sizeof *made);
    int rc = pthread_mutex_init(&made->lock, NULL);
    assert(rc == 0);
    made->options = options;
    const char *text = password_of(options);
    made->text = text == NULL ? NULL : xstrdup(text);
    *password = made;
    return OK;
}

void pg_password_free(struct pg_password *password)
{
    if (password == NULL)
        return;
    PQconninfoFree(password->options);
    pthread_mutex_destroy(&password->lock);
    pg_password_drop(password->text);
    free(password);
}

bool pg_password_renew(struct pg_password *password, const char *url)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    if (options == NULL)
        return false;
    bool is_same = is_same_login(password->options, options);
    if (is_same) {
        const char *text = password_of(options);
        char *fresh = text == NULL ? NULL : xstrdup(text);
        pthread_mutex_lock(&password->lock);
        char *old = password->text;
        password->text = fresh;
        pthread_mutex_unlock(&password->lock);
        pg_password_drop(old);
    }
    PQconninfoFree(options);
    return is_same;
}

char *pg_password_copy(struct pg_password *password)
{
    pthread_mutex_lock(&password->lock);
    char *copy = password->text == NULL ? NULL : xstrdup(password->text);
    pthread_mutex_unlock(&password->lock);
    return copy;
}

void pg_password_drop(char *copy)
{
    if (copy == NULL)
        return;
    explicit_bzero(copy, strlen(copy));
    free(copy);
}

static bool is_password(const PQconninfoOption *option)
{
    return strcmp(option->keyword, "password") == 0;
}

static const char *password_of(const PQconninfoOption *options)
{
    while (options->keyword != NULL && !is_password(options))
        options++;
    return options->val; /* the end mark has none */
}

/* libpq lists all its options, set or not, in one order. */
static bool is_same_login(const PQconninfoOption *one, const PQconninfoOption *other)
{
    for (; one->keyword != NULL; one++, other++) {
        assert(other->keyword != NULL && strcmp(one->keyword, other->keyword) == 0);
        bool is_set = one->val != NULL;
        if (is_password(one))
            continue;
        if (is_set != (other->val != NULL) || (is_set && strcmp(one->val, other->val) != 0))
            return false;
    }
    return true;
}
