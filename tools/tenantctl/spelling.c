/* Edit distance between words; see spelling.h. */
#include "spelling.h"

#define WORD_MAX 64

static unsigned distance(struct slice a, struct slice b);
static unsigned least(unsigned a, unsigned b);

void spelling_offer(struct spelling *spelling, const char *word)
{
    struct slice offered = slice_of_str(word);
    struct slice written = spelling->written;
    if (written.size < 2 || written.size > WORD_MAX || offered.size > WORD_MAX)
        return;
    size_t longer = written.size > offered.size ? written.size : offered.size;
    unsigned allowed = longer <= 4 ? 1 : longer <= 8 ? 2 : 3;
    unsigned off = distance(written, offered);
    bool is_beginning = written.size >= 3 && written.size < offered.size &&
                        memcmp(written.data, offered.data, written.size) == 0;
    if (is_beginning)
        off = least(off, allowed);
    if (off <= allowed && (spelling->best == NULL || off < spelling->distance)) {
        spelling->best = word;
        spelling->distance = off;
    }
}

/* Insertions, deletions, changes and swaps of neighbours that make one word of the other. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned rows[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            unsigned change = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}
