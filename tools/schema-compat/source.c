/* Images in files and released folders; see source.h. */
#include "source.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool add_image(struct released *released, const char *path);

bool source_bytes(const char *path, struct buf *bytes)
{
    FILE *file = fopen(path, "re");
    bool fine = file != NULL;
    for (size_t got = 1; fine && got > 0;) {
        got = fread(buf_reserve(bytes, 1 << 16), 1, 1 << 16, file);
        buf_commit(bytes, got);
        fine = !ferror(file) && buf_size(bytes) <= IMAGE_SIZE_MAX;
    }
    if (!fine)
        fprintf(stderr, "schema-compat: %s: %s\n", path,
                buf_size(bytes) > IMAGE_SIZE_MAX ? "too large for an image" : strerror(errno));
    if (file != NULL)
        fclose(file);
    return fine;
}

bool source_released(const struct settings *settings, struct released *released)
{
    *released = (struct released){0};
    struct list paths = {0};
    bool fine = true;
    for (size_t i = 0; fine && i < settings->against.count; i++) {
        const char *path = settings->against.items[i];
        struct stat about;
        if (stat(path, &about) != 0) {
            fprintf(stderr, "schema-compat: %s: %s\n", path, strerror(errno));
            fine = false;
        } else if (S_ISDIR(about.st_mode)) {
            fine = sums_fit(path) && folder_images(path, &paths);
        } else {
            list_add(&paths, path);
        }
    }
    for (size_t i = 0; fine && i < paths.count; i++)
        fine = add_image(released, paths.items[i]);
    list_deinit(&paths);
    if (!fine)
        released_deinit(released);
    return fine;
}

void released_deinit(struct released *released)
{
    for (size_t i = 0; i < released->count; i++) {
        free(released->items[i].name);
        image_deinit(&released->items[i].image);
    }
    free(released->items);
    *released = (struct released){0};
}

bool folder_images(const char *folder, struct list *paths)
{
    DIR *opened = opendir(folder);
    if (opened == NULL) {
        fprintf(stderr, "schema-compat: %s: %s\n", folder, strerror(errno));
        return false;
    }
    struct list found = {0};
    for (struct dirent *entry; (entry = readdir(opened)) != NULL;) {
        size_t size = strlen(entry->d_name), suffix = strlen(IMAGE_SUFFIX);
        if (size > suffix && strcmp(entry->d_name + size - suffix, IMAGE_SUFFIX) == 0)
            list_add(&found, entry->d_name);
    }
    closedir(opened);
    list_sort(&found);
    for (size_t i = 0; i < found.count; i++) {
        struct buf path = BUF_EMPTY;
        buf_printf(&path, "%s/%s", folder, found.items[i]);
        list_add(paths, buf_str(&path));
        buf_deinit(&path);
    }
    list_deinit(&found);
    return true;
}

static bool add_image(struct released *released, const char *path)
{
    struct buf bytes = BUF_EMPTY;
    struct named_image next = {0};
    char *why = NULL;
    bool fine = source_bytes(path, &bytes);
    if (fine && !image_read(&next.image, buf_slice(&bytes), &why)) {
        fprintf(stderr, "schema-compat: %s: %s\n", path, why);
        fine = false;
    }
    free(why);
    buf_deinit(&bytes);
    if (!fine)
        return false;
    const char *slash = strrchr(path, '/');
    next.name = xstrdup(slash == NULL ? path : slash + 1);
    char *suffix = strstr(next.name, IMAGE_SUFFIX);
    if (suffix != NULL)
        *suffix = '\0';
    released->items = xrealloc(released->items, (released->count + 1) * sizeof released->items[0]);
    released->items[released->count++] = next;
    return true;
}
