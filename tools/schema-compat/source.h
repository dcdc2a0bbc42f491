/* Where images come from: files, released folders, and protoc. */
#ifndef SCHEMA_COMPAT_SOURCE_H
#define SCHEMA_COMPAT_SOURCE_H

#include "image.h"
#include "settings.h"

#include "base/buf.h"

#include <stdbool.h>

#define IMAGE_SUFFIX ".binpb"
#define IMAGE_SIZE_MAX (256U << 20)
#define SUMS_FILE "SHA256SUMS"
#define SUM_TEXT 65 /* 64 hexadecimal digits and the end */

/* Each writes a line about what is wrong to standard error and returns false. */
bool source_bytes(const char *path, struct buf *bytes);
/* The image of --image, or what protoc makes of the files (all below the proto paths when none are named). */
bool source_tree(const struct settings *settings, const struct list *files, struct image *image);
/* All images that --against names, in the order of their names. */
struct released {
    struct named_image *items; /* owned */
    size_t count;
};
bool source_released(const struct settings *settings, struct released *released);
void released_deinit(struct released *released);
/* Every image of the folder is as its sums say and none is missing.  A folder without sums holds no image. */
bool sums_fit(const char *folder);
void sum_of(struct slice bytes, char out[SUM_TEXT]);
/* The images of a folder, sorted by path. */
bool folder_images(const char *folder, struct list *paths);

#endif
