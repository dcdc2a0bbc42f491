/* The value of the label `tenant_id_hash`: a label per tenant would make as many series as there are tenants.
 */
#ifndef BASE_TENANT_BUCKET_H
#define BASE_TENANT_BUCKET_H

#include "base/id.h"

#define TENANT_BUCKETS 64
#define TENANT_BUCKET_TEXT 3 /* two hex digits and the terminator */

/* FNV-1a over the id's 16 bytes and not the keyed hash: a tenant is in the same bucket in every room, process
 * and release, so that series can be joined. */
unsigned tenant_bucket(const struct uuid *tenant);
void tenant_bucket_format(unsigned bucket, char out[TENANT_BUCKET_TEXT]);

#endif
