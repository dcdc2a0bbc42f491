-- Sent events and the audit in partitions by time: sent events by day, dropped by whole days when their
-- retention is over, the audit by month, kept for ever unless configured. Days and months are those of UTC.
--
-- Partitions bear no rights at all: everybody goes through the parent. They have its policies and forced
-- row-level security all the same, so that a right given by mistake opens nothing.
--
-- No insert ever fails for want of a partition: partitions are made far ahead, and the default partition takes
-- what none of them does, be it that nobody made any for weeks or that a clock was wrong.
--
-- The release before this one deletes sent events row by row; the relay's right to it stays until no release
-- that needs it runs any more.

-- Writers come past this table first: they wait here, and not with half of their locks taken.
LOCK TABLE tenant.tenants IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE tenant.partition_retention (
    parent text PRIMARY KEY CHECK (parent IN ('outbox_sent', 'tenant_audit')),
    keep_days integer,
    CONSTRAINT partition_retention_floor CHECK (CASE parent
        WHEN 'outbox_sent' THEN keep_days IS NOT NULL AND keep_days >= 1
        ELSE keep_days IS NULL OR keep_days >= 90 END)
);
COMMENT ON TABLE tenant.partition_retention IS
    'No tenant column: how long partitions stay, for all tenants alike; only the owner may write it.';
COMMENT ON COLUMN tenant.partition_retention.keep_days IS 'null: for ever';
INSERT INTO tenant.partition_retention (parent, keep_days) VALUES ('outbox_sent', 3), ('tenant_audit', NULL);

-- What there is becomes the first partition, or goes when it is empty. The audit's key gets the time, which
-- takes as long as an index over it takes to build.
ALTER TABLE tenant.outbox_sent RENAME TO outbox_sent_before;
ALTER TABLE tenant.outbox_sent_before RENAME CONSTRAINT outbox_sent_pkey TO outbox_sent_before_pkey;
ALTER INDEX tenant.outbox_sent_tenant RENAME TO outbox_sent_before_tenant;
ALTER INDEX tenant.outbox_sent_stream RENAME TO outbox_sent_before_stream;
REVOKE ALL ON tenant.outbox_sent_before FROM tenant_relay;
CREATE TABLE tenant.outbox_sent (
    LIKE tenant.outbox_sent_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS,
    PRIMARY KEY (sent_at, shard, id)
) PARTITION BY RANGE (sent_at);
CREATE INDEX outbox_sent_tenant ON tenant.outbox_sent (tenant_id, incarnation, seq);
CREATE INDEX outbox_sent_stream ON tenant.outbox_sent (shard, stream_seq);

ALTER TABLE tenant.outbox_sent ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.outbox_sent AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.outbox_sent TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY relay_keeps ON tenant.outbox_sent TO tenant_relay USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON tenant.outbox_sent TO tenant_relay;

ALTER TABLE tenant.tenant_audit RENAME TO tenant_audit_before;
ALTER TABLE tenant.tenant_audit_before DROP CONSTRAINT tenant_audit_pkey;
ALTER TABLE tenant.tenant_audit_before
    ADD CONSTRAINT tenant_audit_before_pkey PRIMARY KEY (tenant_id, id, at);
REVOKE ALL ON tenant.tenant_audit_before FROM tenant_app;
CREATE TABLE tenant.tenant_audit (
    LIKE tenant.tenant_audit_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS,
    PRIMARY KEY (tenant_id, id, at),
    CONSTRAINT tenant_audit_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenant.tenants (id)
) PARTITION BY RANGE (at);

ALTER TABLE tenant.tenant_audit ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON tenant.tenant_audit AS RESTRICTIVE TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
CREATE POLICY tenant_rows ON tenant.tenant_audit TO tenant_app, tenant_owner
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON tenant.tenant_audit TO tenant_app;

