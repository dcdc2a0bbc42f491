// The partition of a tenant's events, as tenant-service computes it.  To be copied: it needs nothing.
//
// contracts/partition-vectors.json has vectors, tests/catalogue/run holds this against them.
'use strict';

const PARTITIONS = 16;

// Of "tnt_" and 26 upper-case digits of Crockford's base32: FNV-1a with 32 bits over the 30 characters, modulo 16.
// Other spellings of an id are refused: their text would give another partition than the event's.
function partition(tenantId) {
  if (!/^tnt_[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(tenantId)) throw new RangeError(`not a tenant id: ${tenantId}`);
  let digest = 0x811c9dc5;
  for (let i = 0; i < tenantId.length; i++) {
    digest = Math.imul(digest ^ tenantId.charCodeAt(i), 0x01000193);
  }
  return (digest >>> 0) % PARTITIONS;
}

const suffix = (tenantId) => String(partition(tenantId)).padStart(2, '0');

// The JetStream stream with all events of the tenant: "TENANT_07".
const stream = (tenantId) => `TENANT_${suffix(tenantId)}`;

// "tenant.org.updated.v1" with the tenant's partition behind it: "tenant.org.updated.v1.07".
const subject = (event, tenantId) => `${event}.${suffix(tenantId)}`;

module.exports = { PARTITIONS, partition, stream, subject };
