/* Completion: the shells' scripts only ask; what there is to say comes from the tables of commands and flags,
 * so a script once loaded stays right when tenantctl is replaced. */
#include "manual.h"

#include "contexts.h"

struct partial {
    int argc; /* the words before the cursor's */
    char **argv;
    const char *last; /* the word at the cursor */
};

static const struct command *command_at(const struct partial *partial, const char **group);
static const struct flag *flag_waiting(const struct partial *partial,
                                       const struct command *command);
static const struct flag *flag_named(const struct command *command, const char *text);
static const struct flag *flag_any(const char *text);
static void answer_value(const char *values, const char *choices, const char *last);
static void answer_flags(const struct command *command, const char *last);
static void answer_commands(const char *group, const char *last);
static void answer_words(const char *words, const char *last);
static void answer(const char *word, const char *help, const char *last);

int completion_command(struct cli *cli)
{
    static const char bash[] =
        "# bash completion for tenantctl.  Load it with: source <(tenantctl completion bash)\n"
        "_tenantctl() {\n"
        "    local line words=(\"${COMP_WORDS[@]:1:COMP_CWORD}\") cur=${COMP_WORDS[COMP_CWORD]}\n"
        "    COMPREPLY=()\n"
        "    while IFS= read -r line; do\n"
        "        if [[ $line == :files ]]; then\n"
        "            compopt -o filenames 2>/dev/null\n"
        "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
        "            return\n"
        "        fi\n"
        "        COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
        "    done < <(\"${COMP_WORDS[0]}\" __complete \"${words[@]}\" 2>/dev/null)\n"
        "}\n"
        "complete -F _tenantctl tenantctl\n";
    static const char zsh[] =
        "#compdef tenantctl\n"
        "# zsh completion for tenantctl.  Put it as _tenantctl into a folder of "
        "$fpath, or load it with:\n"
        "#   source <(tenantctl completion zsh)\n"
        "_tenantctl() {\n"
        "    local line\n"
        "    local -a offered\n"
        "    while IFS= read -r line; do\n"
        "        if [[ $line == :files ]]; then\n"
        "            _files\n"
        "            return\n"
        "        fi\n"
        "        offered+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
        "    done < <(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
        "    _describe 'tenantctl' offered\n"
        "}\n"
        "if [[ ${funcstack[1]} == _tenantctl ]]; then\n"
        "    _tenantctl \"$@\"\n"
        "else\n"
        "    compdef _tenantctl tenantctl\n"
        "fi\n";
    fputs(strcmp(cli->argument, "bash") == 0 ? bash : zsh, cli->out);
    return EXIT_DONE;
}

int completion_answer(int argc, char **argv)
{
    struct partial partial = {argc - 1, argv, argc > 0 ? argv[argc - 1] : ""};
    if (argc == 0)
        partial.argc = 0;
    const char *group = NULL;
    const struct command *command = command_at(&partial, &group);
    const struct flag *waiting = flag_waiting(&partial, command);
    const char *equals = strncmp(partial.last, "--", 2) == 0 ? strchr(partial.last, '=') : NULL;
    if (waiting != NULL)
        answer_value(waiting->value, waiting->choices, partial.last);
    else if (equals != NULL)
        return EXIT_DONE; /* the shells split there in ways of their own */
    else if (partial.last[0] == '-')
        answer_flags(command, partial.last);
    else if (command == NULL)
        answer_commands(group, partial.last);
    else if (command->argument != NULL)
        answer_value(command->argument, command->choices, partial.last);
    return EXIT_DONE;
}

/* The command that the words before the cursor name; NULL when they name none yet, then *group is the group
 * that they begin. */
static const struct command *command_at(const struct partial *partial, const char **group)
{
    const struct command *command = NULL;
    for (int i = 0; i < partial->argc && command == NULL; i++) {
        const char *word = partial->argv[i];
        if (word[0] == '-') {
            const struct flag *flag = flag_any(word);
            if (flag != NULL && flag->value != NULL && strchr(word, '=') == NULL)
                i++;
            continue;
        }
        command = command_find(*group, word);
        if (command == NULL && *group == NULL)
            *group = word;
    }
    return command;
}

/* The flag whose value the cursor stands on.  In bash, "--flag=" is three words. */
static const struct flag *flag_waiting(const struct partial *partial, const struct command *command)
{
    int before = partial->argc - 1;
    if (before >= 1 && strcmp(partial->argv[before], "=") == 0)
        before--;
    if (before < 0 || partial->argv[before][0] != '-')
        return NULL;
    const char *word = partial->argv[before];
    const struct flag *flag = command == NULL ? flag_any(word) : flag_named(command, word);
    bool complete = strchr(word, '=') != NULL || (word[1] != '-' && word[2] != '\0');
    return flag != NULL && flag->value != NULL && !complete ? flag : NULL;
}

static const struct flag *flag_named(const struct command *command, const char *text)
{
    for (const struct flag_set *const *set = command->sets; *set != NULL; set++) {
        for (const struct flag *flag = (*set)->flags; flag->name != NULL; flag++) {
            bool is_long = text[1] == '-' && strcmp(text + 2, flag->name) == 0;
            if (is_long || (text[1] != '-' && flag->letter != '\0' && text[1] == flag->letter))
                return flag;
        }
    }
    return NULL;
}

static const struct flag *flag_any(const char *text)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        const struct flag *flag = flag_named(command, text);
        if (flag != NULL)
            return flag;
    }
    return NULL;
}

static void answer_value(const char *values, const char *choices, const char *last)
{
    if (strcmp(last, "=") == 0)
        last = "";
    if (choices != NULL)
        answer_words(choices, last);
    else if (strstr(values, "FILE") != NULL || strcmp(values, "DIR") == 0)
        puts(":files");
    else if (strcmp(values, "CONTEXT") == 0)
        contexts_complete(last);
}

/* Of the command; before there is one, those that every command has. */
static void answer_flags(const struct command *command, const char *last)
{
    if (command == NULL)
        command = command_find(NULL, "version");
    for (const struct flag_set *const *set = command->sets; *set != NULL; set++) {
        for (const struct flag *flag = (*set)->flags; flag->name != NULL; flag++) {
            char word[64];
            snprintf(word, sizeof word, "--%s", flag->name);
            answer(word, flag->help, last);
        }
    }
}

static void answer_commands(const char *group, const char *last)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        bool inside = command->group == NULL ? group == NULL
                                             : group != NULL && strcmp(group, command->group) == 0;
        if (inside)
            answer(command->name, command->summary, last);
    }
    for (const struct command_group *known = command_groups; group == NULL && known->name != NULL;
         known++)
        answer(known->name, known->summary, last);
}

static void answer_words(const char *words, const char *last)
{
    while (*words != '\0') {
        char word[64];
        size_t size = strcspn(words, " ");
        snprintf(word, sizeof word, "%.*s", (int)size, words);
        answer(word, "", last);
        words += size;
        words += strspn(words, " ");
    }
}

static void answer(const char *word, const char *help, const char *last)
{
    if (strncmp(word, last, strlen(last)) == 0)
        printf("%s\t%s\n", word, help);
}
