#include "raft/tail.h"

#include "base/assert.h"
#include "base/mem.h"

#define PAGES_MIN        4u
#define PAGE_ENTRIES_MIN 4u

void tail_init(struct tail *t, struct log_pos base)
{
    *t = (struct tail){.base = base, .last = base};
    t->first_page = (base.index + 1) / TAIL_PAGE_ENTRIES;
}

static u64 page_of(u64 index)
{
    return index / TAIL_PAGE_ENTRIES;
}
static u32 slot_of(u64 index)
{
    return (u32)(index % TAIL_PAGE_ENTRIES);
}
static u32 slot_in(const struct tail_page *page, u64 index)
{
    u32 slot = slot_of(index) - page->first;
    assert(slot < page->cap);
    return slot;
}

static struct tail_page *page_new(u32 first, u32 cap)
{
    struct tail_page *page = mem_alloc(sizeof *page + cap * (sizeof page->entries[0] + sizeof page->bytes_upto[0]));
    page->first = first;
    page->cap = cap;
    page->bytes_upto = (u64 *)(page->entries + cap);
    return page;
}

static struct tail_page *page_at(const struct tail *t, u64 index)
{
    u64 page = page_of(index) - t->first_page;
    assert(page < t->page_count);
    return t->pages[page];
}

static void give_page(struct tail *t, struct tail_page *page)
{
    if (t->spare || page->cap < TAIL_PAGE_ENTRIES)
        mem_free(page);
    else
        t->spare = page;
}

static struct tail_page *take_page(struct tail *t)
{
    struct tail_page *page = t->spare;
    t->spare = NULL;
    return page ? page : page_new(0, TAIL_PAGE_ENTRIES);
}

/* The last page has no slot left for the next entry. */
static void grow_page(struct tail *t)
{
    struct tail_page *old = t->pages[t->page_count - 1];
    u32 cap = (u32)u64_min(2 * old->cap, TAIL_PAGE_ENTRIES - old->first);
    struct tail_page *page = page_new(old->first, cap);

    assert(cap > old->cap);
    mem_copy(page->entries, old->entries, old->cap * sizeof old->entries[0]);
    mem_copy(page->bytes_upto, old->bytes_upto, old->cap * sizeof old->bytes_upto[0]);
    mem_free(old);
    t->pages[t->page_count - 1] = page;
}

static void push_page(struct tail *t, u64 index)
{
    if (t->page_count == t->page_cap) {
        t->page_cap = t->page_cap ? t->page_cap * 2 : PAGES_MIN;
        t->pages = mem_resize_array(t->pages, t->page_cap, sizeof(struct tail_page *));
    }
    u32 first = slot_of(index);
    bool begins = t->page_count == 0 && !t->spare;
    t->pages[t->page_count++] =
        begins ? page_new(first, (u32)u64_min(PAGE_ENTRIES_MIN, TAIL_PAGE_ENTRIES - first)) : take_page(t);
}

static void drop_payloads(struct tail *t, u64 from, u64 to)
{
    for (u64 i = from; i <= to; i++) {
        struct tail_page *page = page_at(t, i);
        struct raft_entry *e = &page->entries[slot_in(page, i)];
        rcbuf_unref(e->data);
        e->data = NULL;
    }
}

static u64 bytes_upto(const struct tail *t, u64 index)
{
    if (index == t->base.index) return t->base_bytes;
    assert(tail_has(t, index));
    const struct tail_page *page = page_at(t, index);
    return page->bytes_upto[slot_in(page, index)];
}

void tail_append(struct tail *t, const struct raft_entry *e)
{
    assert(e->pos.index == t->last.index + 1);
    assert(e->pos.term >= t->last.term);
    assert(e->pos.term > 0);

    u64 page = page_of(e->pos.index);
    assert(page >= t->first_page);
    if (page - t->first_page == t->page_count) push_page(t, e->pos.index);

    struct tail_page *p = page_at(t, e->pos.index);
    if (slot_of(e->pos.index) - p->first >= p->cap) {
        grow_page(t);
        p = page_at(t, e->pos.index);
    }
    u32 slot = slot_in(p, e->pos.index);
    p->entries[slot] = *e;
    if (e->data) {
        rcbuf_ref(e->data);
        t->last_bytes += e->data->len;
    }
    p->bytes_upto[slot] = t->last_bytes;
    t->last = e->pos;
}

