/* The CPU time that a process has used, in nanoseconds: the sum over its threads of what the scheduler
 * accounts (/proc/PID/task/TID/schedstat), or where the kernel has none, user and system time of
 * /proc/PID/stat in ticks.  For a process whose threads do not come and go in the meantime. */
#ifndef BENCH_PROCESS_CPU_H
#define BENCH_PROCESS_CPU_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline uint64_t process_cpu_ticks_ns(int pid)
{
    char path[64], text[1024] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    unsigned long user = 0, system = 0;
    const char *end = strrchr(text, ')'); /* the name may hold anything */
    if (end == NULL || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                              &system) != 2)
        return 0;
    return (uint64_t)(user + system) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static inline uint64_t process_cpu_ns(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = pid > 0 ? opendir(path) : NULL;
    uint64_t sum = 0;
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char file_name[320];
        snprintf(file_name, sizeof file_name, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(file_name, "re");
        unsigned long long ran = 0;
        if (file != NULL && fscanf(file, "%llu", &ran) == 1)
            sum += ran;
        if (file != NULL)
            fclose(file);
    }
    closedir(folder);
    return sum > 0 ? sum : process_cpu_ticks_ns(pid);
}

#endif
