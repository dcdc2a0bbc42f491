-- Events on their way to the streams: a gapless sequence per tenant, the rows that wait, the rows that
-- were sent, and who ships which partition.

-- One row per tenant, updated with every event: the row lock makes commit order = sequence order inside
-- a tenant. Half-filled pages keep the updates in the page (HOT).
CREATE TABLE tenant.tenant_seq (
    tenant_id uuid PRIMARY KEY REFERENCES tenant.tenants (id),
    seq bigint NOT NULL CHECK (seq > 0),
    incarnation bigint NOT NULL CHECK (incarnation > 0)
) WITH (fillfactor = 50);

ALTER TABLE tenant.tenant_seq ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenant_seq FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.tenant_seq AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.tenant_seq TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON tenant.tenant_seq TO tenant_app;
GRANT UPDATE (seq, incarnation) ON tenant.tenant_seq TO tenant_app;

-- No foreign key: nothing but the sequence's row may make two tenants' events wait for each other.
CREATE TABLE tenant.outbox (
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    incarnation bigint NOT NULL,
    msg_id uuid NOT NULL,
    subject text NOT NULL,
    payload bytea NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard, id),
    UNIQUE (tenant_id, incarnation, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
COMMENT ON COLUMN tenant.outbox.payload IS
    'the envelope without incarnation and sequence, which the relay appends as protobuf fields';

ALTER TABLE tenant.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.outbox AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.outbox TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_ships ON tenant.outbox TO tenant_relay USING (true) WITH CHECK (true);
GRANT INSERT ON tenant.outbox TO tenant_app;
GRANT SELECT, DELETE ON tenant.outbox TO tenant_relay;

-- Sent rows stay for days so that a stream can be refilled. The time leads the key: the table can become
-- the first of several partitions by day.
CREATE TABLE tenant.outbox_sent (
    shard smallint NOT NULL,
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    incarnation bigint NOT NULL,
    msg_id uuid NOT NULL,
    subject text NOT NULL,
    payload bytea NOT NULL,
    traceparent text NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stream_seq bigint NOT NULL CHECK (stream_seq > 0),
    PRIMARY KEY (sent_at, shard, id)
);
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

-- A lease is for efficiency: the stream's expected sequence is the fence. The epoch grows with each
-- change of hands.
CREATE TABLE tenant.relay_lease (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 15),
    owner text NOT NULL DEFAULT '',
    epoch bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE tenant.relay_lease IS
    'No tenant column: which relay ships which of the sixteen partitions.';
INSERT INTO tenant.relay_lease (shard) SELECT generate_series(0, 15);
GRANT SELECT, UPDATE (owner, epoch, expires_at) ON tenant.relay_lease TO tenant_relay;
