/* Headers and sizes; see message.h.  Called by whoever sends or reads messages; knows no connection. */
#include "events/message.h"

/* "NATS/1.0", one line per header, an empty line: what HPUB counts as header bytes, and the
 * payload. */
size_t jetstream_message_size(const struct jetstream_message *message)
{
    size_t size = message->payload.size + strlen("NATS/1.0\r\n\r\n");
    for (const struct jetstream_header *header = message->headers;
         header < message->headers + JETSTREAM_HEADERS_MAX && header->name != NULL; header++)
        size += strlen(header->name) + strlen(header->value) + strlen(": \r\n");
    return size;
}

/* Names are compared by case, as the server keeps them; the block comes from a server and may
 * hold anything. */
bool nats_header_find(struct slice block, const char *name, struct slice *value)
{
    size_t length = strlen(name);
    if (block.size == 0)
        return false;
    const uint8_t *end = block.data + block.size;
    for (const uint8_t *line = block.data; line < end;) {
        const uint8_t *stop = memchr(line, '\r', (size_t)(end - line));
        if (stop == NULL)
            return false;
        size_t size = (size_t)(stop - line);
        if (size > length && line[length] == ':' && memcmp(line, name, length) == 0) {
            struct slice rest = slice_make(line + length + 1, size - length - 1);
            while (rest.size > 0 && rest.data[0] == ' ')
                rest = slice_skip(rest, 1);
            *value = rest;
            return true;
        }
        line = stop + (stop + 1 < end && stop[1] == '\n' ? 2 : 1);
    }
    return false;
}
