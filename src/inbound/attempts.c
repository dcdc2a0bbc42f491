/* Failed attempts per event; see attempts.h. */
#include "inbound/attempts.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

#include "gen/errors.h"

#include <assert.h>
#include <stddef.h>

#define WAIT_FLOOR_NS NS_PER_S
#define WAIT_CAP_NS (10 * NS_PER_S)

static bool fault_is_own(enum fault_kind kind);
static struct attempts_entry *entry_find(struct attempts *attempts, uint64_t key);
static struct attempts_entry *entry_take(struct attempts *attempts, uint64_t key);

/* The catalogue of refusals says which of them pass. */
bool failure_is_own(int rc)
{
    if (rc < 0)
        return fault_is_own((enum fault_kind)rc);
    const struct error_entry *refusal = error_lookup(rc);
    return refusal == NULL || !refusal->retriable;
}

unsigned attempts_failed(struct attempts *attempts, uint64_t key)
{
    struct attempts_entry *entry = entry_take(attempts, key);
    entry->failed++;
    return entry->failed;
}

uint64_t attempts_wait_ns(unsigned failed)
{
    return backoff_ns(failed, WAIT_FLOOR_NS, WAIT_CAP_NS);
}

void attempts_letter(struct attempts *attempts, uint64_t key)
{
    entry_take(attempts, key)->lettered = true;
}

bool attempts_is_lettered(struct attempts *attempts, uint64_t key)
{
    const struct attempts_entry *entry = entry_find(attempts, key);
    return entry != NULL && entry->lettered;
}

void attempts_forget(struct attempts *attempts, uint64_t key)
{
    struct attempts_entry *entry = entry_find(attempts, key);
    if (entry != NULL)
        *entry = (struct attempts_entry){.key = 0};
}

/* A time-out is a slow server's, or a lock's: nobody can tell whether the event makes it slow. */
static bool fault_is_own(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_INTERNAL:
    case FAULT_PROTOCOL:
        return true;
    case FAULT_TIMEOUT:
    case FAULT_CANCELLED:
    case FAULT_DATABASE:
    case FAULT_CACHE:
    case FAULT_BROKER:
    case FAULT_IO:
    case FAULT_TLS:
    case FAULT_CONFIG:
        return false;
    }
    return false;
}

static struct attempts_entry *entry_find(struct attempts *attempts, uint64_t key)
{
    for (size_t i = 0; i < ATTEMPTS_EVENTS; i++) {
        if (attempts->entries[i].key == key)
            return &attempts->entries[i];
    }
    return NULL;
}

static struct attempts_entry *entry_take(struct attempts *attempts, uint64_t key)
{
    assert(key != 0);
    struct attempts_entry *entry = entry_find(attempts, key);
    if (entry == NULL) {
        entry = &attempts->entries[0];
        for (size_t i = 1; i < ATTEMPTS_EVENTS && entry->key != 0; i++) {
            struct attempts_entry *other = &attempts->entries[i];
            if (other->key == 0 || other->age < entry->age)
                entry = other;
        }
        *entry = (struct attempts_entry){.key = key};
    }
    entry->age = ++attempts->clock;
    return entry;
}
