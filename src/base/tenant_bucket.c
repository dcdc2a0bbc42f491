/* Tenants to bounded label values; see tenant_bucket.h. */
#include "base/tenant_bucket.h"

#include "base/hash.h"

#include <assert.h>

unsigned tenant_bucket(const struct uuid *tenant)
{
    return hash_fnv1a32(slice_make(tenant->bytes, sizeof tenant->bytes)) % TENANT_BUCKETS;
}

void tenant_bucket_format(unsigned bucket, char out[TENANT_BUCKET_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    assert(bucket < TENANT_BUCKETS);
    out[0] = hex[bucket >> 4];
    out[1] = hex[bucket & 15];
    out[2] = '\0';
}
