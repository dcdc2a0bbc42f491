-- Undoes 0008_relay_recovery.sql. Originals of withheld events are lost, but for what their dead letters hold; so is
-- the record of rewinds. Tombstones that wait in the outbox are sent like any other event.
DROP POLICY relay_raises ON tenant.authz_epoch;
REVOKE SELECT (tenant_id, incarnation, epoch), UPDATE (incarnation, epoch, xid)
    ON tenant.authz_epoch FROM tenant_relay;
DROP POLICY relay_numbers ON tenant.tenant_seq;
REVOKE SELECT (tenant_id, seq, incarnation), UPDATE (seq, incarnation) ON tenant.tenant_seq FROM tenant_relay;
REVOKE INSERT (shard, id, tenant_id, seq, incarnation, epoch, msg_id, subject, payload, traceparent, created_at)
    ON tenant.outbox FROM tenant_relay;
REVOKE UPDATE (seq, incarnation, epoch) ON tenant.outbox FROM tenant_relay;
DROP TABLE tenant.rewound;
REVOKE SELECT (incarnation) ON tenant.installation FROM tenant_platform;
REVOKE SELECT (single, incarnation, server), UPDATE (incarnation, server, update_time)
    ON tenant.installation FROM tenant_relay;
ALTER TABLE tenant.installation DROP COLUMN server;
DROP TABLE tenant.relay_stream;
REVOKE UPDATE (stream_seq) ON tenant.outbox_sent FROM tenant_relay;
DROP INDEX tenant.outbox_sent_order;
CREATE INDEX outbox_sent_stream ON tenant.outbox_sent (shard, stream_seq);
ALTER TABLE tenant.outbox_sent DROP COLUMN sent_no;
DROP SEQUENCE tenant.outbox_sent_no;
REVOKE UPDATE (subject, payload) ON tenant.outbox FROM tenant_relay;
DROP TABLE tenant.outbox_dead;
DELETE FROM tenant.schema_migrations WHERE version = 8;
