"""Random edits of descriptors.  An edit is a function of (random source, old files, new files): most change only the
new side; some first give the old side what the real protos do not have (proto2, extension ranges, reservations), on
both sides alike.  It returns what it did, or None where the dice fell on nothing to edit.

Every edit leaves both sides such that they would compile."""
import copy

from google.protobuf import descriptor_pool

from field_edits import (field_add, field_ctype, field_delete, field_enum_to_int, field_enum_to_other, field_json_name,
                         field_jstype, field_map_to_list, field_message_type, field_number, field_optional,
                         field_optional_no_more, field_rename, field_repeated, field_type, oneof_delete, oneof_move,
                         reserved, reserved_used)
from proto2_edits import default, default_enum, extension, extension_range, required, syntax, syntax_back, utf8
from sides import Side
from type_edits import (comment_only, enum_alias, enum_value_add, enum_value_delete, enum_value_number,
                        enum_value_rename, file_delete, file_options, file_package, message_option, payload,
                        reserved_enum, rpc_add, rpc_change, rpc_delete, service_delete, type_delete)

EDITS = [
    (field_delete, 6), (field_rename, 4), (field_json_name, 2), (field_type, 8), (field_number, 6), (field_repeated, 4), (field_optional, 2),
    (field_optional_no_more, 1), (field_add, 6), (field_jstype, 4), (field_ctype, 8), (field_message_type, 2), (field_enum_to_int, 2),
    (field_enum_to_other, 4), (field_map_to_list, 5), (oneof_move, 5), (oneof_delete, 3), (reserved, 6), (reserved_used, 5), (reserved_enum, 6), (enum_value_delete, 6),
    (enum_value_rename, 4), (enum_value_add, 3), (enum_alias, 3), (enum_value_number, 2), (rpc_delete, 4), (rpc_change, 32), (service_delete, 6),
    (rpc_add, 2), (type_delete, 18), (payload, 6), (file_delete, 9), (file_package, 6), (file_options, 54), (message_option, 5), (syntax, 12), (syntax_back, 2),
    (required, 8), (default, 7), (default_enum, 3), (extension_range, 7), (extension, 12), (utf8, 3), (comment_only, 3),
]


def stands(image):
    """Whether every name is there once and every type that is used."""
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in image.file:
            pool.Add(file)
        for file in image.file:
            pool.FindFileByName(file.name)
    except (TypeError, KeyError):
        return False
    return True


def edit(rng, image):
    """(old image, new image, what was done).  Several edits can get into each other's way: then others are made."""
    functions, weights = zip(*EDITS)
    while True:
        old, new = Side(copy.deepcopy(image)), Side(copy.deepcopy(image))
        picked = rng.choices(functions, weights, k=rng.choice([1, 1, 1, 2, 3]))
        done = [told for told in (function(rng, old, new) for function in picked) if told]
        if done and stands(old.image) and stands(new.image):
            return old.image, new.image, done
