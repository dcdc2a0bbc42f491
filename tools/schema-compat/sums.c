/* SHA256SUMS of a released folder, in the form of sha256sum(1): a released image never changes and never goes.
 * See source.h. */
#include "source.h"

#include "base/alloc.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool line_fits(const char *folder, const char *line, struct list *listed_images);
static bool all_listed(const char *folder, const struct list *listed_images);

void sum_of(struct slice bytes, char out[SUM_TEXT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(bytes.data, bytes.size, digest, &size, EVP_sha256(), NULL) != 1 || size != 32)
        abort();
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

bool sums_fit(const char *folder)
{
    struct buf path = BUF_EMPTY, sums = BUF_EMPTY;
    struct list listed_images = {0};
    buf_printf(&path, "%s/" SUMS_FILE, folder);
    bool fine = access(buf_str(&path), F_OK) != 0 || source_bytes(buf_str(&path), &sums);
    for (const char *line = buf_str(&sums); fine && *line != '\0';) {
        size_t size = strcspn(line, "\n");
        char *one = xstrndup(line, size);
        fine = line_fits(folder, one, &listed_images);
        free(one);
        line += size + (line[size] == '\n');
    }
    fine = fine && all_listed(folder, &listed_images);
    list_deinit(&listed_images);
    buf_deinit(&path);
    buf_deinit(&sums);
    return fine;
}

/* "<64 digits>  NAME" */
static bool line_fits(const char *folder, const char *line, struct list *listed_images)
{
    if (strlen(line) < SUM_TEXT + 2 || strspn(line, "0123456789abcdef") != SUM_TEXT - 1 ||
        strchr(line + SUM_TEXT + 1, '/') != NULL) {
        fprintf(stderr, "schema-compat: %s/" SUMS_FILE ": not a line of sha256sum: %s\n", folder,
                line);
        return false;
    }
    struct buf path = BUF_EMPTY, bytes = BUF_EMPTY;
    buf_printf(&path, "%s/%s", folder, line + SUM_TEXT + 1);
    list_add(listed_images, buf_str(&path));
    bool fine = source_bytes(buf_str(&path), &bytes);
    if (fine) {
        char sum[SUM_TEXT];
        sum_of(buf_slice(&bytes), sum);
        fine = strncmp(sum, line, SUM_TEXT - 1) == 0;
        if (!fine)
            fprintf(stderr, "schema-compat: %s: a released image was changed: restore it\n",
                    buf_str(&path));
    } else {
        fprintf(stderr, "schema-compat: %s: a released image is gone: restore it\n",
                buf_str(&path));
    }
    buf_deinit(&path);
    buf_deinit(&bytes);
    return fine;
}

static bool all_listed(const char *folder, const struct list *listed_images)
{
    struct list images = {0};
    bool fine = folder_images(folder, &images);
    for (size_t i = 0; fine && i < images.count; i++) {
        fine = listed_images->count > 0 &&
               names_hold(listed_images->items, listed_images->count, images.items[i]);
        if (!fine)
            fprintf(stderr,
                    "schema-compat: %s is not in " SUMS_FILE
                    ": release it with schema-compat release\n",
                    images.items[i]);
    }
    list_deinit(&images);
    return fine;
}
