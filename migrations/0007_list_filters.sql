-- ListTenants by plan and by type: few of many tenants must not cost a look at all of them. There is none for
-- update_time: it would be written with every update, and keep PostgreSQL from updating in the page alone.
CREATE INDEX tenants_by_plan ON tenant.tenants (home_region, plan_id, create_time, id);
CREATE INDEX tenants_by_type ON tenant.tenants (home_region, type, create_time, id);
