/* Fixed-width hex digits, so that the script in Redis can compare them without a library. */
#include "cache/stored_value.h"

#include "base/hash.h"

#include <assert.h>
#include <inttypes.h>

#define CHECKSUM_AT 4
#define FIELDS_AT (STORED_RULE_AT + 1)
#define FIELD_DIGITS 16
#define KEY_SIZE_AT (FIELDS_AT + FIELD_COUNT * FIELD_DIGITS)

/* In their order. */
enum field { ERA, INCARNATION, COUNTER, VERSION, XMIN, BEGAN, WALL, FIELD_COUNT };

_Static_assert(STORED_RANK_AT == FIELDS_AT + INCARNATION * FIELD_DIGITS, "the rank begins there");
_Static_assert(STORED_HEAD_SIZE == KEY_SIZE_AT + 4, "the head ends with the key's size");

static const char rule_letters[] = {[CACHE_AGED] = 'a', [CACHE_HINT] = 'h', [CACHE_EPOCH] = 'e'};

static bool read_rule(uint8_t letter, enum cache_rule *rule);
static bool read_hex(struct slice bytes, size_t at, size_t digits, uint64_t *value);

void stored_value_encode(const struct stored_value *stored, struct buf *out)
{
    assert(stored->key.size <= UINT16_MAX);
    const struct epoch_stamp *stamp = &stored->stamp;
    const uint64_t fields[FIELD_COUNT] = {
        [ERA] = stamp->era,
        [INCARNATION] = (uint64_t)stamp->seen.epoch.incarnation,
        [COUNTER] = (uint64_t)stamp->seen.epoch.counter,
        [VERSION] = stored->version,
        [XMIN] = stamp->seen.xmin,
        [BEGAN] = stored->began_us,
        [WALL] = stored->wall_us,
    };
    struct buf rest = BUF_EMPTY;
    buf_put(&rest, &rule_letters[stored->rule], 1);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        buf_printf(&rest, "%016" PRIx64, fields[i]);
    buf_printf(&rest, "%04zx", stored->key.size);
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
    uint64_t checksum = 0;
    uint64_t key_size = 0;
    uint64_t fields[FIELD_COUNT];
    bool sound = read_hex(bytes, CHECKSUM_AT, 8, &checksum) &&
                 read_hex(bytes, KEY_SIZE_AT, 4, &key_size);
    for (size_t i = 0; sound && i < FIELD_COUNT; i++)
        sound = read_hex(bytes, FIELDS_AT + i * FIELD_DIGITS, FIELD_DIGITS, &fields[i]);
    if (!sound || checksum != hash_fnv1a32(slice_skip(bytes, STORED_RULE_AT)))
        return false;
    struct stored_value found = {
        .stamp = {.era = fields[ERA],
                  .seen = {{(int64_t)fields[INCARNATION], (int64_t)fields[COUNTER]}, fields[XMIN]}},
        .version = fields[VERSION],
        .began_us = fields[BEGAN],
        .wall_us = fields[WALL],
    };
    struct slice rest = slice_skip(bytes, STORED_HEAD_SIZE);
    if (!read_rule(bytes.data[STORED_RULE_AT], &found.rule) || key_size > rest.size)
        return false;
    found.key = slice_make(rest.data, (size_t)key_size);
    found.value = slice_skip(rest, (size_t)key_size);
    if (!slice_equal(found.key, key))
        return false;
    *stored = found;
    return true;
}

static bool read_rule(uint8_t letter, enum cache_rule *rule)
{
    for (size_t i = 0; i < sizeof rule_letters; i++) {
        if (rule_letters[i] != letter)
            continue;
        *rule = (enum cache_rule)i;
        return true;
    }
    return false;
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
