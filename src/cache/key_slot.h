/* Which of the 16384 hash slots of a Redis cluster a key belongs to. */
#ifndef CACHE_KEY_SLOT_H
#define CACHE_KEY_SLOT_H

#include "base/slice.h"

#define KEY_SLOTS 16384

/* CRC-16/XMODEM (polynomial 0x1021, start 0, not reflected). */
uint16_t crc16_xmodem(struct slice bytes);

/* Redis cluster specification, "Hash tags": the bytes between the first '{' and the first '}' after it
 * are hashed instead of the whole key, when there is at least one. */
uint16_t key_slot(struct slice key);

#endif
