/* Time.  Deadlines are nanoseconds of the monotonic clock; dates are the wall clock's. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define NO_DEADLINE UINT64_MAX

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_now(void);
/* The same clock as the kernel's last tick left it: up to 10 ms behind, never ahead, at a tenth of the cost.
 * For times that are compared with limits of seconds. */
uint64_t clock_tick(void);
/* CLOCK_BOOTTIME in nanoseconds: like clock_now(), but it also counts while the machine is suspended. */
uint64_t clock_boot(void);
/* CLOCK_REALTIME in nanoseconds since 1970. */
uint64_t clock_wall(void);

/* The same as the kernel's last tick left it: up to 10 ms behind, for times in names and logs. */
uint64_t clock_wall_tick(void);

/* now + duration, saturating at NO_DEADLINE. */
uint64_t deadline_after(uint64_t now_ns, uint64_t duration_ns);
/* Nanoseconds left until the deadline; 0 when it has passed. */
uint64_t deadline_left(uint64_t deadline_ns, uint64_t now_ns);
/* Milliseconds for poll(2), rounded up: -1 for NO_DEADLINE. */
int deadline_poll_ms(uint64_t deadline_ns, uint64_t now_ns);

/* "2026-11-23T07:00:00.123456Z" into `out` (at least CLOCK_TEXT_SIZE bytes), RFC 3339 in UTC. */
#define CLOCK_TEXT_SIZE 32
void clock_format(uint64_t wall_ns, char out[CLOCK_TEXT_SIZE]);

#endif
