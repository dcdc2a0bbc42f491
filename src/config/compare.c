/* Two configurations side by side: what a reload has to apply, and what it cannot. */
#include "config/schema.h"

#include <string.h>

static bool is_live(const struct config *one, const struct config *other,
                    const struct config_key *key);
static bool is_same(const struct config *one, const struct config *other,
                    const struct config_key *key);

size_t config_differences(const struct config *one, const struct config *other,
                          enum config_change change, struct buf *paths)
{
    size_t count = 0;
    for (size_t key = 0; key < config_key_count; key++) {
        const struct config_key *row = &config_keys[key];
        if (is_same(one, other, row) || is_live(one, other, row) != (change == CONFIG_CHANGE_LIVE))
            continue;
        buf_printf(paths, "%s%s", count == 0 ? "" : ", ", row->path);
        count++;
    }
    return count;
}

/* What masking makes equal differs in passwords alone. */
static bool is_live(const struct config *one, const struct config *other,
                    const struct config_key *key)
{
    if (key->live != LIVE_PASSWORD || key->kind != KIND_URL)
        return key->live != LIVE_NO;
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    config_put_masked_url(&first, config_text(one, key));
    config_put_masked_url(&second, config_text(other, key));
    bool is_password = slice_equal(buf_slice(&first), buf_slice(&second));
    buf_deinit(&first);
    buf_deinit(&second);
    return is_password;
}

static bool is_same(const struct config *one, const struct config *other,
                    const struct config_key *key)
{
    const void *a = (const char *)one + key->offset;
    const void *b = (const char *)other + key->offset;
    switch (key->kind) {
    case KIND_TEXT:
    case KIND_FILE:
    case KIND_ADDRESS:
    case KIND_URI:
    case KIND_URL:
        return strcmp(config_text(one, key), config_text(other, key)) == 0;
    case KIND_CHOICE:
        return *(const int *)a == *(const int *)b;
    case KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case KIND_PORT:
        return *(const uint16_t *)a == *(const uint16_t *)b;
    case KIND_COUNT:
    case KIND_RATIO:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case KIND_SIZE:
    case KIND_DURATION:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    }
    return false;
}
