/* schema-compat: refuses changes of protos that break those who use what was released.
 *
 * Exit status: 0 compatible, 1 findings, 2 wrong usage or input that cannot be read.  docs/schema-gate.md is
 * its manual. */
#include "release.h"
#include "rules_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { COMPATIBLE = 0, INCOMPATIBLE = 1, UNUSABLE = 2 };

static const char help[] =
    "usage: schema-compat check   [OPTION...] [FILE...]   compare protos with released images\n"
    "       schema-compat release NAME [OPTION...] [FILE...]  check, then freeze them\n"
    "       schema-compat rules   [NAME...]               the rules, or all about some of them\n"
    "       schema-compat --help | --version\n"
    "\n"
    "  FILE                a proto below a proto path; none: all of them\n"
    "  --proto-path DIR    where protos are found (repeatable; default: .)\n"
    "  --image FILE        a compiled FileDescriptorSet instead of protos (protoc\n"
    "                      --include_imports --include_source_info --descriptor_set_out=FILE)\n"
    "  --against PATH      a released image, or a folder of them (repeatable);\n"
    "                      release writes to the first folder\n"
    "  --rules LIST        sets FILE, PACKAGE, WIRE_JSON, WIRE, CSR, EVENT, and rules;\n"
    "                      default: FILE\n"
    "  --except LIST       sets and rules that do not apply\n"
    "  --events NAME       a package (or message) of events: EVENT applies to it and to all\n"
    "                      that it carries\n"
    "  --envelope NAME     a message that may only get new fields\n"
    "  --draft NAME        a package, message, enum or service that is not released yet\n"
    "  --retired NAME      a payload version that may go\n"
    "  --format FORMAT     text (default), json or sarif\n"
    "  --config FILE       options from a file, one a line without the dashes\n"
    "\n"
    "exit status: 0 compatible, 1 findings, 2 wrong usage or input that cannot be read\n";

static int run(const struct settings *settings);
static int run_check(const struct settings *settings, size_t first_file);
static int run_release(const struct settings *settings);
static struct list words_from(const struct settings *settings, size_t first);
static void compare_all(struct policy *policy, const struct released *released,
                        const struct image *image, struct findings *findings);
static void print_report(const struct settings *settings, const struct report *report, FILE *to);

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("schema-compat " TENANT_VERSION);
        return COMPATIBLE;
    }
    struct settings settings;
    int status = settings_read(&settings, argc, argv) ? run(&settings) : UNUSABLE;
    settings_deinit(&settings);
    if (fflush(stdout) != 0)
        status = UNUSABLE;
    return status;
}

static int run(const struct settings *settings)
{
    if (settings->help) {
        fputs(help, stdout);
        return COMPATIBLE;
    }
    const char *command = settings->words.count == 0 ? "" : settings->words.items[0];
    if (strcmp(command, "check") == 0)
        return run_check(settings, 1);
    if (strcmp(command, "release") == 0 && settings->words.count > 1)
        return run_release(settings);
    if (strcmp(command, "rules") == 0)
        return rules_list(settings) ? COMPATIBLE : UNUSABLE;
    fputs(help, stderr);
    return UNUSABLE;
}

static int run_check(const struct settings *settings, size_t first_file)
{
    struct policy policy;
    struct image image = {0};
    struct released released = {0};
    struct findings findings = {0};
    struct list files = words_from(settings, first_file);
    int status = UNUSABLE;
    if (settings->against.count == 0)
        fprintf(stderr, "schema-compat: --against is missing\n");
    else if (settings_policy(settings, &policy) && source_released(settings, &released) &&
             source_tree(settings, &files, &image)) {
        if (released.count == 0) {
            fprintf(stderr, "schema-compat: nothing is released in %s\n",
                    settings->against.items[0]);
        } else {
            compare_all(&policy, &released, &image, &findings);
            struct report report = {&findings, list_texts(&settings->proto_paths), released.count};
            print_report(settings, &report, stdout);
            status = findings.count == 0 ? COMPATIBLE : INCOMPATIBLE;
        }
    }
    findings_deinit(&findings);
    released_deinit(&released);
    image_deinit(&image);
    list_deinit(&files);
    return status;
}

static const char *first_folder(const struct settings *settings)
{
    for (size_t i = 0; i < settings->against.count; i++) {
        struct stat about;
        if (stat(settings->against.items[i], &about) == 0 && S_ISDIR(about.st_mode))
            return settings->against.items[i];
    }
    fprintf(stderr, "schema-compat: release needs --against FOLDER to write to\n");
    return NULL;
}

/* Nothing breaking is ever released: what the folder holds stays true of every later image in it. */
static int run_release(const struct settings *settings)
{
    struct policy policy;
    struct image image = {0};
    struct released released = {0};
    struct findings findings = {0};
    struct list files = words_from(settings, 2);
    const char *folder = first_folder(settings), *name = settings->words.items[1];
    int status = UNUSABLE;
    if (folder != NULL && settings_policy(settings, &policy) &&
        source_released(settings, &released) && source_tree(settings, &files, &image)) {
        compare_all(&policy, &released, &image, &findings);
        struct report report = {&findings, list_texts(&settings->proto_paths), released.count};
        if (findings.count > 0) {
            print_report(settings, &report, stdout);
            status = INCOMPATIBLE;
        } else if (release_write(&image, policy.drafts, folder, name)) {
            printf("schema-compat: released %s/%s" IMAGE_SUFFIX "\n", folder, name);
            status = COMPATIBLE;
        }
    }
    findings_deinit(&findings);
    released_deinit(&released);
    image_deinit(&image);
    list_deinit(&files);
    return status;
}

static struct list words_from(const struct settings *settings, size_t first)
{
    struct list words = {0};
    for (size_t i = first; i < settings->words.count; i++)
        list_add(&words, settings->words.items[i]);
    return words;
}

static void compare_all(struct policy *policy, const struct released *released,
                        const struct image *image, struct findings *findings)
{
    policy->releases = released->items;
    policy->release_count = released->count;
    for (size_t i = 0; i < released->count; i++)
        compare_images(policy, &released->items[i], image, findings);
    compare_drafts(policy, image, findings);
    findings_sort(findings);
}

static void print_report(const struct settings *settings, const struct report *report, FILE *to)
{
    struct buf out = BUF_EMPTY;
    switch (settings->format) {
    case FORMAT_TEXT:
        report_text(report, &out);
        break;
    case FORMAT_JSON:
        report_json(report, &out);
        break;
    case FORMAT_SARIF:
        report_sarif(report, &out);
        break;
    }
    fwrite(buf_str(&out), 1, buf_size(&out), to);
    buf_deinit(&out);
}
