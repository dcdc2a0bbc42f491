/* Clocks and deadline arithmetic. */
#include "base/clock.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    assert(rc == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_tick(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t clock_boot(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_wall_tick(void)
{
    return read_clock(CLOCK_REALTIME_COARSE);
}

/* Saturates: a sum beyond the clock's range is no deadline. */
uint64_t deadline_after(uint64_t now_ns, uint64_t duration_ns)
{
    return duration_ns >= NO_DEADLINE - now_ns ? NO_DEADLINE : now_ns + duration_ns;
}

uint64_t deadline_left(uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns == NO_DEADLINE)
        return NO_DEADLINE;
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* Rounded up, or a wait would end a little early and spin through its last millisecond. */
int deadline_poll_ms(uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns == NO_DEADLINE)
        return -1;
    uint64_t left = deadline_left(deadline_ns, now_ns);
    uint64_t ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

void clock_format(uint64_t wall_ns, char out[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char text[24];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    unsigned micros = (unsigned)(wall_ns % NS_PER_S / NS_PER_US);
    snprintf(out, CLOCK_TEXT_SIZE, "%s.%06uZ", text, micros);
}
