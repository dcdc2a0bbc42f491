/* What a field is read as that was not sent; see compare.h. */
#include "compare.h"

#include "base/buf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name

/* long double holds every 64-bit integer and every double exactly. */
struct default_value {
    bool is_text;
    bool is_float; /* of 32 bits: what it is compared with is rounded too */
    long double number;
    struct buf text;
};

static struct default_value default_of(const struct field_view *view);
static bool can_have_default(const struct field_view *view);
static bool is_zero(const struct default_value *value);
static bool are_equal(const struct default_value *a, const struct default_value *b);
static void unescape(const char *text, struct buf *out);

void compare_field_default(struct comparison *comparison, const struct field_view *old,
                           const struct field_view *new)
{
    if (!can_have_default(old) || !can_have_default(new))
        return;
    struct default_value before = default_of(old), after = default_of(new);
    char label[FIELD_LABEL];
    struct place place = place_inside(&new->place, FIELD_DEFAULT, -1);
    if (!(is_zero(&before) && is_zero(&after)) && !are_equal(&before, &after))
        breach(comparison, RULE_FIELD_SAME_DEFAULT, &place, new->owner->name,
               "%s changed its default from \"%s\" to \"%s\"", field_label(new, label),
               old->field->default_value == NULL ? "" : old->field->default_value,
               new->field->default_value == NULL ? "" : new->field->default_value);
    buf_deinit(&before.text);
    buf_deinit(&after.text);
}

static bool can_have_default(const struct field_view *view)
{
    return view->field->label != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED &&
           view->field->type != TYPE(MESSAGE) && view->field->type != TYPE(GROUP);
}

/* An enum's default is a name, and without one the first value. */
static long double enum_default(const struct field_view *view)
{
    const EnumProto *enumeration =
        image_find_type(view->image, ELEMENT_ENUM, view->field->type_name)->enumeration;
    const char *wanted = view->field->default_value;
    for (size_t i = 0; wanted != NULL && i < enumeration->n_value; i++) {
        if (strcmp(enumeration->value[i]->name, wanted) == 0)
            return enumeration->value[i]->number;
    }
    return enumeration->value[0]->number;
}

static struct default_value default_of(const struct field_view *view)
{
    struct default_value value = {0};
    const FieldProto *field = view->field;
    const char *text = field->default_value == NULL ? "" : field->default_value;
    value.is_text = field->type == TYPE(STRING) || field->type == TYPE(BYTES);
    value.is_float = field->type == TYPE(FLOAT);
    if (field->type == TYPE(STRING))
        buf_put_str(&value.text, text);
    else if (field->type == TYPE(BYTES))
        unescape(text, &value.text);
    else if (field->type == TYPE(ENUM))
        value.number = enum_default(view);
    else if (field->type == TYPE(BOOL))
        value.number = strcmp(text, "true") == 0;
    else if (value.is_float)
        value.number = (long double)strtof(text, NULL);
    else if (field->type == TYPE(DOUBLE))
        value.number = (long double)strtod(text, NULL);
    else
        value.number = strtold(text, NULL);
    return value;
}

static bool is_zero(const struct default_value *value)
{
    return value->is_text ? buf_size(&value->text) == 0 : value->number == 0;
}

static bool are_equal(const struct default_value *a, const struct default_value *b)
{
    if (a->is_text || b->is_text)
        return a->is_text && b->is_text && slice_equal(buf_slice(&a->text), buf_slice(&b->text));
    if (isnan(a->number) || isnan(b->number))
        return isnan(a->number) && isnan(b->number);
    if (a->is_float != b->is_float)
        return (float)a->number == (float)b->number;
    return a->number == b->number;
}

/* descriptor.proto: "For bytes, contains the C escaped value.  All bytes >= 128 are escaped." */
static void unescape(const char *text, struct buf *out)
{
    static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
    while (*text != '\0') {
        char c = *text++;
        if (c != '\\' || *text == '\0') {
            buf_put_byte(out, (uint8_t)c);
            continue;
        }
        c = *text++;
        const char *name = strchr(names, c);
        if (c >= '0' && c <= '7') {
            unsigned octal = (unsigned)(c - '0');
            for (int i = 0; i < 2 && *text >= '0' && *text <= '7'; i++)
                octal = octal * 8 + (unsigned)(*text++ - '0');
            buf_put_byte(out, (uint8_t)octal);
        } else if (c == 'x') {
            char *end;
            buf_put_byte(out,
                         (uint8_t)strtoul((char[]){text[0], text[0] == '\0' ? '\0' : text[1], '\0'},
                                          &end, 16));
            text += text[0] == '\0' ? 0 : text[1] == '\0' ? 1 : 2;
        } else {
            buf_put_byte(out, (uint8_t)(name == NULL ? c : values[name - names]));
        }
    }
}
