/* The simulated network: ordered byte streams between hosts, with latency, partial delivery, stalls,
 * resets and cuts per direction. Bytes under way when a link is cut arrive after it heals, as TCP
 * would send them again; a crashed process resets its connections, a power cut leaves them half open. */
#pragma once

#include "env/env.h"
#include "sim/world.h"

struct host;
struct net;

struct net_character { /* drawn per seed */
    nanos latency_base, latency_jitter;
    u32 slow_ppm;    /* a segment that takes slow_factor times longer */
    u32 slow_factor;
    u32 split_ppm;   /* a segment that arrives in pieces */
    size_t window_bytes;
    u32 frame_dup_ppm, frame_delay_ppm; /* peer frames sent twice, or overtaken by later ones */
    nanos frame_delay_mean;
    u32 ghost_ppm; /* a batch of peer frames that an old one follows */
};

struct net *net_new(struct world *w);
void net_free(struct net *n);
struct net_character *net_character(struct net *n);

/* Peer ports: the streams whose frames may be duplicated and reordered. */
void net_set_peer_ports(struct net *n, u16 first, u32 count);

/* The env operations of a host. */
err net_listen(struct host *h, u16 port, struct listener *l);
void net_unlisten(struct host *h, struct listener *l);
void net_accept(struct host *h, void *pending, struct stream *s);
void net_refuse(struct host *h, void *pending);
void net_dial(struct host *h, u16 port, struct stream *s);
void net_flush(struct host *h, struct stream *s);
void net_pause(struct host *h, struct stream *s, bool paused);
void net_close(struct host *h, struct stream *s, bool flush_first);
void net_peer_name(struct host *h, struct stream *s, char *out, size_t size);
void net_closed_taken(struct stream *s); /* ENV_CLOSED has been taken */

/* The host's process is gone. silent: nobody tells the other ends. */
void net_host_down(struct host *h, bool silent);

/* Faults. Links are directions between host ids. */
void net_cut(struct net *n, u32 from, u32 to, bool cut);
bool net_is_cut(const struct net *n, u32 from, u32 to);
void net_heal(struct net *n);
void net_stall(struct net *n, u32 from, u32 to, nanos until);
/* Reset one open connection drawn at random; false if there is none. */
bool net_reset_any(struct net *n);
