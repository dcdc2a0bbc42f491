/* Partitions, subjects and stream names.  Called by the outbox, the relay and the consumers; must never
 * change for a released event, because consumers compute the same. */
#include "events/subjects.h"

#include "base/hash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_event_subject(const char *event);

/* Over the text and not the bytes, because consumers in any language have the text. */
unsigned partition_of(const struct uuid *tenant_id)
{
    char text[ID_TEXT_SIZE];
    id_format(ID_TENANT, tenant_id, text);
    return hash_fnv1a32(slice_of_str(text)) % PARTITION_COUNT;
}

void stream_name(unsigned partition, char out[STREAM_NAME_SIZE])
{
    assert(partition < PARTITION_COUNT);
    snprintf(out, STREAM_NAME_SIZE, "TENANT_%02u", partition);
}

void stream_subject(unsigned partition, char out[STREAM_SUBJECT_SIZE])
{
    assert(partition < PARTITION_COUNT);
    snprintf(out, STREAM_SUBJECT_SIZE, "tenant.*.*.*.%02u", partition);
}

void event_subject(const char *type, unsigned version, char out[SUBJECT_SIZE])
{
    int length = snprintf(out, SUBJECT_SIZE, "%s.v%u", type, version);
    assert(length > 0 && length < SUBJECT_SIZE);
    assert(is_event_subject(out));
}

bool event_subject_split(const char *subject, char type[SUBJECT_SIZE], unsigned *version)
{
    if (strlen(subject) >= SUBJECT_SIZE || !is_event_subject(subject))
        return false;
    const char *dot = strrchr(subject, '.'); /* before the version */
    snprintf(type, SUBJECT_SIZE, "%.*s", (int)(dot - subject), subject);
    *version = (unsigned)strtoul(dot + 2, NULL, 10);
    return true;
}

/* The partition is the last token, so that a consumer of one stream filters with
 * tenant.*.*.*.NN. */
bool subject_with_partition(const char *event, unsigned partition, char out[SUBJECT_SIZE])
{
    assert(partition < PARTITION_COUNT);
    if (strlen(event) + sizeof ".00" > SUBJECT_SIZE || !is_event_subject(event))
        return false;
    snprintf(out, SUBJECT_SIZE, "%s.%02u", event, partition);
    return true;
}

/* tenant.<aggregate>.<event>.v<N>: lower-case words, so no wildcard or space can get into a subject. */
static bool is_event_subject(const char *event)
{
    if (strncmp(event, "tenant.", strlen("tenant.")) != 0)
        return false;
    const char *rest = event + strlen("tenant.");
    for (int word = 0; word < 2; word++) {
        size_t length = strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (length == 0 || rest[length] != '.')
            return false;
        rest += length + 1;
    }
    size_t digits = rest[0] == 'v' ? strspn(rest + 1, "0123456789") : 0;
    return digits > 0 && digits <= 4 && rest[1] != '0' && rest[1 + digits] == '\0';
}
