/* CRC-16 by nibbles: two look-ups a byte in a table of 32 bytes. */
#include "cache/key_slot.h"

uint16_t crc16_xmodem(struct slice bytes)
{
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                       0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                       0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    uint16_t crc = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        crc = (uint16_t)(crc << 4) ^ table[((crc >> 12) ^ (byte >> 4)) & 15];
        crc = (uint16_t)(crc << 4) ^ table[((crc >> 12) ^ byte) & 15];
    }
    return crc;
}

uint16_t key_slot(struct slice key)
{
    const uint8_t *open = key.size == 0 ? NULL : memchr(key.data, '{', key.size);
    if (open != NULL) {
        struct slice rest = slice_skip(key, (size_t)(open - key.data) + 1);
        const uint8_t *close = rest.size == 0 ? NULL : memchr(rest.data, '}', rest.size);
        if (close != NULL && close != rest.data)
            key = slice_make(rest.data, (size_t)(close - rest.data));
    }
    return crc16_xmodem(key) % KEY_SLOTS;
}
