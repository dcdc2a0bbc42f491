/* Every list of statements that src/store declares; test_prepared.c finds one that is missing here. */
#ifndef TESTS_STORE_REGISTERED_H
#define TESTS_STORE_REGISTERED_H

#include "store/audit_store.h"
#include "store/dead_store.h"
#include "store/epoch_store.h"
#include "store/idempotency_store.h"
#include "store/inbox_store.h"
#include "store/outbox_store.h"
#include "store/partition_store.h"
#include "store/refill_store.h"
#include "store/relay_store.h"
#include "store/restriction_store.h"
#include "store/rewind_store.h"
#include "store/slug_store.h"
#include "store/startup_checks.h"
#include "store/subscription_store.h"
#include "store/tenant_list_store.h"

#define LIST(name) {#name, &(name)}
static const struct registered {
    const char *name;
    const struct stmt_list *list;
} registered[] = {
    LIST(tenant_statements),      LIST(tenant_platform_statements),
    LIST(tenant_list_statements), LIST(audit_statements),
    LIST(outbox_statements),      LIST(platform_audit_statements),
    LIST(idempotency_statements), LIST(slug_statements),
    LIST(epoch_statements),       LIST(relay_statements),
    LIST(partition_statements),   LIST(startup_statements),
    LIST(inbox_statements),       LIST(parked_statements),
    LIST(subscription_statements),
    LIST(dead_statements),        LIST(refill_statements),
    LIST(rewind_statements),      LIST(restriction_statements),
    LIST(restriction_platform_statements),
};
#define REGISTERED (sizeof registered / sizeof registered[0])

#endif
