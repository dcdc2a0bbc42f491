/* tenantctl events and tenantctl dlq, with their own flags. */
#ifndef TENANTCTL_EVENTS_COMMANDS_H
#define TENANTCTL_EVENTS_COMMANDS_H

#include "cli.h"

extern const struct flag_set tail_set;
extern const struct flag_set get_set;
extern const struct flag_set replay_set;
extern const struct flag_set lag_set;
extern const struct flag_set reset_set;
extern const struct flag_set letters_set; /* which dead letters */
extern const struct flag_set list_letters_set;
extern const struct flag_set show_letter_set;
extern const struct flag_set change_letters_set;

int events_tail(struct cli *cli);
int events_get(struct cli *cli);
int events_replay(struct cli *cli);
int events_lag(struct cli *cli);
int events_reset(struct cli *cli);
int dlq_list(struct cli *cli);
int dlq_show(struct cli *cli);
int dlq_requeue(struct cli *cli);
int dlq_drop(struct cli *cli);

#endif
