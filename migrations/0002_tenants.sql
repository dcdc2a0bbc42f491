-- Tenants and who changed them.
--
-- The pattern of every table with a tenant column: a restrictive policy that nothing added later can
-- widen, and a permissive one that lets the tenant's own rows through. `nullif(…, '')` because after
-- set_config(…, true) a pooled session keeps '' rather than NULL. A malformed value raises an error.
-- The owner, who runs backfills, is held to the same rule (FORCE).

CREATE TABLE tenant.tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL CHECK (slug <> ''),
    display_name text NOT NULL,
    type text NOT NULL CHECK (type IN ('org', 'provider', 'individual', 'hybrid')),
    home_region text NOT NULL CHECK (home_region IN ('us', 'eu', 'me', 'ap')),
    status text NOT NULL CHECK (status IN ('trial', 'active', 'suspended', 'closed')),
    plan_id text NOT NULL DEFAULT '',
    plan_addons text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    default_locale text NOT NULL DEFAULT 'en',
    allowed_locales text[] NOT NULL DEFAULT '{}',
    mfa_required boolean NOT NULL DEFAULT false,
    offline_enabled boolean NOT NULL DEFAULT false,
    ai_enabled boolean NOT NULL DEFAULT false,
    branding_theme jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(branding_theme) = 'object'),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    -- A deliberate oracle: SLUG_TAKEN is an answer of CreateTenant. Slugs are unique per region.
    CONSTRAINT tenants_slug_taken UNIQUE (home_region, slug)
);
-- LookupTenant, by the platform login, over all regions.
CREATE INDEX tenants_slug ON tenant.tenants (slug);

ALTER TABLE tenant.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.tenants AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.tenants TO tenant_app, tenant_owner
    USING (id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY platform_reads ON tenant.tenants FOR SELECT TO tenant_platform USING (true);

GRANT SELECT, INSERT ON tenant.tenants TO tenant_app;
-- Neither the id nor the home region nor the time of creation ever changes.
GRANT UPDATE (slug, display_name, type, status, plan_id, plan_addons, labels, default_locale,
    allowed_locales, mfa_required, offline_enabled, ai_enabled, branding_theme, update_time, version)
    ON tenant.tenants TO tenant_app;
GRANT SELECT ON tenant.tenants TO tenant_platform;

-- Append only. A row that is there proves that its transaction was committed.
CREATE TABLE tenant.tenant_audit (
    tenant_id uuid NOT NULL REFERENCES tenant.tenants (id),
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL CHECK (action <> ''),
    reason text NOT NULL DEFAULT '',
    changed text[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL,
    request_id text NOT NULL DEFAULT '',
    trace_id text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON COLUMN tenant.tenant_audit.changed IS 'paths of the fields that changed, never their values';

ALTER TABLE tenant.tenant_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenant_audit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.tenant_audit AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.tenant_audit TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON tenant.tenant_audit TO tenant_app;

-- What platform operators did across tenants: written by app and platform, read by neither.
CREATE TABLE tenant.platform_audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL CHECK (action <> ''),
    target text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    trace_id text NOT NULL DEFAULT ''
);
COMMENT ON TABLE tenant.platform_audit IS
    'No tenant column: records access that spans tenants; the service may only insert.';
GRANT INSERT ON tenant.platform_audit TO tenant_app, tenant_platform;
