/* Emits through libyaml, which knows when a text must be quoted for its characters; what it does not know is
 * when a plain text would be read back as a number, a truth or nothing. */
#include "yaml_text.h"

#include <yaml.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool put(yaml_emitter_t *emitter, const json_t *value);
static bool put_list(yaml_emitter_t *emitter, const json_t *list);
static bool put_map(yaml_emitter_t *emitter, const json_t *map);
static bool put_scalar(yaml_emitter_t *emitter, const char *text, bool is_text);
static bool would_change(const char *text);
static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int made);

bool yaml_write(FILE *out, const json_t *value)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter))
        abort();
    yaml_emitter_set_output_file(&emitter, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    bool good =
        emit(&emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    good = good && emit(&emitter, &event,
                        yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    good = good && put(&emitter, value);
    good = good && emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1));
    good = good && emit(&emitter, &event, yaml_stream_end_event_initialize(&event));
    good = good && yaml_emitter_flush(&emitter) == 1;
    yaml_emitter_delete(&emitter);
    return good;
}

static bool put(yaml_emitter_t *emitter, const json_t *value)
{
    char number[40];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_map(emitter, value);
    case JSON_ARRAY:
        return put_list(emitter, value);
    case JSON_STRING:
        return put_scalar(emitter, json_string_value(value), true);
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return put_scalar(emitter, number, false);
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        return put_scalar(emitter, number, false);
    case JSON_TRUE:
        return put_scalar(emitter, "true", false);
    case JSON_FALSE:
        return put_scalar(emitter, "false", false);
    case JSON_NULL:
        return put_scalar(emitter, "null", false);
    }
    abort();
}

static bool put_list(yaml_emitter_t *emitter, const json_t *list)
{
    yaml_event_t event;
    bool good = emit(
        emitter, &event,
        yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = put(emitter, json_array_get(list, i));
    return good && emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool put_map(yaml_emitter_t *emitter, const json_t *map)
{
    yaml_event_t event;
    bool good =
        emit(emitter, &event,
             yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    /* jansson's iteration takes no const and changes nothing */
    union {
        const json_t *in;
        json_t *out;
    } cast = {.in = map};
    for (void *at = json_object_iter(cast.out); good && at != NULL;
         at = json_object_iter_next(cast.out, at))
        good = put_scalar(emitter, json_object_iter_key(at), true) &&
               put(emitter, json_object_iter_value(at));
    return good && emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool put_scalar(yaml_emitter_t *emitter, const char *text, bool is_text)
{
    yaml_event_t event;
    yaml_scalar_style_t style = !is_text             ? YAML_PLAIN_SCALAR_STYLE
                                : would_change(text) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                                     : YAML_ANY_SCALAR_STYLE;
    return emit(emitter, &event,
                yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, -1, 1,
                                             1, style));
}

/* YAML 1.1's words and everything that begins like a number or a date. */
static bool would_change(const char *text)
{
    static const char *const words[] = {"null", "~",   "true", "false", "yes", "no",
                                        "on",   "off", "y",    "n",     "=",   "<<"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return text[0] == '\0' || strchr("0123456789+-.", text[0]) != NULL;
}

static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int made)
{
    if (made != 1)
        abort(); /* no memory, or text that is not UTF-8, which jansson does not hold */
    return yaml_emitter_emit(emitter, event) == 1;
}