-- Makes the partitions of today and the next 14 days, of this month and the next 6, and the default ones.
--
-- Called every hour by every relay: who comes second only looks. Waits 200 ms for a lock and then leaves it to
-- the next time, so that nobody queues behind it for longer. ATTACH lets reads and writes of the parent go on;
-- it locks the default partition, which is empty unless something went wrong, and tenants (for the foreign
-- key) against writes for as long as an empty table takes.
--
-- A default partition that has rows of a range is in the range's way: up to 10,000 of them are moved. More are
-- left where they are, found and dropped like all others; the ranges behind them are made. Writers are held off
-- meanwhile, and whenever the present range is made: a row on its way to the default partition would be refused
-- by it, once its range is another's.
--
-- pg_get_expr(…, 0) looks at bounds without a lock on the partition.
--
-- Owners are subject to row-level security here. The default partition is exempt while its rows are moved,
-- seen by nobody: the same transaction locks it and ends the exemption.
CREATE FUNCTION tenant.partitions_make()
    RETURNS TABLE (parent text, made bigint, moved bigint, failed bigint, days_ahead bigint, trouble text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO, YMD'
    SET lock_timeout = '200ms'
AS $body$
DECLARE
    mine boolean := pg_try_advisory_xact_lock(7307211900261124);
    kind record;
    span record;
    policy record;
    fallback regclass; -- the default partition
    fresh text;
    strays bigint; -- null: nothing was in the way
    horizon timestamptz;
BEGIN
    FOR kind IN
        SELECT format('tenant.%I', k.parent)::regclass AS oid, k.*
        FROM (VALUES ('outbox_sent', 'sent_at', 'day', 'YYYYMMDD', 14),
                     ('tenant_audit', 'at', 'month', 'YYYYMM', 6))
            AS k (parent, key, unit, suffix, ahead)
    LOOP
        parent := kind.parent;
        made := 0;
        moved := 0;
        failed := 0;
        trouble := '';
        -- Number -1 is the default partition.
        FOR span IN
            SELECT s.lower, s.lower + ('1 ' || kind.unit)::interval AS upper, s.number
            FROM (SELECT n AS number, date_trunc(kind.unit, now()) + n * ('1 ' || kind.unit)::interval AS lower
                  FROM generate_series(-1, kind.ahead) AS n) AS s
            WHERE mine
            ORDER BY s.number
        LOOP
            SELECT partdefid::regclass INTO fallback FROM pg_partitioned_table
            WHERE partrelid = kind.oid AND partdefid <> 0;
            CONTINUE WHEN span.number < 0 AND fallback IS NOT NULL;
            CONTINUE WHEN span.number >= 0 AND EXISTS (
                SELECT FROM pg_inherits i
                JOIN pg_class c ON c.oid = i.inhrelid
                CROSS JOIN pg_get_expr(c.relpartbound, 0) AS bound
                WHERE i.inhparent = kind.oid AND bound <> 'DEFAULT'
                AND coalesce(substring(bound FROM 'FROM \(''(.*)''\) TO')::timestamptz, '-infinity') < span.upper
                AND coalesce(substring(bound FROM 'TO \(''(.*)''\)')::timestamptz, 'infinity') > span.lower);
            fresh := format('tenant.%I', kind.parent || '_' || CASE WHEN span.number < 0 THEN 'default'
                ELSE to_char(span.lower, kind.suffix) END);
            BEGIN
                EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                    fresh, kind.oid);
                strays := NULL;
                IF span.number >= 0
                    AND (pg_relation_size(fallback) > 0 OR span.lower < now() + interval '1 day') THEN
                    IF kind.parent = 'tenant_audit' THEN -- in the order in which writers do
                        LOCK TABLE tenant.tenants IN SHARE ROW EXCLUSIVE MODE;
                    END IF;
                    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', kind.oid);
                    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', fallback);
                    EXECUTE format('CREATE TEMPORARY TABLE partition_strays ON COMMIT DROP AS '
                        'SELECT * FROM %s WHERE %I >= $1 AND %I < $2 LIMIT 10001', fallback, kind.key, kind.key)
                        USING span.lower, span.upper;
                    GET DIAGNOSTICS strays = ROW_COUNT;
                    IF strays > 10000 THEN
                        RAISE EXCEPTION 'more than 10000 rows lie in the default partition';
                    END IF;
                    EXECUTE format('DELETE FROM %s WHERE %I >= $1 AND %I < $2', fallback, kind.key, kind.key)
                        USING span.lower, span.upper;
                    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', fallback);
                END IF;
                EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s ', kind.oid, fresh)
                    || CASE WHEN span.number < 0 THEN 'DEFAULT'
                       ELSE format('FOR VALUES FROM (%L) TO (%L)', span.lower, span.upper) END;
                -- Behind ATTACH, which would look for the tenants of rows as the owner, who sees none.
                IF strays IS NOT NULL THEN
                    EXECUTE format('INSERT INTO %s SELECT * FROM pg_temp.partition_strays', fresh);
                    DROP TABLE pg_temp.partition_strays;
                END IF;
                EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', fresh);
                FOR policy IN
                    SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, fresh,
                            CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                            (SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname)
                             FROM pg_roles r WHERE r.oid = ANY (p.polroles)))
                        || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
                        || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
                        AS command
                    FROM pg_policy p WHERE p.polrelid = kind.oid ORDER BY p.polname
                LOOP
                    EXECUTE policy.command;
                END LOOP;
                made := made + 1;
                moved := moved + coalesce(strays, 0);
            EXCEPTION
                WHEN lock_not_available THEN
                    failed := failed + 1;
                    trouble := fresh || ': ' || SQLERRM;
                    EXIT; -- the others would wait for the same
                WHEN OTHERS THEN
                    failed := failed + 1;
                    trouble := fresh || ': ' || SQLERRM;
            END;
        END LOOP;
        -- How far an unbroken row of partitions reaches from now on.
        horizon := now();
        FOR span IN
            SELECT coalesce(substring(bound FROM 'FROM \(''(.*)''\) TO')::timestamptz, '-infinity') AS lower,
                coalesce(substring(bound FROM 'TO \(''(.*)''\)')::timestamptz, now() + interval '100 years')
                    AS upper
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN pg_get_expr(c.relpartbound, 0) AS bound
            WHERE i.inhparent = kind.oid AND bound <> 'DEFAULT'
            ORDER BY 1
        LOOP
            EXIT WHEN span.lower > horizon;
            horizon := greatest(horizon, span.upper);
        END LOOP;
        days_ahead := extract(epoch FROM horizon - now())::bigint / 86400;
        RETURN NEXT;
    END LOOP;
