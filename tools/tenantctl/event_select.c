/* Flags that choose events; see event_select.h. */
#include "event_select.h"

#include "domain/tenant_query.h"
#include "events/subjects.h"

#include <stdio.h>

int event_select_take(struct cli *cli, struct event_select *out)
{
    *out = (struct event_select){.type = cli_value(cli, "type"), .until_ns = UINT64_MAX};
    TRY(event_select_time(cli, "since", &out->since_ns));
    TRY(event_select_time(cli, "until", &out->until_ns));
    const char *type = out->type == NULL ? "a" : out->type;
    if (type[0] == '\0' || type[strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_.")] != '\0')
        return cli_complain("--type \"%s\": expected an event such as tenant.org.updated", type);
    if (out->since_ns > out->until_ns)
        return cli_complain("--since is after --until");
    const char *tenant = cli_value(cli, "tenant");
    if (tenant == NULL)
        return OK;
    struct uuid id;
    if (!id_parse(ID_TENANT, slice_of_str(tenant), &id))
        return cli_complain("--tenant \"%s\": expected tnt_ and 26 characters", tenant);
    id_format(ID_TENANT, &id, out->tenant);
    out->has_tenant = true;
    out->only = partition_of(&id);
    return OK;
}

int event_select_time(const struct cli *cli, const char *flag, uint64_t *ns)
{
    const char *text = cli_value(cli, flag);
    uint64_t ago = 0;
    uint64_t us = 0;
    if (text == NULL)
        return OK;
    if (duration_parse(text, &ago))
        *ns = clock_wall() - ago;
    else if (time_parse_rfc3339(slice_of_str(text), &us))
        *ns = us * NS_PER_US;
    else
        return cli_complain("--%s \"%s\": expected a time such as 30m, 2h, 7d, or a date such as "
                            "2026-11-23T07:00:00Z",
                            flag, text);
    return OK;
}

bool event_select_type(const struct event_select *select, const char *name, unsigned version)
{
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, "%s.v%u", name, version);
    return event_select_subject(select, slice_of_str(subject));
}

bool event_select_subject(const struct event_select *select, struct slice type_and_version)
{
    if (select->type == NULL)
        return true;
    if (!slice_starts_with(type_and_version, select->type))
        return false;
    struct slice rest = slice_skip(type_and_version, strlen(select->type));
    return rest.size == 0 || slice_starts_with(rest, ".v");
}
