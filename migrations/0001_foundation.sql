-- The schema, the record of migrations and the installation's incarnation.
--
-- Every table either has a tenant column with forced row-level security or says in its comment, beginning
-- with "No tenant column:", why it has none. The service checks this at start; tests/integration/store
-- names the tables that may.

CREATE SCHEMA tenant;
REVOKE ALL ON SCHEMA tenant FROM PUBLIC;
GRANT USAGE ON SCHEMA tenant TO tenant_app, tenant_relay, tenant_platform;
ALTER DEFAULT PRIVILEGES IN SCHEMA tenant REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA tenant REVOKE ALL ON SEQUENCES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE tenant.schema_migrations (
    version integer PRIMARY KEY CHECK (version > 0),
    name text NOT NULL,
    checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE tenant.schema_migrations IS
    'No tenant column: which migrations were applied; says nothing about any tenant.';
GRANT SELECT ON tenant.schema_migrations TO tenant_app, tenant_relay;

-- Grows by one when the database was taken back in time (restore, failover with loss): sequence numbers
-- start anew under a greater incarnation, so nothing that left the database before is mistaken for them.
CREATE TABLE tenant.installation (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    incarnation bigint NOT NULL CHECK (incarnation > 0),
    update_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tenant.installation IS
    'No tenant column: the one incarnation that all tenants of this database share.';
INSERT INTO tenant.installation (incarnation) VALUES (1);
GRANT SELECT ON tenant.installation TO tenant_app;
