/* Dead letters: whatever lies in the stream is survived; what is read as a letter can be written again and is then
 * the same letter, within what a header may hold.
 *
 * Input: the subject up to the first newline, then the block of headers. */
#include "events/dead_letter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

static bool message_find(const void *from, const char *name, struct slice *value)
{
    const struct jetstream_message *message = from;
    for (size_t i = 0; i < JETSTREAM_HEADERS_MAX && message->headers[i].name != NULL; i++) {
        if (strcmp(message->headers[i].name, name) != 0)
            continue;
        *value = slice_of_str(message->headers[i].value);
        return true;
    }
    return false;
}

static bool is_plain(struct slice text, size_t max)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7E)
            return false;
    }
    return text.size <= max;
}

static void again(struct arena *arena, struct dead_letter *letter)
{
    struct jetstream_message message;
    struct dead_letter read;
    dead_letter_message(arena, letter, 1 << 20, &message);
    for (size_t i = 0; i < JETSTREAM_HEADERS_MAX && message.headers[i].name != NULL; i++)
        EXPECT(is_plain(slice_of_str(message.headers[i].value), DEAD_LETTER_DETAIL_MAX));
    const struct header_source source = {message_find, &message};
    EXPECT(dead_letter_parse(slice_of_str(message.subject), source, &read));
    EXPECT(read.kind == letter->kind && read.partition == letter->partition);
    EXPECT(slice_equal(read.consumer, letter->consumer) && slice_equal(read.cause, letter->cause));
    EXPECT(read.stream_seq == letter->stream_seq && read.deliveries == letter->deliveries);
    EXPECT(read.requeues == letter->requeues && read.time_us == letter->time_us);
    EXPECT(!is_plain(letter->event_id, 256) || slice_equal(read.event_id, letter->event_id));
    EXPECT(!is_plain(letter->detail, DEAD_LETTER_DETAIL_MAX) ||
           slice_equal(read.detail, letter->detail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size == 0 ? NULL : memchr(data, '\n', size);
    if (newline == NULL)
        return 0;
    size_t subject_size = (size_t)(newline - data);
    size_t block_size = size - subject_size - 1;
    /* memory of their own sizes: a byte read too far is seen */
    uint8_t *subject = malloc(subject_size == 0 ? 1 : subject_size);
    uint8_t *block = malloc(block_size == 0 ? 1 : block_size);
    EXPECT(subject != NULL && block != NULL);
    memcpy(subject, data, subject_size);
    memcpy(block, newline + 1, block_size);
    struct arena *arena = arena_new(0);
    struct slice headers = slice_make(block, block_size);
    struct dead_letter letter;
    if (dead_letter_parse(slice_make(subject, subject_size), header_source_block(&headers),
                          &letter))
        again(arena, &letter);
    struct dead_letter_counts counts;
    (void)dead_letter_counts_read(headers, &counts);
    arena_free(arena);
    free(block);
    free(subject);
    return 0;
}
