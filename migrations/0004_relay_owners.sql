-- Which relays live. A relay that holds no lease yet must be seen by the others, so that they give up their
-- surplus: leases alone show only those who have some.
CREATE TABLE tenant.relay_owner (
    owner text PRIMARY KEY,
    seen_until timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE tenant.relay_owner IS
    'No tenant column: which relays announced themselves, and until when that counts.';
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant.relay_owner TO tenant_relay;
