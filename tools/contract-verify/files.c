/* Files and folders.  See files.h. */
#include "files.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_json_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

int file_read(struct ctx *ctx, const char *path, size_t max, struct slice *bytes)
{
    struct buf content = {.limit = max};
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FAULT(ctx, FAULT_IO, "%s: %s", path, strerror(errno));
    do {
        uint8_t part[16384];
        got = read(fd, part, sizeof part);
        if (got > 0)
            buf_put(&content, part, (size_t)got);
    } while ((got > 0 && !content.overflown) || (got < 0 && errno == EINTR));
    int error = errno;
    (void)close(fd);
    struct slice all = buf_slice(&content);
    bool is_large = content.overflown;
    *bytes = slice_make(
        arena_strndup(ctx->arena, all.size == 0 ? "" : (const char *)all.data, all.size), all.size);
    buf_deinit(&content);
    if (got < 0)
        return FAULT(ctx, FAULT_IO, "%s: %s", path, strerror(error));
    return is_large ? FAULT(ctx, FAULT_CONFIG, "%s: larger than %zu bytes", path, max) : OK;
}

int files_of(struct ctx *ctx, const char *word, const char *const **paths, size_t *count)
{
    struct stat about;
    struct dirent **entries = NULL;
    if (stat(word, &about) != 0)
        return FAULT(ctx, FAULT_IO, "%s: %s", word, strerror(errno));
    if (!S_ISDIR(about.st_mode)) {
        const char **one = arena_alloc(ctx->arena, sizeof one[0]);
        one[0] = word;
        *paths = one;
        *count = 1;
        return OK;
    }
    int found = scandir(word, &entries, is_json_file, alphasort);
    if (found < 0)
        return FAULT(ctx, FAULT_IO, "%s: %s", word, strerror(errno));
    const char **all = arena_alloc(ctx->arena, ((size_t)found + 1) * sizeof all[0]);
    for (int i = 0; i < found; i++) {
        all[i] = arena_printf(ctx->arena, "%s/%s", word, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    *paths = all;
    *count = (size_t)found;
    return found > 0 ? OK : FAULT(ctx, FAULT_CONFIG, "%s: no *.json in it", word);
}
