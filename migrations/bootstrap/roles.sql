-- Roles, database and extensions that must be there before `tenant-service migrate` can work. Run
-- by a superuser (or the managed service's administrator) with psql, once per cluster; running it
-- again changes passwords and repairs rights, nothing else. Tables and their grants come from the
-- migrations.
--
--   psql -X -v ON_ERROR_STOP=1 -v migrator_password=... -v app_password=... -v relay_password=... \
--        -v platform_password=... -f roles.sql "postgresql://.../postgres"

\set ON_ERROR_STOP on

-- tenant_owner owns every object and cannot log in; tenant_migrator may become it. The three logins
-- of the service own nothing, are members of nothing and can never pass by row-level security.
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['tenant_owner', 'tenant_migrator', 'tenant_app', 'tenant_relay', 'tenant_platform'])
    AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE tenant_owner NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION;
ALTER ROLE tenant_migrator LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
    PASSWORD :'migrator_password';
ALTER ROLE tenant_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION NOINHERIT
    PASSWORD :'app_password';
ALTER ROLE tenant_relay LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION NOINHERIT
    PASSWORD :'relay_password';
ALTER ROLE tenant_platform LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION NOINHERIT
    PASSWORD :'platform_password';

GRANT tenant_owner TO tenant_migrator;

-- A service's login that somebody made a member of anything loses that.
SELECT format('REVOKE %I FROM %I', granted.rolname, member.rolname)
FROM pg_auth_members m
JOIN pg_roles granted ON granted.oid = m.roleid
JOIN pg_roles member ON member.oid = m.member
WHERE member.rolname IN ('tenant_app', 'tenant_relay', 'tenant_platform')
\gexec

-- Time-outs are the roles', not the sessions': sessions are shared in PgBouncer's transaction mode.
ALTER ROLE tenant_app SET statement_timeout = '5s';
ALTER ROLE tenant_app SET lock_timeout = '2s';
ALTER ROLE tenant_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE tenant_relay SET statement_timeout = '10s';
ALTER ROLE tenant_relay SET lock_timeout = '2s';
ALTER ROLE tenant_relay SET idle_in_transaction_session_timeout = '20s';
ALTER ROLE tenant_platform SET statement_timeout = '5s';
ALTER ROLE tenant_platform SET lock_timeout = '2s';
ALTER ROLE tenant_platform SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE tenant_migrator SET statement_timeout = '10min';
ALTER ROLE tenant_migrator SET lock_timeout = '5s';
ALTER ROLE tenant_migrator SET idle_in_transaction_session_timeout = '1min';

SELECT 'CREATE DATABASE tenant OWNER tenant_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'tenant')
\gexec

ALTER DATABASE tenant OWNER TO tenant_owner;
REVOKE ALL ON DATABASE tenant FROM PUBLIC;
GRANT CONNECT ON DATABASE tenant TO tenant_migrator, tenant_app, tenant_relay, tenant_platform;

-- What the migrator makes belongs to the owner.
ALTER ROLE tenant_migrator IN DATABASE tenant SET role TO 'tenant_owner';

\connect tenant

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS ltree;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";

-- The extensions' types and operators live in public; nobody may create anything there.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE CREATE ON SCHEMA public
    FROM tenant_migrator, tenant_app, tenant_relay, tenant_platform;
GRANT USAGE ON SCHEMA public
    TO tenant_owner, tenant_migrator, tenant_app, tenant_relay, tenant_platform;
