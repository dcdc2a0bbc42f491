/* What standard output and standard error are, and what may be sent there: colour, progress, clean text. */
#ifndef TENANTCTL_TERMINAL_H
#define TENANTCTL_TERMINAL_H

#include "base/arena.h"

#include <stdbool.h>

struct terminal {
    bool out_is_terminal;
    bool err_is_terminal;
    bool out_colour; /* colour on standard output */
    bool err_colour; /* and on standard error */
    bool progress;   /* a progress line stands on standard error */
};

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_CYAN };

/* Colour goes to terminals only, and not with `plain`, NO_COLOR (https://no-color.org) or TERM=dumb. */
void terminal_init(struct terminal *terminal, bool plain);

/* The text in a colour, or as it is when `on` is false.  In the arena, or `text` itself. */
const char *text_paint(struct arena *arena, bool on, enum colour colour, const char *text);
/* The text with every control character replaced by '?': what a server sends cannot steer the
 * terminal.  In the arena, or `text` itself. */
const char *text_clean(struct arena *arena, const char *text);
/* Characters that the text takes on a line; UTF-8. */
int text_width(const char *text);

/* Shows a line on standard error in place of the last one; nothing when that is no terminal. */
void progress_show(struct terminal *terminal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes the line away; call it before anything else is printed. */
void progress_clear(struct terminal *terminal);

#endif
