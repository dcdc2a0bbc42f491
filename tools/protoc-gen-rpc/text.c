/* Text being generated; see text.h.  The names follow protobuf-c's compiler, whose output we call. */
#include "text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *vformat(const char *format, va_list arguments)
{
    char *out = NULL;
    if (vasprintf(&out, format, arguments) < 0)
        abort();
    return out;
}

char *format_text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *out = vformat(format, arguments);
    va_end(arguments);
    return out;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *piece = vformat(format, arguments);
    va_end(arguments);
    size_t size = strlen(piece);
    char *data = realloc(text->data, text->size + size + 1);
    if (data == NULL)
        abort();
    memcpy(data + text->size, piece, size + 1);
    text->data = data;
    text->size += size;
    free(piece);
}

char *name_of_type(const char *full_name)
{
    struct text out = {NULL, 0};
    bool start = true;
    for (const char *c = full_name + (*full_name == '.'); *c != '\0'; c++) {
        if (*c == '.')
            text_add(&out, "__");
        else if (*c != '_')
            text_add(&out, "%c", start ? toupper((unsigned char)*c) : *c);
        start = *c == '.' || *c == '_';
    }
    return out.data;
}

char *name_of_functions(const char *full_name)
{
    struct text out = {NULL, 0};
    char previous = '.';
    for (const char *c = full_name + (*full_name == '.'); *c != '\0'; c++) {
        if (*c == '.')
            text_add(&out, "__");
        else if (isupper((unsigned char)*c))
            text_add(&out, "%s%c", previous == '.' ? "" : "_", tolower((unsigned char)*c));
        else
            text_add(&out, "%c", *c);
        previous = *c;
    }
    return out.data;
}

char *name_snake(const char *camel)
{
    return name_of_functions(camel);
}
