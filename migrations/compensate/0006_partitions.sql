-- Undoes 0006_partitions.sql; keeps every row that is still there, which is copied: stop the writers of a large
-- database first. Relays of the release before delete sent events row by row again. The owner sees all rows
-- only while row-level security is not forced on it.
DROP FUNCTION tenant.partitions_drop();
DROP FUNCTION tenant.partitions_make();
DROP TABLE tenant.partition_retention;

LOCK TABLE tenant.tenants IN SHARE ROW EXCLUSIVE MODE;
ALTER TABLE tenant.outbox_sent RENAME TO outbox_sent_days;
ALTER TABLE tenant.outbox_sent_days NO FORCE ROW LEVEL SECURITY;
CREATE TABLE tenant.outbox_sent (
    LIKE tenant.outbox_sent_days INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS);
INSERT INTO tenant.outbox_sent SELECT * FROM tenant.outbox_sent_days;
DROP TABLE tenant.outbox_sent_days;
ALTER TABLE tenant.outbox_sent ADD PRIMARY KEY (sent_at, shard, id);
CREATE INDEX outbox_sent_tenant ON tenant.outbox_sent (tenant_id, incarnation, seq);
CREATE INDEX outbox_sent_stream ON tenant.outbox_sent (shard, stream_seq);
ALTER TABLE tenant.outbox_sent ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.outbox_sent FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.outbox_sent AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.outbox_sent TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_keeps ON tenant.outbox_sent TO tenant_relay USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON tenant.outbox_sent TO tenant_relay;

ALTER TABLE tenant.tenant_audit RENAME TO tenant_audit_months;
ALTER TABLE tenant.tenant_audit_months NO FORCE ROW LEVEL SECURITY;
CREATE TABLE tenant.tenant_audit (
    LIKE tenant.tenant_audit_months INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS);
-- Before the rows: to rows that are there the owner's own check of the key finds no tenants.
ALTER TABLE tenant.tenant_audit
    ADD CONSTRAINT tenant_audit_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenant.tenants (id);
INSERT INTO tenant.tenant_audit SELECT * FROM tenant.tenant_audit_months;
DROP TABLE tenant.tenant_audit_months;
ALTER TABLE tenant.tenant_audit ADD PRIMARY KEY (tenant_id, id);
ALTER TABLE tenant.tenant_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenant_audit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.tenant_audit AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.tenant_audit TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON tenant.tenant_audit TO tenant_app;
DELETE FROM tenant.schema_migrations WHERE version = 6;
