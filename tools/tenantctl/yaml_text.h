/* JSON values as YAML 1.1 text. */
#ifndef TENANTCTL_YAML_TEXT_H
#define TENANTCTL_YAML_TEXT_H

#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>

/* One document, without markers.  Texts that YAML would read as something else are quoted.  False: the stream
 * takes no more. */
bool yaml_write(FILE *out, const json_t *value);

#endif
