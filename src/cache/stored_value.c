/* Fixed-width hex digits, so that the script in Redis can read the version without a library. */
#include "cache/stored_value.h"

#include "base/hash.h"

#include <assert.h>
#include <inttypes.h>

#define CHECKSUM_AT 4
#define BEGAN_AT 28
#define WALL_AT 44
#define KEY_SIZE_AT 60

static bool read_hex(struct slice bytes, size_t at, size_t digits, uint64_t *value);

void stored_value_encode(const struct stored_value *stored, struct buf *out)
{
    assert(stored->key.size <= UINT16_MAX);
    struct buf rest = BUF_EMPTY;
    buf_printf(&rest, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%04zx", stored->version,
               stored->began_us, stored->wall_us, stored->key.size);
    buf_put_slice(&rest, stored->key);
    buf_put_slice(&rest, stored->value);
    buf_printf(out, STORED_MAGIC "%08" PRIx32, hash_fnv1a32(buf_slice(&rest)));
    buf_put_slice(out, buf_slice(&rest));
    buf_deinit(&rest);
}

bool stored_value_decode(struct slice bytes, struct slice key, struct stored_value *stored)
{
    if (bytes.size < STORED_HEAD_SIZE || !slice_starts_with(bytes, STORED_MAGIC))
        return false;
    struct stored_value found = {0};
    uint64_t checksum = 0;
    uint64_t key_size = 0;
    if (!read_hex(bytes, CHECKSUM_AT, 8, &checksum) ||
        !read_hex(bytes, STORED_VERSION_AT, 16, &found.version) ||
        !read_hex(bytes, BEGAN_AT, 16, &found.began_us) ||
        !read_hex(bytes, WALL_AT, 16, &found.wall_us) ||
        !read_hex(bytes, KEY_SIZE_AT, 4, &key_size))
        return false;
    if (checksum != hash_fnv1a32(slice_skip(bytes, STORED_VERSION_AT)))
        return false;
    struct slice rest = slice_skip(bytes, STORED_HEAD_SIZE);
    if (key_size > rest.size)
        return false;
    found.key = slice_make(rest.data, (size_t)key_size);
    found.value = slice_skip(rest, (size_t)key_size);
    if (!slice_equal(found.key, key))
        return false;
    *stored = found;
    return true;
}

static bool read_hex(struct slice bytes, size_t at, size_t digits, uint64_t *value)
{
    uint64_t result = 0;
    for (size_t i = at; i < at + digits; i++) {
        uint8_t byte = bytes.data[i];
        unsigned digit = 16;
        if (byte >= '0' && byte <= '9')
            digit = (unsigned)(byte - '0');
        if (byte >= 'a' && byte <= 'f')
            digit = (unsigned)(byte - 'a') + 10;
        if (digit == 16)
            return false;
        result = result << 4 | digit;
    }
    *value = result;
    return true;
}
