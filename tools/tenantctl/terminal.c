/* Colour, progress and clean text; see terminal.h. */
#include "terminal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t control_size(const unsigned char *text);

void terminal_init(struct terminal *terminal, bool plain)
{
    const char *no_color = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    bool may = !plain && (no_color == NULL || no_color[0] == '\0') &&
               (kind == NULL || strcmp(kind, "dumb") != 0);
    *terminal = (struct terminal){
        .out_is_terminal = isatty(STDOUT_FILENO) == 1,
        .err_is_terminal = isatty(STDERR_FILENO) == 1,
    };
    terminal->out_colour = may && terminal->out_is_terminal;
    terminal->err_colour = may && terminal->err_is_terminal;
}

const char *text_paint(struct arena *arena, bool on, enum colour colour, const char *text)
{
    static const char *const codes[] = {
        [COLOUR_BOLD] = "1",    [COLOUR_RED] = "31",  [COLOUR_GREEN] = "32",
        [COLOUR_YELLOW] = "33", [COLOUR_CYAN] = "36",
    };
    if (!on || colour == COLOUR_NONE)
        return text;
    assert(colour < sizeof codes / sizeof codes[0]);
    return arena_printf(arena, "\033[%sm%s\033[0m", codes[colour], text);
}

const char *text_clean(struct arena *arena, const char *text)
{
    const unsigned char *in = (const unsigned char *)text;
    while (*in != '\0' && control_size(in) == 0)
        in++;
    if (*in == '\0')
        return text;
    char *clean = arena_strdup(arena, text);
    char *out = clean;
    for (in = (const unsigned char *)text; *in != '\0';) {
        size_t control = control_size(in);
        *out++ = control == 0 ? (char)*in : '?';
        in += control == 0 ? 1 : control;
    }
    *out = '\0';
    return clean;
}

/* Bytes of the control character that begins here (C0, DEL, or C1 as UTF-8); 0: none does. */
static size_t control_size(const unsigned char *text)
{
    if (text[0] < 0x20 || text[0] == 0x7F)
        return 1;
    return text[0] == 0xC2 && text[1] >= 0x80 && text[1] < 0xA0 ? 2 : 0;
}

int text_width(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

void progress_show(struct terminal *terminal, const char *format, ...)
{
    if (!terminal->err_is_terminal)
        return;
    va_list arguments;
    va_start(arguments, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fflush(stderr);
    terminal->progress = true;
}

void progress_clear(struct terminal *terminal)
{
    if (!terminal->progress)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    terminal->progress = false;
}
