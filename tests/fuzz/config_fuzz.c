/* Configurations: whatever stands in file and environment, it is refused with lines that say why, or loaded,
 * and then what is printed can be loaded again and never shows a password.
 *
 * Input: one byte of kind, then: a file (0), a file, a NUL byte and variables with NUL bytes between (1), or a
 * URL's user and a part of its password, with a NUL byte between (2). */
#include "config/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())
#define SECRET "Zebra-crossing-7"

enum { VARIABLES_MAX = 16 };

/* A file in memory; its name is the same for every input. */
static const char *write_file(struct slice text)
{
    static char path[32];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    EXPECT(fd >= 0 && ftruncate(fd, 0) == 0);
    EXPECT(text.size == 0 || pwrite(fd, text.data, text.size, 0) == (ssize_t)text.size);
    return path;
}

/* As many lines as errors, and nothing that could steer a terminal. */
static void check_notes(int rc, struct config_notes *notes)
{
    size_t lines = 0;
    EXPECT((rc == OK) == (notes->error_count == 0));
    for (const char *text = buf_str(&notes->errors); *text != '\0'; text++) {
        EXPECT((unsigned char)*text >= 0x20 || *text == '\n');
        lines += *text == '\n';
    }
    EXPECT(lines == notes->error_count);
    EXPECT(strstr(buf_str(&notes->errors), SECRET) == NULL);
    EXPECT(strstr(buf_str(&notes->warnings), SECRET) == NULL);
}

static struct config *load(const char *file, char *const *environment)
{
    struct ctx ctx;
    struct config *config = NULL;
    struct config_notes notes = {.error_count = 0};
    const struct config_source source = {.file = file, .environment = environment};
    ctx_init(&ctx, NULL, NULL);
    check_notes(config_load(&ctx, &source, &notes, &config), &notes);
    config_notes_deinit(&notes);
    return config;
}

/* Masking is not undone by masking again, so even passwords compare. */
static void check_same(const struct config *config, const struct config *again)
{
    for (size_t key = 0; key < config_key_count; key++) {
        struct buf one = BUF_EMPTY;
        struct buf other = BUF_EMPTY;
        config_show(config, &config_keys[key], &one);
        config_show(again, &config_keys[key], &other);
        EXPECT(slice_equal(buf_slice(&one), buf_slice(&other)));
        buf_deinit(&one);
        buf_deinit(&other);
    }
}

/* Secrets from files would be read again: they may change, and are left out. */
static bool names_files(const struct config *config)
{
    for (size_t key = 0; key < config_key_count; key++) {
        if (config->origins[key].kind == ORIGIN_SECRET)
            return true;
    }
    return false;
}

static void check_round_trip(struct config *config)
{
    static char *const nothing[] = {NULL};
    if (config == NULL)
        return;
    struct buf printed = BUF_EMPTY;
    config_print_effective(config, &printed);
    EXPECT(strstr(buf_str(&printed), SECRET) == NULL);
    if (!names_files(config)) {
        struct config *again = load(write_file(buf_slice(&printed)), nothing);
        EXPECT(again != NULL);
        check_same(config, again);
        config_free(again);
    }
    buf_deinit(&printed);
    config_free(config);
}

/* Copies are as large as they must be: a byte read too far is seen. */
static char *own_text(struct slice bytes)
{
    char *text = strndup((const char *)bytes.data, bytes.size);
    EXPECT(text != NULL);
    return text;
}

static struct slice take_part(struct slice *rest)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\0', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    struct slice part = slice_make(rest->data, size);
    *rest = slice_skip(*rest, end == NULL ? size : size + 1);
    return part;
}

static void file_and_variables(struct slice rest)
{
    char *environment[VARIABLES_MAX + 1] = {NULL};
    const char *file = write_file(take_part(&rest));
    for (size_t i = 0; i < VARIABLES_MAX && rest.size > 0; i++)
        environment[i] = own_text(take_part(&rest));
    check_round_trip(load(file, environment));
    for (size_t i = 0; i < VARIABLES_MAX; i++)
        free(environment[i]);
}

/* The password ends at the last "@" of the authority, whatever stands before it. */
static void passwords(struct slice rest)
{
    char *user = own_text(take_part(&rest));
    char *begin = own_text(take_part(&rest));
    if (strpbrk(user, "/?#") == NULL && strpbrk(begin, "/?#") == NULL) {
        struct buf variable = BUF_EMPTY;
        buf_printf(&variable, "REDIS_URL=redis://%s:%s%s@host:1/0", user, begin, SECRET);
        char *const environment[] = {own_text(buf_slice(&variable)), NULL};
        check_round_trip(load(NULL, environment));
        free(environment[0]);
        buf_deinit(&variable);
    }
    free(user);
    free(begin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *const nothing[] = {NULL};
    /* an input that shows the secret where none is expected proves nothing */
    if (size == 0 || memmem(data, size, SECRET, strlen(SECRET)) != NULL)
        return 0;
    struct slice rest = slice_make(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        check_round_trip(load(write_file(rest), nothing));
        break;
    case 1:
        file_and_variables(rest);
        break;
    case 2:
        passwords(rest);
        break;
    }
    return 0;
}
