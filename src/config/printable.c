/* What a value may hold that reaches logs, terminals and printed YAML: UTF-8 without control characters, line
 * ends and what YAML calls not printable.  Variables may hold any bytes, the file only UTF-8. */
#include "config/schema.h"

#include "base/utf8.h"

static bool is_printable(uint32_t code);

bool config_is_printable(const char *text)
{
    struct slice left = slice_of_str(text);
    while (left.size > 0) {
        size_t length = utf8_length(left);
        if (length == 0 || !is_printable(utf8_point(left.data, length)))
            return false;
        left = slice_skip(left, length);
    }
    return true;
}

/* C0, DEL and C1; the line ends of Unicode; the byte order mark and what is no character. */
static bool is_printable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7F && code < 0xA0))
        return false;
    return code != 0x2028 && code != 0x2029 && code != 0xFEFF && code != 0xFFFE && code != 0xFFFF;
}
