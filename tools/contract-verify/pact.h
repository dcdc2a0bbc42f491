/* A pact (specification version 4) of messages: gRPC calls as the Protobuf plugin lays them out, and events. */
#ifndef CONTRACT_VERIFY_PACT_H
#define CONTRACT_VERIFY_PACT_H

#include "rules.h"
#include "wire.h"

#define PACT_BYTES_MAX (16u << 20)
#define PACT_INTERACTIONS_MAX 10000
#define PACT_JSON_DEPTH_MAX 64

enum interaction_kind {
    INTERACTION_CALL,    /* Synchronous/Messages */
    INTERACTION_MESSAGE, /* Asynchronous/Messages */
};

struct state {
    const char *name;
    const json_t *params; /* NULL: none */
};

enum contents_form {
    CONTENTS_NONE,
    CONTENTS_PROTOBUF,
    CONTENTS_JSON,
    CONTENTS_BYTES, /* anything else: compared as it is */
};

struct generator {
    const char *name; /* of metadata: the key */
    struct path path; /* of a body */
    const json_t *spec;
};

struct generators {
    struct generator *items;
    size_t count;
};

/* One message with all that is said of it. */
struct part {
    enum contents_form form;
    struct slice bytes;         /* CONTENTS_PROTOBUF, CONTENTS_BYTES */
    const struct element *type; /* CONTENTS_PROTOBUF */
    struct value value;         /* decoded, but for CONTENTS_NONE */
    struct rules body, metadata;
    struct generators body_generators, metadata_generators;
    const json_t *metadata_json; /* NULL: none */
};

struct interaction {
    enum interaction_kind kind;
    const char *description;
    const char *id; /* a broker's name for it; NULL: none */
    bool pending;   /* its failure is no failure of the provider */
    struct state *states;
    size_t state_count;
    struct wire_types types;
    struct part *requests; /* of a call: one, or more where the client streams; else none */
    size_t request_count;
    struct part *responses; /* at least one; of a message exactly one */
    size_t response_count;
    /* of a call */
    const char *path; /* "/tenant.v1.TenantService/GetTenant" */
    const char *service;
    const char *method;
    bool client_streaming, server_streaming;
    bool in_turn;   /* each request waits for the answer to the one before */
    bool left_open; /* after the responses the call is given up; its status is not asked for */
};

/* Owned by pact_read()'s caller; but for patterns, images and the document all is in the ctx's arena. */
struct pact {
    const char *consumer;
    const char *provider;
    struct interaction *interactions;
    size_t interaction_count;
    json_t *document;
    struct pattern_pool *patterns;
    struct pact_image *images;
};

/* Reads a pact and checks all of it: what an interaction needs (descriptors, types, rules, generators) is
 * there and understood.  The bytes may be a stranger's.  `pact` needs pact_deinit() in any case.  Faults:
 * FAULT_CONFIG and FAULT_PROTOCOL, with the interaction and the rule in the text. */
int pact_read(struct ctx *ctx, struct slice bytes, struct pact *pact) MUST_CHECK;
void pact_deinit(struct pact *pact);

/* The gRPC status that a part expects in "grpc-status", by name or number; 0 where it says nothing; -1:
 * neither. */
int part_status(const struct part *part);

#endif