void tail_truncate(struct tail *t, u64 from)
{
    assert(from > t->base.index);
    assert(from <= t->last.index);

    drop_payloads(t, from, t->last.index);
    t->last = (struct log_pos){tail_term_at(t, from - 1), from - 1};
    t->last_bytes = bytes_upto(t, from - 1);

    /* Keep the page the next entry goes to. */
    while (t->page_count && t->first_page + t->page_count - 1 > page_of(from))
        give_page(t, t->pages[--t->page_count]);
}

void tail_compact(struct tail *t, u64 index)
{
    assert(tail_has(t, index));

    struct log_pos base = {tail_term_at(t, index), index};
    u64 base_bytes = bytes_upto(t, index);
    drop_payloads(t, t->base.index + 1, index);
    t->base = base;
    t->base_bytes = base_bytes;

    u64 keep = page_of(index + 1); /* the first page still of use */
    u32 drop = (u32)u64_min(keep - t->first_page, t->page_count);
    for (u32 i = 0; i < drop; i++) give_page(t, t->pages[i]);
    t->page_count -= drop;
    memmove(t->pages, t->pages + drop, t->page_count * sizeof *t->pages);
    t->first_page = keep;
}

void tail_restart(struct tail *t, struct log_pos base)
{
    drop_payloads(t, t->base.index + 1, t->last.index);
    while (t->page_count) give_page(t, t->pages[--t->page_count]);
    t->base = t->last = base;
    t->base_bytes = t->last_bytes;
    t->first_page = page_of(base.index + 1);
}

void tail_done(struct tail *t)
{
    tail_restart(t, t->last);
    mem_free(t->spare);
    mem_free(t->pages);
    *t = (struct tail){0};
}

const struct raft_entry *tail_at(const struct tail *t, u64 index)
{
    assert(tail_has(t, index));
    const struct tail_page *page = page_at(t, index);
    return &page->entries[slot_in(page, index)];
}

u64 tail_term_at(const struct tail *t, u64 index)
{
    if (index == t->base.index) return t->base.term;
    if (!tail_has(t, index)) return 0;
    return tail_at(t, index)->pos.term;
}

u32 tail_run(const struct tail *t, u64 from, u64 bytes_max)
{
    assert(tail_has(t, from));
    u64 page_end = (page_of(from) + 1) * TAIL_PAGE_ENTRIES - 1;
    u64 low = from, high = u64_min(page_end, t->last.index); /* the answer's last entry */
    u64 before = bytes_upto(t, from - 1);

    if (bytes_upto(t, high) - before <= bytes_max) return (u32)(high - from + 1);
    while (low < high) { /* entries from..low fit, or low == from; high does not */
        u64 middle = low + (high - low + 1) / 2;
        if (bytes_upto(t, middle) - before <= bytes_max)
            low = middle;
        else
            high = middle - 1;
    }
    return (u32)(low - from + 1);
}

u64 tail_bytes_between(const struct tail *t, u64 after, u64 upto)
{
    assert(after <= upto);
    return bytes_upto(t, upto) - bytes_upto(t, after);
}

u64 tail_last_with_term_at_most(const struct tail *t, u64 upto, u64 term)
{
    assert(upto >= t->base.index);
    if (t->base.term > term) {
        assert(t->base.index > 0);
        return t->base.index - 1;
    }
    u64 low = t->base.index, high = u64_min(upto, t->last.index);
    while (low < high) { /* terms do not go back, so this is a binary search */
        u64 middle = low + (high - low + 1) / 2;
        if (tail_term_at(t, middle) <= term)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
