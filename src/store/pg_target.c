/* Parses connection URLs and keeps their addresses.  Called by the pools, by migrations and by the role
 * check.  Never logs or returns a password. */
#include "store/pg_target.h"

#include "base/alloc.h"

#include "store/pg_password.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TEXT_SIZE 256
#define KEYWORDS_MAX 64

/* Shared with a look-up's thread, which may outlive the target: the last one out frees it. */
struct lookup {
    atomic_int users;
    atomic_bool running;
    pthread_mutex_t lock;          /* protects address */
    char address[PG_ADDRESS_SIZE]; /* numeric */
    char host[TEXT_SIZE];          /* the name, const after creation */
};

struct pg_target {
    PQconninfoOption *options; /* libpq's, freed with PQconninfoFree */
    struct pg_password *password; /* NULL: the URL's own */
    struct lookup *lookup;     /* NULL: the URL itself gives an address */
    char text[TEXT_SIZE];
    char user[64];
};

/* What we need to hold on any connection.  A peer that vanished is noticed within half a minute even when
 * nobody waits for it. The gssenc try would open a second socket. */
static const struct {
    const char *keyword;
    const char *value;
    bool overrides; /* false: only where the URL says nothing */
} settings[] = {
    {"gssencmode", "disable", true},
    {"client_encoding", "UTF8", true},
    {"application_name", "tenant-service", false},
    {"sslmode", "verify-full", false},
    {"keepalives_idle", "10", false},
    {"keepalives_interval", "5", false},
    {"keepalives_count", "3", false},
    {"tcp_user_timeout", "20000", false},
};

static const char *option_value(const struct pg_target *target, const char *keyword);
static int target_check(struct ctx *ctx, struct pg_target *target);
static bool host_is_address(const char *host);
static bool address_find(const char *host, char out[PG_ADDRESS_SIZE]);
static void *lookup_main(void *argument);
static void lookup_unref(struct lookup *lookup);
static const char *setting_for(const char *keyword, const char *given);

int pg_target_new(struct ctx *ctx, const char *url, struct pg_target **target)
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &error);
    if (options == NULL) {
        /* libpq's text quotes the URL, and the URL holds the password. */
        PQfreemem(error);
        return FAULT(ctx, FAULT_CONFIG, "a database URL is malformed (postgresql://USER:PASSWORD@"
                                        "HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE)");
    }
    struct pg_target *made = xcalloc(1, sizeof *made);
    made->options = options;
    int result = target_check(ctx, made);
    if (result != OK) {
        pg_target_free(made);
        return result;
    }
    *target = made;
    return OK;
}

void pg_target_free(struct pg_target *target)
{
    if (target == NULL)
        return;
    PQconninfoFree(target->options);
    if (target->lookup != NULL)
        lookup_unref(target->lookup);
    free(target);
}

void pg_target_set_password(struct pg_target *target, struct pg_password *password)
{
    target->password = password;
}

/* Never blocks: the address is known (hostaddr), so libpq looks nothing up.  The name is still
 * what the certificate must carry. */
PGconn *pg_target_connect(struct pg_target *target)
{
    const char *keywords[KEYWORDS_MAX];
    const char *values[KEYWORDS_MAX];
    char address[PG_ADDRESS_SIZE] = "";
    if (target->lookup != NULL) {
        pthread_mutex_lock(&target->lookup->lock);
        memcpy(address, target->lookup->address, sizeof address);
        pthread_mutex_unlock(&target->lookup->lock);
    }
    char *password = target->password == NULL ? NULL : pg_password_copy(target->password);
    size_t count = 0;
    for (PQconninfoOption *option = target->options; option->keyword != NULL; option++) {
        const char *value = setting_for(option->keyword, option->val);
        if (target->password != NULL && strcmp(option->keyword, "password") == 0)
            value = password;
        if (address[0] != '\0' && strcmp(option->keyword, "hostaddr") == 0)
            value = address;
        if (value == NULL)
            continue;
        assert(count + 1 < KEYWORDS_MAX);
        keywords[count] = option->keyword;
        values[count] = value;
        count++;
    }
    keywords[count] = NULL;
    values[count] = NULL;
    PGconn *conn = PQconnectStartParams(keywords, values, 0); /* copies what it keeps */
    pg_password_drop(password);
    return conn;
}