END
$body$;

-- Drops partitions whose last row is past the retention, and up to 10,000 such rows of the default partition.
-- Takes no argument: tenant.partition_retention decides. Waits 200 ms for a lock, like the other.
CREATE FUNCTION tenant.partitions_drop()
    RETURNS TABLE (parent text, dropped bigint, deleted bigint, failed bigint, trouble text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO, YMD'
    SET lock_timeout = '200ms'
AS $body$
DECLARE
    mine boolean := pg_try_advisory_xact_lock(7307211900261124);
    kind record;
    old record;
BEGIN
    FOR kind IN
        SELECT format('tenant.%I', k.parent)::regclass AS oid, k.*, p.partdefid::regclass AS fallback,
            now() - make_interval(days => r.keep_days) AS cutoff
        FROM (VALUES ('outbox_sent', 'sent_at'), ('tenant_audit', 'at')) AS k (parent, key)
        JOIN pg_partitioned_table p ON p.partrelid = format('tenant.%I', k.parent)::regclass
        LEFT JOIN tenant.partition_retention r ON r.parent = k.parent
    LOOP
        parent := kind.parent;
        dropped := 0;
        deleted := 0;
        failed := 0;
        trouble := '';
        FOR old IN
            SELECT c.oid::regclass AS name
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = kind.oid AND mine
            AND substring(pg_get_expr(c.relpartbound, 0) FROM 'TO \(''(.*)''\)')::timestamptz <= kind.cutoff
            ORDER BY 1
        LOOP
            BEGIN
                EXECUTE format('DROP TABLE %s', old.name);
                dropped := dropped + 1;
            EXCEPTION
                WHEN lock_not_available THEN
                    failed := failed + 1;
                    trouble := old.name || ': ' || SQLERRM;
                    EXIT;
                WHEN OTHERS THEN
                    failed := failed + 1;
                    trouble := old.name || ': ' || SQLERRM;
            END;
        END LOOP;
        IF mine AND kind.cutoff IS NOT NULL AND kind.fallback <> 0 AND pg_relation_size(kind.fallback) > 0 THEN
            BEGIN
                EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', kind.fallback);
                EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE %I < $1 '
                    'LIMIT 10000))', kind.fallback, kind.fallback, kind.key) USING kind.cutoff;
                GET DIAGNOSTICS deleted = ROW_COUNT;
                EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', kind.fallback);
            EXCEPTION
                WHEN OTHERS THEN
                    deleted := 0;
                    failed := failed + 1;
                    trouble := kind.fallback || ': ' || SQLERRM;
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$body$;

