/* Where an event goes: its partition, its subject and its stream.  The contract with consumers in any
 * language; contracts/partition-vectors.json holds vectors. */
#ifndef EVENTS_SUBJECTS_H
#define EVENTS_SUBJECTS_H

#include "base/id.h"

#include <stdbool.h>

#define PARTITION_COUNT 16
#define STREAM_NAME_SIZE 10    /* "TENANT_00" + terminator */
#define SUBJECT_SIZE 128       /* "tenant.org.provisioned.v1.07" + terminator, with room */
#define STREAM_SUBJECT_SIZE 20 /* "tenant.*.*.*.00" + terminator */

/* FNV-1a 32 of the 30 characters of the tenant id's text ("tnt_01J…", upper case), modulo 16. */
unsigned partition_of(const struct uuid *tenant_id);

/* "TENANT_07" */
void stream_name(unsigned partition, char out[STREAM_NAME_SIZE]);
/* The one subject filter of that stream: "tenant.*.*.*.07". */
void stream_subject(unsigned partition, char out[STREAM_SUBJECT_SIZE]);

/* "tenant.org.provisioned" and 1 → "tenant.org.provisioned.v1", as the outbox keeps it: everything but
 * the partition. */
void event_subject(const char *type, unsigned version, char out[SUBJECT_SIZE]);
/* The way back: "tenant.org.provisioned.v1" → "tenant.org.provisioned" and 1.  False: not of that form;
 * nothing is written. */
bool event_subject_split(const char *subject, char type[SUBJECT_SIZE], unsigned *version);
/* The subject with its partition: "tenant.org.provisioned.v1.07".  False: the event's subject does not
 * have the form tenant.<aggregate>.<event>.v<N> or is too long; *out untouched. */
bool subject_with_partition(const char *event, unsigned partition, char out[SUBJECT_SIZE]);

#endif
