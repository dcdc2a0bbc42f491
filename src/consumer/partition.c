/* The partition function for programs of others.  Called by whoever reads one tenant's stream or splits work
 * as the streams do; must give what the producer gives. */
#include "tenant/events.h"

#include "events/subjects.h"

#include <string.h>

/* Other spellings of an id are refused, as no event has them: the published functions, which hash the text,
 * would give another partition. */
bool tenant_partition_of(const char *tenant_id, unsigned *partition)
{
    struct uuid id;
    char text[ID_TEXT_SIZE];
    if (tenant_id == NULL || !id_parse(ID_TENANT, slice_of_str(tenant_id), &id))
        return false;
    id_format(ID_TENANT, &id, text);
    if (strcmp(text, tenant_id) != 0)
        return false;
    *partition = partition_of(&id);
    return true;
}
