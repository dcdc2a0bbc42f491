-- Undoes 0005_safe_writes.sql; answers to repeated keys are lost: a key that is sent again writes again. Caches that
-- trust epochs must be stopped first (every replica of the newer release).
DROP INDEX tenant.tenants_by_create_time;
DROP INDEX tenant.tenants_by_slug;
DROP INDEX tenant.tenants_by_display_name;
DROP INDEX tenant.tenants_by_status;
DROP INDEX tenant.tenants_labels;
ALTER TABLE tenant.outbox_sent DROP COLUMN epoch;
ALTER TABLE tenant.outbox DROP COLUMN epoch;
DROP TABLE tenant.slug_reservations;
DROP TABLE tenant.platform_idempotency;
DROP TABLE tenant.idempotency;
DROP TABLE tenant.authz_epoch;
DELETE FROM tenant.schema_migrations WHERE version = 5;
