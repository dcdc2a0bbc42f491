-- Undoes 0007_list_filters.sql; nothing is lost, pages with these filters take longer.
DROP INDEX tenant.tenants_by_plan;
DROP INDEX tenant.tenants_by_type;
DELETE FROM tenant.schema_migrations WHERE version = 7;
