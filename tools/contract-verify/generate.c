/* Generators.  See generate.h. */
#include "generate.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_OF_TEXT 4096

/* Makes one value; `spec` is the generator's object. */
struct making {
    struct ctx *ctx;
    const json_t *spec;
    const json_t *values;
};

static int from_state(struct making *making, json_t **made);
static int interpolate(struct making *making, const char *expression, json_t **made);
static int random_int(struct making *making, json_t **made);
static int random_text(struct making *making, json_t **made);
static int random_hexadecimal(struct making *making, json_t **made);
static int random_decimal(struct making *making, json_t **made);
static int random_boolean(struct making *making, json_t **made);
static int new_uuid(struct making *making, json_t **made);
static int now_date(struct making *making, json_t **made);
static int now_time(struct making *making, json_t **made);
static int now_datetime(struct making *making, json_t **made);
static int put_value(struct ctx *ctx, const struct generator *generator, const json_t *json,
                     struct value *value);

static const struct {
    const char *name;
    int (*make)(struct making *making, json_t **made);
} types[] = {
    {"ProviderState", from_state},
    {"RandomInt", random_int},
    {"RandomString", random_text},
    {"RandomHexadecimal", random_hexadecimal},
    {"RandomDecimal", random_decimal},
    {"RandomBoolean", random_boolean},
    {"Uuid", new_uuid},
    {"Date", now_date},
    {"Time", now_time},
    {"DateTime", now_datetime},
};

static const char *type_of(const struct generator *generator)
{
    const char *type = json_string_value(json_object_get(generator->spec, "type"));
    return type == NULL ? "" : type;
}

bool generator_is_of_state(const struct generator *generator)
{
    return strcmp(type_of(generator), "ProviderState") == 0;
}

int generators_check(struct ctx *ctx, const struct generators *generators)
{
    for (size_t i = 0; i < generators->count; i++) {
        const struct generator *generator = &generators->items[i];
        json_t *made = NULL;
        bool known = false;
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++)
            known = known || strcmp(types[k].name, type_of(generator)) == 0;
        if (!known)
            return FAULT(ctx, FAULT_CONFIG, "the generator \"%.40s\" of %.60s is not known here",
                         type_of(generator), generator->name);
        if (generator_is_of_state(generator)) {
            if (json_string_value(json_object_get(generator->spec, "expression")) == NULL)
                return FAULT(ctx, FAULT_CONFIG, "the generator of %.60s has no expression",
                             generator->name);
            continue;
        }
        TRY(generate(ctx, generator, NULL, &made));
        json_decref(made);
    }
    return OK;
}

int generate(struct ctx *ctx, const struct generator *generator, const json_t *values,
             json_t **made)
{
    struct making making = {ctx, generator->spec, values};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, type_of(generator)) == 0)
            return types[i].make(&making, made);
    }
    return FAULT(ctx, FAULT_CONFIG, "the generator of %.60s is not known here", generator->name);
}

/* "${name}" in a text, or a name alone. */
static int from_state(struct making *making, json_t **made)
{
    const char *expression = json_string_value(json_object_get(making->spec, "expression"));
    if (expression == NULL)
        return FAULT(making->ctx, FAULT_CONFIG, "a generator has no expression");
    size_t size = strlen(expression);
    const char *name = expression;
    if (strstr(expression, "${") != NULL) {
        bool whole = strncmp(expression, "${", 2) == 0 &&
                     strchr(expression, '}') == expression + size - 1;
        if (!whole)
            return interpolate(making, expression, made);
        name = arena_strndup(making->ctx->arena, expression + 2, size - 3);
    }
    json_t *value = json_object_get(making->values, name);
    if (value == NULL)
        return FAULT(making->ctx, FAULT_CONFIG, "the provider states gave no \"%.60s\"", name);
    *made = json_incref(value);
    return OK;
}

static int interpolate(struct making *making, const char *expression, json_t **made)
{
    struct ctx *ctx = making->ctx;
    struct buf text = BUF_EMPTY;
    int rc = OK;
    for (const char *at = expression; rc == OK && *at != '\0';) {
        const char *end = strncmp(at, "${", 2) == 0 ? strchr(at, '}') : NULL;
        if (end == NULL) {
            buf_put_byte(&text, (uint8_t)*at++);
            continue;
        }
        const char *name = arena_strndup(ctx->arena, at + 2, (size_t)(end - at - 2));
        const json_t *value = json_object_get(making->values, name);
        if (value == NULL)
            rc = FAULT(ctx, FAULT_CONFIG, "the provider states gave no \"%.60s\"", name);
        else
            buf_put_str(&text, generated_text(ctx, value));
        at = end + 1;
    }
    if (rc == OK)
        *made = json_string(buf_str(&text));
    buf_deinit(&text);
    return rc;
}

const char *generated_text(struct ctx *ctx, const json_t *json)
{
    if (json_is_string(json))
        return json_string_value(json);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *kept = arena_strdup(ctx->arena, text == NULL ? "" : text);
    free(text);
    return kept;
}

static json_int_t number_of(const json_t *spec, const char *name, json_int_t usual)
{
    const json_t *number = json_object_get(spec, name);
    return json_is_integer(number) ? json_integer_value(number) : usual;
}

