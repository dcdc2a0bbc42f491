/* A small table under one lock: it is looked at once per connection, and accepts_per_second bounds those.
 * Where it is full the one whose last offence is oldest makes room, so thousands of attackers are paced by
 * accepts_per_second alone, as everybody is. */
#include "rpc/offenders.h"

#include "base/alloc.h"

#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OFFENDERS_MAX 512
#define IPV6_NETWORK 8 /* bytes */

struct offender {
    struct peer_address address;
    uint64_t offence_ns; /* the last one */
    uint64_t next_ns;    /* when a handshake at the even rate would be due */
};

struct offenders {
    pthread_mutex_t lock;
    struct offender table[OFFENDERS_MAX];
    size_t used;
};

static struct offender *find(struct offenders *offenders, const struct peer_address *address);
static struct offender *oldest(struct offenders *offenders);

struct offenders *offenders_new(void)
{
    struct offenders *offenders = xcalloc(1, sizeof *offenders);
    int rc = pthread_mutex_init(&offenders->lock, NULL);
    assert(rc == 0);
    return offenders;
}

void offenders_free(struct offenders *offenders)
{
    if (offenders == NULL)
        return;
    pthread_mutex_destroy(&offenders->lock);
    free(offenders);
}

struct peer_address peer_address_of(const struct sockaddr_storage *from)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291 section 2.5.5.2 */
    struct peer_address address = {.bytes = {0}};
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
        bool is_v4 = memcmp(&v6->sin6_addr, mapped, sizeof mapped) == 0;
        memcpy(address.bytes, &v6->sin6_addr, is_v4 ? sizeof address.bytes : IPV6_NETWORK);
    } else if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
        memcpy(address.bytes, mapped, sizeof mapped);
        memcpy(address.bytes + sizeof mapped, &v4->sin_addr, sizeof v4->sin_addr);
    }
    return address;
}

void offenders_note(struct offenders *offenders, const struct peer_address *address,
                    uint64_t now_ns)
{
    pthread_mutex_lock(&offenders->lock);
    struct offender *offender = find(offenders, address);
    if (offender == NULL) {
        offender = offenders->used < OFFENDERS_MAX ? &offenders->table[offenders->used++]
                                                   : oldest(offenders);
        *offender = (struct offender){.address = *address};
    }
    if (now_ns > offender->offence_ns)
        offender->offence_ns = now_ns;
    pthread_mutex_unlock(&offenders->lock);
}

/* The generic cell rate algorithm (ITU-T I.371): next_ns runs ahead of the clock by what was used up of the
 * burst, and a handshake waits for what is beyond it. */
uint64_t offenders_turn(struct offenders *offenders, const struct peer_address *address,
                        const struct offender_pace *pace, uint64_t now_ns)
{
    assert(pace->rate > 0 && pace->burst > 0);
    uint64_t turn = now_ns;
    pthread_mutex_lock(&offenders->lock);
    struct offender *offender = find(offenders, address);
    if (offender != NULL && deadline_after(offender->offence_ns, pace->memory_ns) > now_ns) {
        uint64_t each = NS_PER_S / pace->rate;
        uint64_t tolerance = each * (pace->burst - 1);
        uint64_t next = offender->next_ns > now_ns ? offender->next_ns : now_ns;
        if (next > now_ns + tolerance)
            turn = next - tolerance;
        if (turn - now_ns > pace->patience_ns)
            turn = NO_DEADLINE;
        else
            offender->next_ns = next + each;
    }
    pthread_mutex_unlock(&offenders->lock);
    return turn;
}

static struct offender *find(struct offenders *offenders, const struct peer_address *address)
{
    for (size_t i = 0; i < offenders->used; i++) {
        if (memcmp(&offenders->table[i].address, address, sizeof *address) == 0)
            return &offenders->table[i];
    }
    return NULL;
}

static struct offender *oldest(struct offenders *offenders)
{
    struct offender *found = &offenders->table[0];
    for (size_t i = 1; i < offenders->used; i++) {
        if (offenders->table[i].offence_ns < found->offence_ns)
            found = &offenders->table[i];
    }
    return found;
}
