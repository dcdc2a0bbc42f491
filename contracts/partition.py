"""The partition of a tenant's events, as tenant-service computes it.  To be copied: it needs nothing.

contracts/partition-vectors.json has vectors, tests/catalogue/run holds this against them."""

import re

PARTITIONS = 16


def partition(tenant_id: str) -> int:
    """Of "tnt_" and 26 upper-case digits of Crockford's base32: FNV-1a with 32 bits over the 30 characters, modulo 16.
    Other spellings of an id are refused: their text would give another partition than the event's."""
    if not re.fullmatch("tnt_[0-7][0-9A-HJKMNP-TV-Z]{25}", tenant_id):
        raise ValueError(f"not a tenant id: {tenant_id!r}")
    digest = 0x811C9DC5
    for byte in tenant_id.encode("ascii"):
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return digest % PARTITIONS


def stream(tenant_id: str) -> str:
    """The JetStream stream with all events of the tenant: "TENANT_07"."""
    return f"TENANT_{partition(tenant_id):02}"


def subject(event: str, tenant_id: str) -> str:
    """"tenant.org.updated.v1" with the tenant's partition behind it: "tenant.org.updated.v1.07"."""
    return f"{event}.{partition(tenant_id):02}"
