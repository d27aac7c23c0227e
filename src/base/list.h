/* Intrusive doubly linked list; the head is a link of its own. */
#pragma once

#include "base/types.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }

static inline void list_insert_before(struct list *at, struct list *l)
{
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}

static inline void list_push(struct list *head, struct list *l) { list_insert_before(head, l); }

static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

static inline struct list *list_first(struct list *head)
{
    return head->next == head ? NULL : head->next;
}

/* Move all of `from` to the end of `to`; `from` becomes empty. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_EACH(var, head) for (struct list *var = (head)->next; var != (head); var = var->next)
#define LIST_EACH_SAFE(var, head)                                                                  \
    for (struct list *var = (head)->next, *var##_next = var->next; var != (head);                  \
         var = var##_next, var##_next = var->next)