/* A count of characters. */
static int count_of(struct making *making, const char *name, json_int_t usual, size_t *count)
{
    json_int_t number = number_of(making->spec, name, usual);
    if (number < 1 || number > SIZE_MAX_OF_TEXT)
        return FAULT(making->ctx, FAULT_CONFIG, "a generator's %s must be from 1 to %d", name,
                     SIZE_MAX_OF_TEXT);
    *count = (size_t)number;
    return OK;
}

static int random_int(struct making *making, json_t **made)
{
    json_int_t min = number_of(making->spec, "min", 0), max = number_of(making->spec, "max", 10);
    if (min > max || (uint64_t)max - (uint64_t)min == UINT64_MAX)
        return FAULT(making->ctx, FAULT_CONFIG, "RandomInt needs min <= max");
    *made =
        json_integer((json_int_t)((uint64_t)min + random_below((uint64_t)max - (uint64_t)min + 1)));
    return OK;
}

static json_t *text_of(const char *alphabet, size_t size)
{
    char text[SIZE_MAX_OF_TEXT + 1];
    for (size_t i = 0; i < size; i++)
        text[i] = alphabet[random_below(strlen(alphabet))];
    text[size] = '\0';
    return json_string(text);
}

static int random_text(struct making *making, json_t **made)
{
    size_t size = 0;
    TRY(count_of(making, "size", 20, &size));
    *made = text_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", size);
    return OK;
}

static int random_hexadecimal(struct making *making, json_t **made)
{
    size_t size = 0;
    TRY(count_of(making, "digits", 10, &size));
    *made = text_of("0123456789ABCDEF", size);
    return OK;
}

static int random_decimal(struct making *making, json_t **made)
{
    size_t digits = 0;
    TRY(count_of(making, "digits", 10, &digits));
    double number = 0;
    for (size_t i = 0; i < digits && i < 15; i++)
        number = 10 * number + (double)(1 + random_below(9));
    *made = json_real(number / 10);
    return OK;
}

static int random_boolean(struct making *making, json_t **made)
{
    (void)making;
    *made = json_boolean(random_below(2) == 1);
    return OK;
}

static int new_uuid(struct making *making, json_t **made)
{
    char text[UUID_TEXT_SIZE];
    struct uuid uuid = uuid_new();
    (void)making;
    uuid_format(&uuid, text);
    *made = json_string(text);
    return OK;
}

static int now_as(struct making *making, const char *usual, json_t **made)
{
    const char *given = json_string_value(json_object_get(making->spec, "format"));
    struct when_format *format = NULL;
    struct buf text = BUF_EMPTY;
    TRY(when_parse(making->ctx, given == NULL ? usual : given, &format));
    when_print(format, (int64_t)(clock_wall() / NS_PER_S), &text);
    *made = json_string(buf_str(&text));
    buf_deinit(&text);
    return OK;
}

static int now_date(struct making *making, json_t **made)
{
    return now_as(making, "yyyy-MM-dd", made);
}

static int now_time(struct making *making, json_t **made)
{
    return now_as(making, "HH:mm:ss", made);
}

static int now_datetime(struct making *making, json_t **made)
{
    return now_as(making, "yyyy-MM-dd'T'HH:mm:ssXXX", made);
}

int generate_body(struct ctx *ctx, const struct generators *generators, const json_t *values,
                  struct value *body)
{
    for (size_t i = 0; i < generators->count; i++) {
        const struct generator *generator = &generators->items[i];
        struct value *value = path_find(&generator->path, body);
        json_t *made = NULL;
        if (value == NULL)
            return FAULT(ctx, FAULT_CONFIG,
                         "the generator's path %.80s names nothing in the example",
                         generator->name);
        TRY(generate(ctx, generator, values, &made));
        int rc = put_value(ctx, generator, made, value);
        json_decref(made);
        TRY(rc);
    }
    return OK;
}

static int put_number(struct ctx *ctx, const struct generator *generator, const char *text,
                      struct value *value)
{
    char *end = NULL;
    errno = 0;
    if (value->kind == VALUE_UINT)
        value->natural = strtoull(text, &end, 10);
    else if (value->kind == VALUE_INT)
        value->integer = strtoll(text, &end, 10);
    else
        value->real = strtod(text, &end);
    bool fine = errno == 0 && end != text && *end == '\0';
    return fine ? OK
                : FAULT(ctx, FAULT_CONFIG, "the value for %.60s, \"%.60s\", is no number",
                        generator->name, text);
}

static int put_value(struct ctx *ctx, const struct generator *generator, const json_t *json,
                     struct value *value)
{
    const char *text = arena_strdup(ctx->arena, generated_text(ctx, json));
    switch (value->kind) {
    case VALUE_TEXT:
        value->text = slice_of_str(text);
        return OK;
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_REAL:
        return put_number(ctx, generator, text, value);
    case VALUE_BOOL:
        value->truth = strcmp(text, "true") == 0;
        return OK;
    case VALUE_NULL:
    case VALUE_BYTES:
    case VALUE_ENUM:
    case VALUE_LIST:
    case VALUE_MAP:
    case VALUE_MESSAGE:
        return FAULT(ctx, FAULT_CONFIG, "a generator cannot make the %s at %.60s",
                     value_kind_name(value), generator->name);
    }
    return OK;
}

const struct generator *generator_of(const struct generators *generators, const char *key)
{
    for (size_t i = 0; i < generators->count; i++) {
        if (strcmp(generators->items[i].name, key) == 0)
            return &generators->items[i];
    }
    return NULL;
}