/* One look-up at a time, on a thread of its own: getaddrinfo(3) may take seconds, and a loop
 * has none. */
void pg_target_refresh(struct pg_target *target)
{
    struct lookup *lookup = target->lookup;
    if (lookup == NULL || atomic_exchange(&lookup->running, true))
        return;
    atomic_fetch_add(&lookup->users, 1);
    pthread_t thread;
    if (pthread_create(&thread, NULL, lookup_main, lookup) == 0) {
        pthread_detach(thread);
        return;
    }
    atomic_store(&lookup->running, false);
    lookup_unref(lookup);
}

const char *pg_target_text(const struct pg_target *target)
{
    return target->text;
}

const char *pg_target_user(const struct pg_target *target)
{
    return target->user;
}

/* One host only: with several, libpq would try them one after the other inside one of our time
 * limits. */
static int target_check(struct ctx *ctx, struct pg_target *target)
{
    const char *host = option_value(target, "host");
    const char *user = option_value(target, "user");
    const char *port = option_value(target, "port");
    const char *database = option_value(target, "dbname");
    const char *address = option_value(target, "hostaddr");
    if (host[0] == '\0' && address[0] == '\0')
        return FAULT(ctx, FAULT_CONFIG, "a database URL names no host");
    if (user[0] == '\0')
        return FAULT(ctx, FAULT_CONFIG, "the database URL for %s names no user", host);
    if (strchr(host, ',') != NULL || strchr(address, ',') != NULL)
        return FAULT(ctx, FAULT_CONFIG, "the database URL for %s names several hosts: one only",
                     host);
    snprintf(target->text, sizeof target->text, "%s:%s/%s as %s", host[0] != '\0' ? host : address,
             port[0] != '\0' ? port : "5432", database, user);
    snprintf(target->user, sizeof target->user, "%s", user);
    if (address[0] != '\0' || host_is_address(host))
        return OK;

    struct lookup *lookup = xcalloc(1, sizeof *lookup);
    atomic_init(&lookup->users, 1);
    pthread_mutex_init(&lookup->lock, NULL);
    target->lookup = lookup;
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    if (!address_find(lookup->host, lookup->address))
        return FAULT(ctx, FAULT_CONFIG, "the database host %s has no address", host);
    return OK;
}

static const char *option_value(const struct pg_target *target, const char *keyword)
{
    for (PQconninfoOption *option = target->options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0)
            return option->val == NULL ? "" : option->val;
    }
    return "";
}

/* A path names a Unix socket, which needs no look-up either. */
static bool host_is_address(const char *host)
{
    struct in6_addr binary;
    return host[0] == '/' || inet_pton(AF_INET, host, &binary) == 1 ||
           inet_pton(AF_INET6, host, &binary) == 1;
}

static bool address_find(const char *host, char out[PG_ADDRESS_SIZE])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0 || found == NULL)
        return false;
    bool ok = getnameinfo(found->ai_addr, found->ai_addrlen, out, PG_ADDRESS_SIZE, NULL, 0,
                          NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    return ok;
}

/* A look-up that fails keeps the old address. */
static void *lookup_main(void *argument)
{
    struct lookup *lookup = argument;
    char address[PG_ADDRESS_SIZE] = "";
    if (address_find(lookup->host, address)) {
        pthread_mutex_lock(&lookup->lock);
        memcpy(lookup->address, address, sizeof address);
        pthread_mutex_unlock(&lookup->lock);
    }
    atomic_store(&lookup->running, false);
    lookup_unref(lookup);
    return NULL;
}

static void lookup_unref(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->users, 1) > 1)
        return;
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static const char *setting_for(const char *keyword, const char *given)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (strcmp(settings[i].keyword, keyword) == 0)
            return settings[i].overrides || given == NULL ? settings[i].value : given;
    }
    return given;
}
