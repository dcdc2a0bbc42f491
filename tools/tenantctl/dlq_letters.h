/* Dead letters in stream TENANT_DLQ, and which of them a command is about. */
#ifndef TENANTCTL_DLQ_LETTERS_H
#define TENANTCTL_DLQ_LETTERS_H

#include "event_select.h"
#include "streams.h"

#include "events/dead_letter.h"

struct letter {
    struct stored_message stored; /* seq 0: there is none */
    struct dead_letter dead;      /* its texts are in the arena; the body is stored.body */
};

/* Which letters: those that the arguments name, or those that all the filters fit. */
struct letter_choice {
    struct event_select select; /* --tenant, --type, --since */
    const char *consumer;       /* "relay" for the relay's; NULL: any */
    const char *cause;          /* NULL: any */
    const char *const *names;   /* sequences and event ids, as given */
    size_t name_count;
    bool filtered; /* a filter or --all was given */
    bool requeued; /* also letters that were handed back already */
};

/* Reads flags and arguments.  OK, or EXIT_USAGE after saying what is wrong. */
int letter_choice_take(struct cli *cli, struct letter_choice *out);

/* Looks through the stream and calls `take` for each letter that was chosen, in order; its arena is given up
 * behind the call.  Ends at the first that returns anything but OK, and returns that.  OK or a fault. */
int letters_visit(struct streams *streams, const struct letter_choice *choice,
                  int (*take)(void *context, const struct letter *letter), void *context);
/* The letter with this sequence; stored.seq is 0 when it is gone or is no letter.  OK or a fault. */
int letter_at(struct streams *streams, uint64_t seq, struct letter *out);

/* A text of a letter as a string; in the arena. */
const char *letter_text(struct arena *arena, struct slice text);

#endif
