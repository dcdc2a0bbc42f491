-- Undoes 0009_inbox.sql; the consumers of other services' events must be stopped first. Parked events are lost: send them
-- again from their stream. Events that are delivered again are applied again; what they did stays.
DROP TABLE tenant.subscription;
DROP TABLE tenant.inbox_parked;
DROP TABLE tenant.inbox;
DELETE FROM tenant.schema_migrations WHERE version = 9;
