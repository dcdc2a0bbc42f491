-- What makes a write safe to repeat and a cache safe to trust: records of idempotency keys, the epoch of
-- every tenant, former slugs that stay reserved; and the indexes of ListTenants.

-- One row per tenant, bumped by every change of the tenant in the change's own transaction. `xid` is the
-- transaction that did: a reader that remembers pg_snapshot_xmin() of its last look asks for
-- `xid >= that` and cannot miss a late committer.
CREATE TABLE tenant.authz_epoch (
    tenant_id uuid PRIMARY KEY REFERENCES tenant.tenants (id),
    incarnation bigint NOT NULL CHECK (incarnation > 0),
    epoch bigint NOT NULL CHECK (epoch > 0),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
-- The feed over all tenants, a few times a second by every replica.
CREATE INDEX authz_epoch_feed ON tenant.authz_epoch (xid);

ALTER TABLE tenant.authz_epoch ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.authz_epoch FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.authz_epoch AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.authz_epoch TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY platform_reads ON tenant.authz_epoch FOR SELECT TO tenant_platform USING (true);
GRANT SELECT, INSERT ON tenant.authz_epoch TO tenant_app;
GRANT UPDATE (incarnation, epoch, xid) ON tenant.authz_epoch TO tenant_app;
GRANT SELECT ON tenant.authz_epoch TO tenant_platform;

-- The answer of a write under its caller's key, written in the write's own transaction: it is there exactly
-- when the write is.
CREATE TABLE tenant.idempotency (
    tenant_id uuid NOT NULL REFERENCES tenant.tenants (id),
    principal text NOT NULL CHECK (principal <> ''),
    method text NOT NULL CHECK (method <> ''),
    key text NOT NULL CHECK (key <> ''),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    reply bytea NOT NULL,
    incarnation bigint NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, principal, method, key)
);
COMMENT ON COLUMN tenant.idempotency.fingerprint IS 'SHA-256 of the canonical request';
COMMENT ON COLUMN tenant.idempotency.seq IS
    'with incarnation and epoch: the consistency token of the answer; 0 when the write changed nothing';
CREATE INDEX idempotency_expiry ON tenant.idempotency (expires_at);

ALTER TABLE tenant.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.idempotency AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.idempotency TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_expires ON tenant.idempotency TO tenant_relay USING (expires_at < now());
GRANT SELECT, INSERT, UPDATE ON tenant.idempotency TO tenant_app;
GRANT SELECT, DELETE ON tenant.idempotency TO tenant_relay;

-- Keys of CreateTenant, whose tenant does not exist before: the tenant that a key made. The answer itself
-- lies in that tenant's own table.
CREATE TABLE tenant.platform_idempotency (
    principal text NOT NULL CHECK (principal <> ''),
    method text NOT NULL CHECK (method <> ''),
    key text NOT NULL CHECK (key <> ''),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    made uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (principal, method, key)
);
COMMENT ON TABLE tenant.platform_idempotency IS
    'No tenant column: asked before a tenant exists; holds the id that a key made and nothing about it.';
CREATE INDEX platform_idempotency_expiry ON tenant.platform_idempotency (expires_at);
ALTER TABLE tenant.platform_idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.platform_idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY app_all ON tenant.platform_idempotency TO tenant_app USING (true) WITH CHECK (true);
CREATE POLICY relay_expires ON tenant.platform_idempotency TO tenant_relay USING (expires_at < now());
GRANT SELECT, INSERT, UPDATE ON tenant.platform_idempotency TO tenant_app;
GRANT SELECT, DELETE ON tenant.platform_idempotency TO tenant_relay;

-- Every slug that a tenant has or had. A link to a former slug must not lead to another tenant, so the last
-- ten stay reserved; a tenant that is closed keeps its own. Like tenants_slug_taken a deliberate oracle.
CREATE TABLE tenant.slug_reservations (
    home_region text NOT NULL CHECK (home_region IN ('us', 'eu', 'me', 'ap')),
    slug text NOT NULL CHECK (slug <> ''),
    tenant_id uuid NOT NULL REFERENCES tenant.tenants (id) DEFERRABLE INITIALLY DEFERRED,
    released_at timestamptz,
    CONSTRAINT slug_reservations_taken PRIMARY KEY (home_region, slug)
);
COMMENT ON COLUMN tenant.slug_reservations.released_at IS 'when the tenant took another; null: in use';
CREATE INDEX slug_reservations_tenant ON tenant.slug_reservations (tenant_id, released_at);

ALTER TABLE tenant.slug_reservations ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.slug_reservations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.slug_reservations AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.slug_reservations TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, DELETE ON tenant.slug_reservations TO tenant_app;
GRANT UPDATE (released_at) ON tenant.slug_reservations TO tenant_app;

-- Events carry a consistency token, which holds the epoch of their change.
ALTER TABLE tenant.outbox ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE tenant.outbox_sent ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- ListTenants: every order that it offers, and the filters that leave few of many.
CREATE INDEX tenants_by_create_time ON tenant.tenants (home_region, create_time, id);
CREATE INDEX tenants_by_slug ON tenant.tenants (home_region, slug COLLATE "C", id);
CREATE INDEX tenants_by_display_name
    ON tenant.tenants (home_region, display_name COLLATE "C", id);
CREATE INDEX tenants_by_status ON tenant.tenants (home_region, status, create_time, id);
CREATE INDEX tenants_labels ON tenant.tenants USING gin (labels jsonb_path_ops);
