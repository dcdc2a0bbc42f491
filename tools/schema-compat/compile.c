/* Has protoc compile the sources: an edit is judged before anything is generated from it.  See source.h. */
#include "source.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER_DEPTH_MAX 32

static bool find_protos(const char *root, const char *below, unsigned depth, struct list *files);
static bool run_protoc(const struct list *arguments, struct buf *output);
static bool read_all(int fd, struct buf *output);

bool source_tree(const struct settings *settings, const struct list *files, struct image *image)
{
    struct buf bytes = BUF_EMPTY;
    bool fine = true;
    if (settings->images.count > 0) {
        fine = source_bytes(settings->images.items[0], &bytes);
    } else {
        const char *const here[] = {"."};
        const char *const *roots =
            settings->proto_paths.count > 0 ? list_texts(&settings->proto_paths) : here;
        size_t root_count = settings->proto_paths.count > 0 ? settings->proto_paths.count : 1;
        const char *protoc = getenv("PROTOC");
        struct list arguments = {0}, found = {0};
        list_add(&arguments, protoc == NULL || protoc[0] == '\0' ? "protoc" : protoc);
        list_add(&arguments, "--include_imports");
        list_add(&arguments, "--include_source_info");
        list_add(&arguments, "--descriptor_set_out=/dev/stdout");
        for (size_t i = 0; i < root_count; i++) {
            struct buf option = BUF_EMPTY;
            buf_printf(&option, "-I%s", roots[i]);
            list_add(&arguments, buf_str(&option));
            buf_deinit(&option);
            fine = fine && (files->count > 0 || find_protos(roots[i], "", 0, &found));
        }
        const struct list *wanted = files->count > 0 ? files : &found;
        list_sort(&found);
        for (size_t i = 0; i < wanted->count; i++)
            list_add(&arguments, wanted->items[i]);
        if (fine && wanted->count == 0) {
            fprintf(stderr, "schema-compat: no .proto files below %s\n", roots[0]);
            fine = false;
        }
        fine = fine && run_protoc(&arguments, &bytes);
        list_deinit(&arguments);
        list_deinit(&found);
    }
    char *why = NULL;
    if (fine && !image_read(image, buf_slice(&bytes), &why)) {
        fprintf(stderr, "schema-compat: %s: %s\n",
                settings->images.count > 0 ? settings->images.items[0] : "protoc's output", why);
        fine = false;
    }
    free(why);
    buf_deinit(&bytes);
    return fine;
}

static bool find_protos(const char *root, const char *below, unsigned depth, struct list *files)
{
    struct buf path = BUF_EMPTY;
    buf_printf(&path, "%s/%s", root, below);
    DIR *folder = depth > FOLDER_DEPTH_MAX ? NULL : opendir(buf_str(&path));
    if (folder == NULL)
        fprintf(stderr, "schema-compat: %s: %s\n", buf_str(&path),
                depth > FOLDER_DEPTH_MAX ? "folders are nested too deeply" : strerror(errno));
    bool fine = folder != NULL;
    for (struct dirent *entry; fine && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        struct buf name = BUF_EMPTY;
        buf_printf(&name, "%s%s%s", below, below[0] == '\0' ? "" : "/", entry->d_name);
        buf_clear(&path);
        buf_printf(&path, "%s/%s", root, buf_str(&name));
        struct stat about;
        size_t length = strlen(entry->d_name);
        if (stat(buf_str(&path), &about) == 0 && S_ISDIR(about.st_mode))
            fine = find_protos(root, buf_str(&name), depth + 1, files);
        else if (length > 6 && strcmp(entry->d_name + length - 6, ".proto") == 0)
            list_add(files, buf_str(&name));
        buf_deinit(&name);
    }
    if (folder != NULL)
        closedir(folder);
    buf_deinit(&path);
    return fine;
}

/* protoc's own complaints go to our standard error: they name file and line. */
static bool run_protoc(const struct list *arguments, struct buf *output)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fprintf(stderr, "schema-compat: pipe: %s\n", strerror(errno));
        return false;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pid_t child;
    int failed =
        posix_spawnp(&child, arguments->items[0], &actions, NULL, arguments->items, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    bool fine = failed == 0 && read_all(ends[0], output);
    close(ends[0]);
    if (failed != 0) {
        fprintf(stderr, "schema-compat: %s: %s (install protobuf-compiler, or set PROTOC)\n",
                arguments->items[0], strerror(failed));
        return false;
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "schema-compat: the protos do not compile\n");
        return false;
    }
    return fine;
}

static bool read_all(int fd, struct buf *output)
{
    for (;;) {
        ssize_t got = read(fd, buf_reserve(output, 1 << 16), 1 << 16);
        if (got == 0)
            return true;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || buf_size(output) + (size_t)got > IMAGE_SIZE_MAX) {
            fprintf(stderr, "schema-compat: reading protoc's output: %s\n",
                    got < 0 ? strerror(errno) : "too large");
            return false;
        }
        buf_commit(output, (size_t)got);
    }
}
