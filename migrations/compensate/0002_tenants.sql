-- Undoes 0002_tenants.sql; loses every tenant. 0003 is undone before.
DROP TABLE tenant.platform_audit;
DROP TABLE tenant.tenant_audit;
DROP TABLE tenant.tenants;
DELETE FROM tenant.schema_migrations WHERE version = 2;
