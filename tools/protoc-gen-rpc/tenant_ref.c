/* The fields that name the tenant: from a request down to one string, by marks that leave no doubt. */
#include "model.h"

#define TYPE(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define REPEATED GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED

/* Field numbers in descriptor.proto that make up a source location's path. */
enum { FILE_MESSAGE = 4, MESSAGE_NESTED = 3 };

static void check_message(struct generator *generator, const struct message_place *place);
static const FieldProto *marked_in(struct generator *generator, const struct message_place *place,
                                   size_t *at);
static const char *mark_fault(const FieldProto *field);

/* A mark that the generated code could not follow is an error where it stands, not a method without tenant. */
enum tenant_marks tenant_ref_find(struct generator *generator, struct method_model *method)
{
    struct message_place place;
    const char *type = method->proto->input_type;
    method->step_count = 0;
    for (size_t steps = 0; message_locate(generator, type, &place); steps++) {
        size_t at = 0;
        const FieldProto *marked = marked_in(generator, &place, &at);
        if (marked == NULL)
            return steps == 0 ? TENANT_MARKS_NONE : TENANT_MARKS_DEAD_END;
        const char *fault = steps == TENANT_STEPS_MAX ? "tenant_ref lies more than 4 fields deep"
                                                      : mark_fault(marked);
        if (fault != NULL) {
            field_error(generator, &place, at, fault);
            return TENANT_MARKS_WRONG;
        }
        method->steps[steps] = marked;
        if (marked->type == TYPE(STRING)) {
            method->step_count = steps + 1;
            return TENANT_MARKS_FOUND;
        }
        type = marked->type_name;
    }
    return TENANT_MARKS_DEAD_END;
}

/* Also what no served method reaches today: it would be reached tomorrow, and be wrong then. */
void tenant_refs_check(struct generator *generator, const FileProto *file)
{
    for (size_t i = 0; i < file->n_message_type; i++)
        check_message(generator, &(struct message_place){
                                     file, file->message_type[i], {FILE_MESSAGE, (int)i}, 2});
}

static void check_message(struct generator *generator, const struct message_place *place)
{
    for (size_t i = 0; i < place->message->n_field; i++) {
        const FieldProto *field = place->message->field[i];
        const char *fault = field_is_tenant_ref(field) ? mark_fault(field) : NULL;
        if (fault != NULL)
            field_error(generator, place, i, fault);
    }
    for (size_t i = 0; i < place->message->n_nested_type && place->path_size + 4 <= PLACE_MAX;
         i++) {
        struct message_place inner = *place;
        inner.message = place->message->nested_type[i];
        inner.path[inner.path_size++] = MESSAGE_NESTED;
        inner.path[inner.path_size++] = (int)i;
        check_message(generator, &inner);
    }
}

/* The one marked field; of several, the second is in error. */
static const FieldProto *marked_in(struct generator *generator, const struct message_place *place,
                                   size_t *at)
{
    const FieldProto *marked = NULL;
    for (size_t i = 0; i < place->message->n_field; i++) {
        const FieldProto *field = place->message->field[i];
        if (!field_is_tenant_ref(field))
            continue;
        if (marked != NULL) {
            field_error(generator, place, i, "a second tenant_ref: which one is meant?");
            continue;
        }
        marked = field;
        *at = i;
    }
    return marked;
}

/* NULL: fit to be marked. */
static const char *mark_fault(const FieldProto *field)
{
    if (field->label == REPEATED)
        return "tenant_ref on a repeated field: a request names one tenant";
    if (field->has_oneof_index)
        return "tenant_ref in a oneof: it could be another of its fields that is set";
    if (field->type != TYPE(STRING) && field->type != TYPE(MESSAGE))
        return "tenant_ref must be on a string, or on the message that holds it";
    return NULL;
}
