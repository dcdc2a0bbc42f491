-- Events of other services: which were applied, which came before their tenant, and what they made of it.

-- An event that was applied leaves its id in the transaction of its effect: a second delivery finds it and does
-- nothing. By tenant, so that nobody's event can stand in the way of another's.
CREATE TABLE tenant.inbox (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL CHECK (consumer <> ''),
    event_id text NOT NULL CHECK (event_id <> ''),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, consumer, event_id)
);
COMMENT ON TABLE tenant.inbox IS
    'rows may go once their event can no longer be delivered again: after 40 days';
-- For their expiry.
CREATE INDEX inbox_received ON tenant.inbox (received_at);

ALTER TABLE tenant.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.inbox AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.inbox TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_expires ON tenant.inbox TO tenant_relay USING (received_at < now() - interval '40 days');
GRANT SELECT, INSERT ON tenant.inbox TO tenant_app;
GRANT SELECT, DELETE ON tenant.inbox TO tenant_relay;

-- Events that cannot be applied yet: their tenant is not there, or their time has not come. They are kept here, so
-- that the stream goes on, and tried again when they are due. The relay's login keeps them, because it sees all
-- tenants.
CREATE TABLE tenant.inbox_parked (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL CHECK (consumer <> ''),
    event_id text NOT NULL CHECK (event_id <> ''),
    subject text NOT NULL,
    body bytea NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    stream text NOT NULL,
    stream_seq bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, consumer, event_id)
);
COMMENT ON COLUMN tenant.inbox_parked.body IS 'the message as it came';
COMMENT ON COLUMN tenant.inbox_parked.attempts IS 'since it was parked, all in vain';
COMMENT ON COLUMN tenant.inbox_parked.due_at IS
    'tried again then; whoever tries it puts it off first, so that nobody else does';
CREATE INDEX inbox_parked_due ON tenant.inbox_parked (due_at);

ALTER TABLE tenant.inbox_parked ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.inbox_parked FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.inbox_parked AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.inbox_parked TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_parks ON tenant.inbox_parked TO tenant_relay USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON tenant.inbox_parked TO tenant_relay;
GRANT UPDATE (attempts, due_at) ON tenant.inbox_parked TO tenant_relay;

-- What billing said last about each of a tenant's subscriptions. A mark is the time, step and id of the event that a
-- value is from: the greater one wins, in whatever order events come.
CREATE TABLE tenant.subscription (
    tenant_id uuid NOT NULL REFERENCES tenant.tenants (id),
    subscription_id text NOT NULL CHECK (subscription_id <> ''),
    plan_id text NOT NULL DEFAULT '',
    plan_mark text NOT NULL DEFAULT '',
    state text NOT NULL,
    is_ended boolean NOT NULL,
    state_mark text NOT NULL,
    began_at timestamptz NOT NULL,
    update_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, subscription_id)
) WITH (fillfactor = 70);
COMMENT ON COLUMN tenant.subscription.plan_id IS ''''': no event has said it yet';
COMMENT ON COLUMN tenant.subscription.state IS 'billing''s word';
COMMENT ON COLUMN tenant.subscription.began_at IS
    'the time of its earliest event: of several that live, the one that began last counts';

ALTER TABLE tenant.subscription ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.subscription FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.subscription AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.subscription TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON tenant.subscription TO tenant_app;
GRANT UPDATE (plan_id, plan_mark, state, is_ended, state_mark, began_at, update_time)
    ON tenant.subscription TO tenant_app;
