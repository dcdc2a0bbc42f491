-- What the relay needs to recover by itself: events that no stream takes, streams that lost their end, and a
-- database that was taken back in time.
--
-- Rights on tables that were there before are given by column: the release before this one refuses to start
-- when a login may do more with a table than it knows.

-- Originals of events that can never be shipped. A tombstone with their id and sequence has their place in the
-- outbox. The relay tells of each in a dead letter; 90 days later, when the letter goes too, the row may go.
CREATE TABLE tenant.outbox_dead (
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    incarnation bigint NOT NULL,
    epoch bigint NOT NULL,
    msg_id uuid NOT NULL,
    subject text NOT NULL,
    payload bytea NOT NULL,
    traceparent text NOT NULL,
    created_at timestamptz NOT NULL,
    cause text NOT NULL CHECK (cause ~ '^[A-Z][A-Z0-9_]*$'),
    detail text NOT NULL DEFAULT '',
    died_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lettered_at timestamptz,
    PRIMARY KEY (shard, id)
);
COMMENT ON COLUMN tenant.outbox_dead.lettered_at IS 'when the dead letter was stored; null: not yet';
CREATE INDEX outbox_dead_unlettered ON tenant.outbox_dead (shard, id) WHERE lettered_at IS NULL;
CREATE INDEX outbox_dead_old ON tenant.outbox_dead (lettered_at) WHERE lettered_at IS NOT NULL;

ALTER TABLE tenant.outbox_dead ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.outbox_dead FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.outbox_dead AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.outbox_dead TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_reads ON tenant.outbox_dead FOR SELECT TO tenant_relay USING (true);
CREATE POLICY relay_buries ON tenant.outbox_dead FOR INSERT TO tenant_relay WITH CHECK (true);
CREATE POLICY relay_letters ON tenant.outbox_dead FOR UPDATE TO tenant_relay
    USING (lettered_at IS NULL) WITH CHECK (true);
CREATE POLICY relay_forgets ON tenant.outbox_dead FOR DELETE TO tenant_relay
    USING (lettered_at < now() - interval '90 days');
GRANT SELECT, INSERT, DELETE ON tenant.outbox_dead TO tenant_relay;
GRANT UPDATE (lettered_at) ON tenant.outbox_dead TO tenant_relay;
-- A tombstone takes the original's place; see also the last section.
GRANT UPDATE (subject, payload) ON tenant.outbox TO tenant_relay;

-- The order in which a shard's events were sent. Neither id (a late commit has a low one) nor stream_seq (a stream
-- that is made anew begins at 1 again) tells it. 0: sent before this migration, in the order of stream_seq. A
-- statement that moves many rows takes one number and counts from there.
CREATE SEQUENCE tenant.outbox_sent_no INCREMENT BY 65536;
GRANT USAGE ON SEQUENCE tenant.outbox_sent_no TO tenant_relay;
ALTER TABLE tenant.outbox_sent ADD COLUMN sent_no bigint NOT NULL DEFAULT 0;
ALTER TABLE tenant.outbox_sent ALTER COLUMN sent_no SET DEFAULT nextval('tenant.outbox_sent_no');
CREATE INDEX outbox_sent_order ON tenant.outbox_sent (shard, sent_no, stream_seq);
DROP INDEX tenant.outbox_sent_stream; -- nobody ever asked by it
-- Of what a stream lost and got again.
GRANT UPDATE (stream_seq) ON tenant.outbox_sent TO tenant_relay;

-- The streams as a relay last saw them. One that was created at another time is another stream. After the incarnation
-- grew, each is compared with the database before anything is sent into it.
CREATE TABLE tenant.relay_stream (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 15),
    incarnation bigint NOT NULL,
    created text NOT NULL DEFAULT '',
    first_seq bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    looked_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE tenant.relay_stream IS
    'No tenant column: where the sixteen streams stood when a relay last looked.';
