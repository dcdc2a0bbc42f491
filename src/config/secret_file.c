/* Secrets from files: a URL with a password may stand in a file that another key names, as Docker and
 * Kubernetes mount it.  Never shows what it read; a file that anybody may write is refused, for whoever
 * writes it chooses where we connect.  Readable by all is allowed: so Kubernetes mounts secrets. */
#include "config/schema.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES_MAX 8192

static void fill(struct config_loading *loading, size_t file_key);
static void refuse_both(struct config_loading *loading, size_t file_key, size_t key);
static const char *read_secret(struct config_loading *loading, size_t file_key);
static const char *take_content(struct config_loading *loading, size_t file_key, int fd);
static bool read_bounded(int fd, struct buf *content);
static const char *trim(struct arena *arena, const struct buf *content);
static void refuse(struct config_loading *loading, size_t file_key, const char *got);
static void check_writers(struct config_loading *loading, size_t file_key);

void config_read_secrets(struct config_loading *loading)
{
    for (size_t key = 0; key < config_key_count; key++) {
        const struct config_key *row = &config_keys[key];
        const char *path = loading->origins[key].text;
        if (!row->holds_secret || path[0] == '\0' || !config_is_printable(path))
            continue; /* what cannot be printed is refused as any value of the key is */
        if (row->fills != NULL)
            fill(loading, key);
        else
            check_writers(loading, key);
    }
}

/* A file that failed leaves its mark too: the missing value has been told of. */
static void fill(struct config_loading *loading, size_t file_key)
{
    size_t key = config_key_find(slice_of_str(config_keys[file_key].fills));
    assert(key < config_key_count);
    struct config_origin *origin = &loading->origins[key];
    if (origin->text[0] != '\0') {
        refuse_both(loading, file_key, key);
        return;
    }
    const char *secret = read_secret(loading, file_key);
    *origin = (struct config_origin){
        .kind = ORIGIN_SECRET,
        .text = secret == NULL ? "" : secret,
        .name = loading->origins[file_key].text,
    };
}

/* Neither wins: one of the two is a password that somebody believes to be in use. */
static void refuse_both(struct config_loading *loading, size_t file_key, size_t key)
{
    const char *other = config_place(loading, key);
    size_t length = strlen(other);
    assert(length > 2); /* it ends with ": " */
    config_error(loading, "%skey %s: expected either this or %s, got both (the other at %.*s)",
                 config_place(loading, file_key), config_keys[file_key].path, config_keys[key].path,
                 (int)(length - 2), other);
}

/* Without waiting for a pipe's other end; NULL after an error was noted. */
static const char *read_secret(struct config_loading *loading, size_t file_key)
{
    int fd = open(loading->origins[file_key].text, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        refuse(loading, file_key, strerror(errno));
        return NULL;
    }
    const char *secret = take_content(loading, file_key, fd);
    close(fd);
    return secret;
}

static const char *take_content(struct config_loading *loading, size_t file_key, int fd)
{
    struct stat status;
    struct buf content = {.limit = SECRET_BYTES_MAX};
    const char *secret = NULL;
    if (fstat(fd, &status) != 0)
        refuse(loading, file_key, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        refuse(loading, file_key, "something that is no regular file");
    else if (status.st_mode & S_IWOTH)
        refuse(loading, file_key, "one that everybody may write (chmod o-w)");
    else if (!read_bounded(fd, &content))
        refuse(loading, file_key, strerror(errno));
    else if (content.overflown)
        refuse(loading, file_key, "more than 8192 bytes");
    else if (buf_size(&content) == 0)
        refuse(loading, file_key, "an empty one");
    else if (memchr(buf_slice(&content).data, '\0', buf_size(&content)) != NULL)
        refuse(loading, file_key, "a NUL byte in it");
    else
        secret = trim(loading->config->arena, &content);
    if (secret != NULL && secret[0] == '\0') {
        refuse(loading, file_key, "an empty one");
        secret = NULL;
    }
    buf_deinit(&content);
    return secret;
}

/* False with errno set. */
static bool read_bounded(int fd, struct buf *content)
{
    char chunk[1024];
    ssize_t count = 1;
    while (count > 0 && !content->overflown) {
        count = read(fd, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            count = 1;
        else if (count > 0)
            buf_put(content, chunk, (size_t)count);
    }
    return count >= 0;
}

/* Editors and `echo` end a file with a newline that is no part of the secret. */
static const char *trim(struct arena *arena, const struct buf *content)
{
    struct slice text = buf_slice(content);
    while (text.size > 0 && strchr("\r\n", text.data[text.size - 1]) != NULL)
        text.size--;
    return arena_strndup(arena, (const char *)text.data, text.size);
}

static void refuse(struct config_loading *loading, size_t file_key, const char *got)
{
    config_error(loading, "%skey %s: expected a readable file, got: %s: %s",
                 config_place(loading, file_key), config_keys[file_key].path,
                 loading->origins[file_key].text, got);
}

/* Secrets that other rooms read: here only who may write them is looked at.  One that is not there (yet)
 * is told of when it is needed. */
static void check_writers(struct config_loading *loading, size_t file_key)
{
    struct stat status;
    const char *path = loading->origins[file_key].text;
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IWOTH))
        refuse(loading, file_key, "one that everybody may write (chmod o-w)");
}
