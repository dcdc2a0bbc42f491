/* A program that answers each line of its standard input with a line. */
#ifndef CONTRACT_VERIFY_COPROCESS_H
#define CONTRACT_VERIFY_COPROCESS_H

#include "base/ctx.h"

#define COPROCESS_LINE_MAX (16u << 20)

struct coprocess;

/* Runs `sh -c COMMAND`; its standard error is ours.  Fault: FAULT_IO. */
int coprocess_start(struct ctx *ctx, const char *command, struct coprocess **coprocess) MUST_CHECK;
/* Closes its input, waits for it a while, then ends it.  Accepts NULL. */
void coprocess_stop(struct coprocess *coprocess);

/* Sends the line (a newline is added) and waits for one.  The answer is in the arena, without its newline.
 * After a fault the program is out of step: every later call fails.  Faults: FAULT_IO (it has ended),
 * FAULT_TIMEOUT, FAULT_PROTOCOL (the line is too long). */
int coprocess_ask(struct ctx *ctx, struct coprocess *coprocess, const char *line,
                  const char **answer) MUST_CHECK;

#endif