COMMENT ON COLUMN tenant.relay_stream.incarnation IS 'for which the stream was compared last';
COMMENT ON COLUMN tenant.relay_stream.created IS 'as the stream''s server writes it; '''': never seen';
INSERT INTO tenant.relay_stream (shard, incarnation)
    SELECT shard, incarnation FROM generate_series(0, 15) AS shard, tenant.installation;
GRANT SELECT, UPDATE (incarnation, created, first_seq, last_seq, looked_at) ON tenant.relay_stream TO tenant_relay;

-- The server that the database was last seen on. Another one, or another timeline of it, may have come with a loss:
-- the incarnation grows.
ALTER TABLE tenant.installation ADD COLUMN server text NOT NULL DEFAULT '';
COMMENT ON COLUMN tenant.installation.server IS
    'system identifier and timeline, as a relay last saw them; '''': never seen';
GRANT SELECT (single, incarnation, server), UPDATE (incarnation, server, update_time)
    ON tenant.installation TO tenant_relay;
-- For the era of caches.
GRANT SELECT (incarnation) ON tenant.installation TO tenant_platform;

-- What was found lost, tenant by tenant: their streams had events that the database does not know any more.
-- `status` says what the tenant was by the last of them, when that is more than it was given back as: the service
-- makes it that again.
CREATE TABLE tenant.rewound (
    tenant_id uuid NOT NULL,
    incarnation bigint NOT NULL CHECK (incarnation > previous_incarnation),
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    previous_incarnation bigint NOT NULL,
    lost_from bigint NOT NULL CHECK (lost_from > 0),
    lost_to bigint NOT NULL CHECK (lost_to >= lost_from),
    status text NOT NULL DEFAULT '' CHECK (status IN ('', 'suspended', 'closed')),
    reason text NOT NULL DEFAULT '',
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    announced_at timestamptz,
    applied_at timestamptz,
    PRIMARY KEY (tenant_id, incarnation)
);
COMMENT ON COLUMN tenant.rewound.incarnation IS 'the one that began then';
COMMENT ON COLUMN tenant.rewound.previous_incarnation IS 'of the lost events';
COMMENT ON COLUMN tenant.rewound.announced_at IS 'when the event that tells of it was left in the outbox';
COMMENT ON COLUMN tenant.rewound.status IS
    'the restriction that the lost events ended with; '''': none';
COMMENT ON COLUMN tenant.rewound.applied_at IS
    'when the service had dealt with the status; null: not yet';
CREATE INDEX rewound_open ON tenant.rewound (noted_at) WHERE applied_at IS NULL AND status <> '';
CREATE INDEX rewound_unannounced ON tenant.rewound (shard) WHERE announced_at IS NULL;

ALTER TABLE tenant.rewound ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant.rewound FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.rewound AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.rewound TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_reads ON tenant.rewound FOR SELECT TO tenant_relay USING (true);
CREATE POLICY relay_notes ON tenant.rewound FOR INSERT TO tenant_relay WITH CHECK (announced_at IS NULL);
CREATE POLICY relay_announces ON tenant.rewound FOR UPDATE TO tenant_relay
    USING (announced_at IS NULL) WITH CHECK (true);
CREATE POLICY platform_reads ON tenant.rewound FOR SELECT TO tenant_platform USING (true);
GRANT SELECT, UPDATE (applied_at) ON tenant.rewound TO tenant_app;
GRANT SELECT, INSERT, UPDATE (previous_incarnation, lost_from, lost_to, status, reason, announced_at)
    ON tenant.rewound TO tenant_relay;
GRANT SELECT ON tenant.rewound TO tenant_platform;

-- Unsent events of an older incarnation get a number in the new one, behind an event of the relay's own that tells
-- of the loss.
GRANT UPDATE (seq, incarnation, epoch) ON tenant.outbox TO tenant_relay;
GRANT INSERT (shard, id, tenant_id, seq, incarnation, epoch, msg_id, subject, payload, traceparent, created_at)
    ON tenant.outbox TO tenant_relay;
CREATE POLICY relay_numbers ON tenant.tenant_seq TO tenant_relay USING (true) WITH CHECK (true);
GRANT SELECT (tenant_id, seq, incarnation), UPDATE (seq, incarnation) ON tenant.tenant_seq TO tenant_relay;
CREATE POLICY relay_raises ON tenant.authz_epoch TO tenant_relay USING (true) WITH CHECK (true);
GRANT SELECT (tenant_id, incarnation, epoch), UPDATE (incarnation, epoch, xid)
    ON tenant.authz_epoch TO tenant_relay;