REVOKE ALL ON FUNCTION tenant.partitions_make(), tenant.partitions_drop() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant.partitions_make(), tenant.partitions_drop() TO tenant_relay;

-- The first partition ends with the present day or month. Rows beyond, left by a clock that was ahead, take the
-- way of new ones. The parents force row-level security on their owner only when all rows are in their place.
DO $body$
DECLARE
    kind record;
    bound timestamptz;
    filled boolean;
    trouble text;
BEGIN
    FOR kind IN
        SELECT * FROM (VALUES ('outbox_sent', 'sent_at', 'day'), ('tenant_audit', 'at', 'month'))
            AS k (parent, key, unit)
    LOOP
        bound := (date_trunc(kind.unit, now() AT TIME ZONE 'UTC') + ('1 ' || kind.unit)::interval)
            AT TIME ZONE 'UTC';
        EXECUTE format('ALTER TABLE tenant.%I NO FORCE ROW LEVEL SECURITY', kind.parent || '_before');
        EXECUTE format('SELECT EXISTS (SELECT FROM tenant.%I)', kind.parent || '_before') INTO filled;
        EXECUTE format('CREATE TEMPORARY TABLE %I ON COMMIT DROP AS SELECT * FROM tenant.%I WHERE %I >= $1',
            kind.parent || '_late', kind.parent || '_before', kind.key) USING bound;
        EXECUTE format('DELETE FROM tenant.%I WHERE %I >= $1', kind.parent || '_before', kind.key) USING bound;
        EXECUTE format('ALTER TABLE tenant.%I FORCE ROW LEVEL SECURITY', kind.parent || '_before');
        IF filled THEN
            EXECUTE format('ALTER TABLE tenant.%I ATTACH PARTITION tenant.%I FOR VALUES FROM (MINVALUE) TO (%L)',
                kind.parent, kind.parent || '_before', bound);
        ELSE
            EXECUTE format('DROP TABLE tenant.%I', kind.parent || '_before');
        END IF;
    END LOOP;
    SELECT string_agg(m.trouble, '; ') INTO trouble FROM tenant.partitions_make() AS m WHERE m.failed > 0;
    IF trouble IS NOT NULL THEN
        RAISE EXCEPTION 'partitions could not be made: %', trouble;
    END IF;
    INSERT INTO tenant.outbox_sent SELECT * FROM pg_temp.outbox_sent_late;
    INSERT INTO tenant.tenant_audit SELECT * FROM pg_temp.tenant_audit_late;
END
$body$;

ALTER TABLE tenant.outbox_sent FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenant_audit FORCE ROW LEVEL SECURITY;
