/* Intrusive doubly linked list.  The list never owns its members. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

/* Embedded in the member and zero-initialised with it; on one list at a time. */
struct list_node {
    struct list_node *next; /* NULL while on no list */
    struct list_node *prev;
};

struct list {
    struct list_node head; /* circular; empty: points at itself */
    size_t count;          /* members */
};

static inline void list_init(struct list *list)
{
    list->head.next = &list->head;
    list->head.prev = &list->head;
    list->count = 0;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->count == 0;
}

static inline bool list_is_linked(const struct list_node *node)
{
    return node->next != NULL;
}

/* The node must be on no list: it would stay half-linked in the other. */
static inline void list_insert_before(struct list *list, struct list_node *place,
                                      struct list_node *node)
{
    assert(node->next == NULL);
    node->next = place;
    node->prev = place->prev;
    place->prev->next = node;
    place->prev = node;
    list->count++;
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    list_insert_before(list, &list->head, node);
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    list_insert_before(list, list->head.next, node);
}

/* Removing a node that is on no list does nothing. `list` must be the one it is on, for the
 * count's sake. */
static inline void list_remove(struct list *list, struct list_node *node)
{
    if (node->next == NULL)
        return;
    assert(list->count > 0);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
    list->count--;
}

static inline struct list_node *list_first(const struct list *list)
{
    return list->count == 0 ? NULL : list->head.next;
}

static inline struct list_node *list_last(const struct list *list)
{
    return list->count == 0 ? NULL : list->head.prev;
}

/* NULL at the end.  Take it before the body may remove the node. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list_first(list);
    if (node != NULL)
        list_remove(list, node);
    return node;
}

/* The struct that holds `node` as its member. */
#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
