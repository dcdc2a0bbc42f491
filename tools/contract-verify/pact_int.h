/* Parts of reading a pact, for pact.c, pact_interaction.c and pact_part.c. */
#ifndef CONTRACT_VERIFY_PACT_INT_H
#define CONTRACT_VERIFY_PACT_INT_H

#include "pact.h"

struct pact_image {
    const char *key;
    struct image image;
    struct pact_image *next;
};

int interaction_read(struct ctx *ctx, struct pact *pact, const json_t *json,
                     struct interaction *interaction) MUST_CHECK;

/* What a part is read for. */
struct part_context {
    struct pact *pact;
    struct interaction *interaction;
    const struct element *type; /* of protobuf contents; NULL: the content type must name it */
};

/* A request, a response, or the members of an asynchronous message. */
int part_read(struct ctx *ctx, const struct part_context *context, const json_t *json,
              struct part *part) MUST_CHECK;

#endif
