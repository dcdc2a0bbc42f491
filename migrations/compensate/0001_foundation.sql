-- Undoes 0001_foundation.sql; 0002 and 0003 are undone before. Takes the record of migrations with it.
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
DROP TABLE tenant.installation;
DROP TABLE tenant.schema_migrations;
DROP SCHEMA tenant;
