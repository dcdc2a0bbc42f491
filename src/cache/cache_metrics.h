/* What the room counts.  One struct per worker, shared by its connections. */
#ifndef CACHE_CACHE_METRICS_H
#define CACHE_CACHE_METRICS_H

#include "base/metrics.h"

enum cache_lookup { LOOKUP_MEMORY, LOOKUP_REDIS, LOOKUP_MISS, LOOKUP_COUNT };

enum cache_put_fate {
    PUT_STORED,      /* Redis keeps it */
    PUT_OLDER,       /* memory or Redis knows a newer version */
    PUT_STALE,       /* max_age passed, or the database's era, before it arrived in memory or Redis */
    PUT_LARGE,       /* over CACHE_VALUE_MAX */
    PUT_UNREACHABLE, /* the node's connection is not ready, or its breaker is open */
    PUT_FULL,        /* the connection's queue is full */
    PUT_CLOCK,       /* the node's clock is not known well enough */
    PUT_FAILED,      /* sent, but Redis answered an error, late or not at all */
    PUT_COUNT
};

enum cache_trouble {
    TROUBLE_CONNECT,     /* TCP: refused, reset, timed out */
    TROUBLE_TLS,         /* handshake */
    TROUBLE_GREETING,    /* AUTH, the script or TIME was refused, or took too long */
    TROUBLE_LOST,        /* an established connection ended */
    TROUBLE_PROTOCOL,    /* bytes that are no RESP, or an answer to no question */
    TROUBLE_OVERSIZE,    /* an answer over its bounds */
    TROUBLE_TIMEOUT,     /* a command's deadline */
    TROUBLE_LOADING,     /* -LOADING */
    TROUBLE_CLUSTERDOWN, /* -CLUSTERDOWN */
    TROUBLE_TRYAGAIN,    /* -TRYAGAIN */
    TROUBLE_REFUSED,     /* any other error reply */
    TROUBLE_UNREACHABLE, /* a look-up whose node is not connected, or nobody knows it: answered at once */
    TROUBLE_FULL,        /* a look-up that found the connection's queue full: likewise */
    TROUBLE_REDIRECTS, /* too many MOVED and ASK in a row */
    TROUBLE_TYPE,      /* an answer of another type than the command's */
    TROUBLE_VALUE,     /* a stored value that is not ours, damaged or of another key */
    TROUBLE_CLOCK,     /* a stored value whose two clocks disagree */
    TROUBLE_MAP,       /* CLUSTER SLOTS answered nonsense, or too many nodes */
    TROUBLE_COUNT
};

/* Why an entry that was found is not given. */
enum cache_refusal {
    REFUSED_VIEW_STALE, /* the feed of epochs is cut off or late */
    REFUSED_OLDER,      /* its tenant has changed since */
    REFUSED_BELOW_BASE, /* too long ago to know */
    REFUSED_OTHER_ERA,  /* the database was taken back in time, or failed over */
    REFUSED_TOO_EARLY,  /* the caller's consistency token asks for more */
    REFUSED_COUNT
};

/* Tasks that found another one reading what they missed. */
enum cache_coalesced {
    FLIGHT_FOLLOWED, /* and waited for it */
    FLIGHT_LEFT,     /* and gave up waiting */
    FLIGHT_COUNT
};

enum cache_redirect { REDIRECT_MOVED, REDIRECT_ASK, REDIRECT_COUNT };

struct cache_metrics {
    struct metric *lookups[LOOKUP_COUNT];
    struct metric *puts[PUT_COUNT];
    struct metric *troubles[TROUBLE_COUNT];
    struct metric *redirects[REDIRECT_COUNT];
    struct metric *refusals[REFUSED_COUNT];
    struct metric *coalesced[FLIGHT_COUNT];
    struct metric *round_trip;    /* histogram, seconds, from queueing to the last answer */
    struct metric *nodes_ready;   /* gauge */
    struct metric *breakers_open; /* gauge */
    struct metric *openings;      /* counter */
    struct metric *in_flight;     /* gauge */
};

void cache_metrics_init(struct cache_metrics *counted, struct metrics *metrics);
const char *cache_trouble_name(enum cache_trouble trouble);

#endif
