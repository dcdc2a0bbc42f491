-- Undoes 0003_outbox.sql; loses every event that was not sent, and the sequences. Bump the incarnation
-- before writing again.
DROP TABLE tenant.relay_lease;
DROP TABLE tenant.outbox_sent;
DROP TABLE tenant.outbox;
DROP TABLE tenant.tenant_seq;
DELETE FROM tenant.schema_migrations WHERE version = 3;
