/* Options from one table, which is the help's as well.  See settings.h. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERIFY 1u
#define MATCH 2u
#define PUBLISH 4u

static const struct {
    const char *name;
    const char *value; /* NULL: a switch */
    unsigned commands;
    bool again;
    const char *variable; /* of the environment, where the option is not given */
    const char *usual;
    const char *help;
} options[OPTION_COUNT] = {
    [OPTION_ADDRESS] = {"address", "HOST:PORT", VERIFY, false, NULL, NULL,
                        "the running provider, for calls"},
    [OPTION_PKI] = {"pki", "DIR", VERIFY, false, NULL, NULL,
                    "ca.pem, and CONSUMER.pem and CONSUMER.key for each consumer"},
    [OPTION_CA_FILE] = {"ca-file", "FILE", VERIFY, false, NULL, NULL,
                        "whom to believe (PEM); goes before --pki"},
    [OPTION_CERT_FILE] = {"cert-file", "FILE", VERIFY, false, NULL, NULL,
                          "whom to call as (PEM); goes before --pki"},
    [OPTION_KEY_FILE] = {"key-file", "FILE", VERIFY, false, NULL, NULL, "its private key (PEM)"},
    [OPTION_SERVER_NAME] = {"server-name", "NAME", VERIFY, false, NULL, NULL,
                            "what the provider's certificate names, if not HOST"},
    [OPTION_TIMEOUT] = {"timeout", "TIME", VERIFY, false, NULL, "10s", "of one call"},
    [OPTION_STATE_COMMAND] = {"provider-state-command", "CMD", VERIFY, false, NULL, NULL,
                              "a program that brings about states: a line of JSON in, one out"},
    [OPTION_STATE_URL] = {"provider-state-url", "URL", VERIFY, false, NULL, NULL,
                          "the same by POST"},
    [OPTION_TEARDOWN] = {"teardown", NULL, VERIFY, false, NULL, NULL,
                         "tell states that they are over, too"},
    [OPTION_MESSAGE_COMMAND] = {"message-command", "CMD", VERIFY, false, NULL, NULL,
                                "a program that gives messages; may be the one of the states"},
    [OPTION_MESSAGE_URL] = {"message-url", "URL", VERIFY, false, NULL, NULL, "the same by POST"},
    [OPTION_HOOK_TIMEOUT] = {"hook-timeout", "TIME", VERIFY, false, NULL, "30s",
                             "of one state or message"},
    [OPTION_FILTER] = {"filter", "TEXT", VERIFY, false, NULL, NULL,
                       "only interactions whose description has TEXT in it"},
    [OPTION_CONSUMER] = {"consumer", "NAME", VERIFY, false, NULL, NULL,
                         "only pacts of this consumer"},
    [OPTION_FORMAT] = {"format", "FORMAT", VERIFY | MATCH, false, NULL, "text", "text or json"},
    [OPTION_JUNIT] = {"junit", "FILE", VERIFY, false, NULL, NULL,
                      "write the results as JUnit XML, too"},
    [OPTION_INTERACTION] = {"interaction", "TEXT", MATCH, false, NULL, NULL,
                            "the description of the message's interaction, whole"},
    [OPTION_METADATA] = {"metadata", "JSON", MATCH, false, NULL, NULL,
                         "the message's metadata, an object"},
    [OPTION_BROKER] = {"broker", "URL", VERIFY | PUBLISH, false, "PACT_BROKER_BASE_URL", NULL,
                       "the broker that pacts come from or go to"},
    [OPTION_BROKER_TOKEN] = {"broker-token", "TOKEN", VERIFY | PUBLISH, false, "PACT_BROKER_TOKEN",
                             NULL, "bearer token for it"},
    [OPTION_BROKER_USER] = {"broker-user", "USER:PASSWORD", VERIFY | PUBLISH, false,
                            "PACT_BROKER_USER", NULL, "basic authentication for it"},
    [OPTION_BROKER_CA_FILE] = {"broker-ca-file", "FILE", VERIFY | PUBLISH, false, NULL, NULL,
                               "whom to believe when it is asked (PEM)"},
    [OPTION_PROVIDER] = {"provider", "NAME", VERIFY, false, NULL, NULL,
                         "whose pacts to fetch from the broker"},
    [OPTION_SELECTOR] = {"selector", "JSON", VERIFY, true, NULL, NULL,
                         "which consumer versions (repeatable): {\"mainBranch\": true}"},
    [OPTION_INCLUDE_PENDING] = {"include-pending", NULL, VERIFY, false, NULL, NULL,
                                "fetch pending pacts; they cannot fail the run"},
    [OPTION_PUBLISH] = {"publish", NULL, VERIFY, false, NULL, NULL,
                        "publish the results to the broker"},
    [OPTION_VERSION] = {"version-number", "VERSION", VERIFY | PUBLISH, false, NULL, NULL,
                        "of the provider, or of the consumer whose pacts are published"},
    [OPTION_BRANCH] = {"branch", "NAME", VERIFY | PUBLISH, false, NULL, NULL, "of that version"},
    [OPTION_TAG] = {"tag", "NAME", VERIFY | PUBLISH, true, NULL, NULL,
                    "of that version (repeatable)"},
    [OPTION_BUILD_URL] = {"build-url", "URL", VERIFY | PUBLISH, false, NULL, NULL,
                          "the build that says so"},
};

