/* Tenants to bounded label values; see tenant_bucket.h. */
#include "base/tenant_bucket.h"

#include "base/hash.h"

#include <assert.h>
#include <stdio.h>

unsigned tenant_bucket(const struct uuid *tenant)
{
    return hash_fnv1a32(slice_make(tenant->bytes, sizeof tenant->bytes)) % TENANT_BUCKETS;
}

void tenant_bucket_format(unsigned bucket, char out[TENANT_BUCKET_TEXT])
{
    assert(bucket < TENANT_BUCKETS);
    snprintf(out, TENANT_BUCKET_TEXT, "%02x", bucket & 0xFFu);
}
