/* What a value may hold that reaches logs, terminals and printed YAML: UTF-8 without control characters, line
 * ends and what YAML calls not printable.  Variables may hold any bytes, the file only UTF-8. */
#include "config/schema.h"

static size_t decode(const unsigned char *bytes, uint32_t *code);
static bool is_printable(uint32_t code);

bool config_is_printable(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        uint32_t code = 0;
        size_t length = decode(at, &code);
        if (length == 0 || !is_printable(code))
            return false;
        at += length;
    }
    return true;
}

/* RFC 3629: the shortest form only, no surrogates, at most U+10FFFF.  0: none of these.  The zero that ends
 * the text is no continuation, so nothing behind it is read. */
static size_t decode(const unsigned char *bytes, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = bytes[0];
    size_t length = first < 0x80                    ? 1
                    : first >= 0xC0 && first < 0xE0 ? 2
                    : first >= 0xE0 && first < 0xF0 ? 3
                    : first >= 0xF0 && first < 0xF8 ? 4
                                                    : 0;
    if (length == 0)
        return 0;
    uint32_t value = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3F);
    }
    *code = value;
    bool is_surrogate = value >= 0xD800 && value < 0xE000;
    return value < least[length] || is_surrogate || value > 0x10FFFF ? 0 : length;
}

/* C0, DEL and C1; the line ends of Unicode; the byte order mark and what is no character. */
static bool is_printable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7F && code < 0xA0))
        return false;
    return code != 0x2028 && code != 0x2029 && code != 0xFEFF && code != 0xFFFE && code != 0xFFFF;
}
