-- Undoes 0004_relay_owners.sql; relays announce themselves anew within seconds.
DROP TABLE tenant.relay_owner;
DELETE FROM tenant.schema_migrations WHERE version = 4;