static const struct {
    const char *name;
    unsigned bit;
    const char *words;
    const char *help;
} commands[] = {
    {"verify", VERIFY, "[OPTION...] [PACT...]",
     "replay pacts against a running provider and judge what it gives"},
    {"match", MATCH, "--interaction TEXT [OPTION...] PACT CONTENTS",
     "judge one message, a file, by a pact; nothing is asked"},
    {"publish", PUBLISH, "--broker URL --version-number VERSION [OPTION...] PACT...",
     "give a consumer's pacts to a broker"},
};

static unsigned bit_of(const char *command);
static int take_option(struct ctx *ctx, unsigned bit, char ***at, struct settings *settings);

int settings_read(struct ctx *ctx, const char *command, char **arguments, struct settings *settings)
{
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    const char **words = arena_alloc(ctx->arena, (count + 1) * sizeof words[0]);
    *settings = (struct settings){.words = words};
    for (char **at = arguments; *at != NULL; at++) {
        if (strncmp(*at, "--", 2) == 0)
            TRY(take_option(ctx, bit_of(command), &at, settings));
        else
            words[settings->word_count++] = *at;
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (settings->values[i] == NULL && options[i].variable != NULL)
            settings->values[i] = getenv(options[i].variable);
        if (settings->values[i] == NULL)
            settings->values[i] = options[i].usual;
    }
    return OK;
}

/* --name VALUE and --name=VALUE. */
static int take_option(struct ctx *ctx, unsigned bit, char ***at, struct settings *settings)
{
    const char *name = **at + 2;
    size_t size = strcspn(name, "=");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        bool known = strlen(options[i].name) == size && strncmp(options[i].name, name, size) == 0 &&
                     (options[i].commands & bit) != 0;
        if (!known)
            continue;
        const char *value = name[size] == '=' ? name + size + 1 : NULL;
        if (options[i].value == NULL && value != NULL)
            return FAULT(ctx, FAULT_CONFIG, "--%s takes no value", options[i].name);
        if (options[i].value == NULL)
            value = "";
        else if (value == NULL && (*at)[1] != NULL)
            value = *++*at;
        if (value == NULL)
            return FAULT(ctx, FAULT_CONFIG, "--%s needs %s", options[i].name, options[i].value);
        if (settings->values[i] != NULL && !options[i].again)
            return FAULT(ctx, FAULT_CONFIG, "--%s is given twice", options[i].name);
        if (settings->again_count[i] == VALUES_MAX)
            return FAULT(ctx, FAULT_CONFIG, "--%s is given too often", options[i].name);
        settings->values[i] = value;
        settings->again[i][settings->again_count[i]++] = value;
        return OK;
    }
    return FAULT(ctx, FAULT_CONFIG, "there is no option --%.*s here; see --help", (int)size, name);
}

int settings_duration(struct ctx *ctx, const struct settings *settings, enum option option,
                      uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}};
    const char *text = settings->values[option];
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    for (size_t i = 0; end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) == 0 && number > 0 && number <= 86400000) {
            *ns = number * units[i].ns;
            return OK;
        }
    }
    return FAULT(ctx, FAULT_CONFIG, "--%s: \"%s\" is no duration such as 500ms, 10s or 2m",
                 options[option].name, text);
}

static unsigned bit_of(const char *command)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].bit;
    }
    return 0;
}

bool settings_is_command(const char *command)
{
    return bit_of(command) != 0;
}

static void print_option(size_t i)
{
    char left[64];
    (void)snprintf(left, sizeof left, "--%s%s%s", options[i].name,
                   options[i].value == NULL ? "" : " ",
                   options[i].value == NULL ? "" : options[i].value);
    printf("  %-30s %s", left, options[i].help);
    if (options[i].usual != NULL)
        printf(" (%s)", options[i].usual);
    if (options[i].variable != NULL)
        printf(" [$%s]", options[i].variable);
    putchar('\n');
}

void settings_help(const char *command)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (command != NULL && strcmp(command, commands[i].name) != 0)
            continue;
        printf("%s contract-verify %s %s\n           %s\n",
               command == NULL && i > 0 ? "      " : "usage:", commands[i].name, commands[i].words,
               commands[i].help);
    }
    if (command == NULL) {
        puts("       contract-verify COMMAND --help | --version\n\n"
             "A PACT is a file or a folder of files (*.json), of Pact specification 4.");
    } else {
        putchar('\n');
        for (size_t i = 0; i < OPTION_COUNT; i++) {
            if ((options[i].commands & bit_of(command)) != 0)
                print_option(i);
        }
    }
    puts(
        "\nexit status: 0 all verified, 1 something was not, 2 wrong usage or input that cannot be "
        "read");
}
