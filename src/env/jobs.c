/* Blocking work off the reactor: two threads over one queue. Jobs of one kind run one at a time in
 * the order of submission (a checkpoint never overtakes a checkpoint), jobs of different kinds may
 * run at the same time (a new log segment does not wait behind a checkpoint). */
#include "env/real.h"

#include "base/assert.h"

#include <signal.h>

#define GATHERED_MAX 64

void jobs_init(struct jobs *j, uv_async_t *wake)
{
    *j = (struct jobs){.wake = wake};
    list_init(&j->queue);
    list_init(&j->done);
    if (uv_mutex_init(&j->mutex) || uv_cond_init(&j->wanted)) panic("no lock for the job threads");
}

static bool kind_is_running(const struct jobs *j, u32 kind)
{
    for (u32 i = 0; i < JOB_THREADS; i++)
        if (j->running[i] && j->running[i]->kind == kind) return true;
    return false;
}

static struct env_job *first_runnable(struct jobs *j)
{
    LIST_EACH(at, &j->queue)
    {
        struct env_job *job = CONTAINER_OF(at, struct env_job, link);
        if (!kind_is_running(j, job->kind)) return job;
    }
    return NULL;
}

/* Those of its kind that come right behind it join it. */
static void gather(struct jobs *j, struct env_job *first)
{
    struct env_job *last = first;
    u32 count = 1;

    first->with = NULL;
    LIST_EACH_SAFE(at, &j->queue)
    {
        struct env_job *job = CONTAINER_OF(at, struct env_job, link);
        if (job->kind != first->kind) continue;
        if (!first->gathers || !job->gathers || job->run != first->run || count++ == GATHERED_MAX) return;
        list_remove(at);
        job->with = NULL;
        last = last->with = job;
    }
}

static void thread_main(void *context)
{
    struct jobs *j = context;
    sigset_t all;
    u32 slot = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are the loop's */
    uv_mutex_lock(&j->mutex);
    while (!j->stopping) {
        struct env_job *job = first_runnable(j);
        if (!job) {
            uv_cond_wait(&j->wanted, &j->mutex);
            continue;
        }
        list_remove(&job->link);
        gather(j, job);
        for (slot = 0; j->running[slot]; slot++) assert(slot + 1 < JOB_THREADS);
        j->running[slot] = job;
        uv_mutex_unlock(&j->mutex);
        job->run(job);
        uv_mutex_lock(&j->mutex);
        j->running[slot] = NULL;
        for (; job; job = job->with) list_push(&j->done, &job->link);
        uv_cond_broadcast(&j->wanted); /* the next of this kind may run now */
        uv_async_send(j->wake);
    }
    uv_mutex_unlock(&j->mutex);
}

void jobs_submit(struct jobs *j, struct env_job *job)
{
    assert(job->run);
    while (j->thread_count < JOB_THREADS) {
        if (uv_thread_create(&j->threads[j->thread_count], thread_main, j))
            panic("cannot start a job thread; raise the limit of processes (ulimit -u)");
        j->thread_count++;
    }
    uv_mutex_lock(&j->mutex);
    list_push(&j->queue, &job->link);
    uv_cond_broadcast(&j->wanted);
    uv_mutex_unlock(&j->mutex);
}

void jobs_take_done(struct jobs *j, struct list *to)
{
    if (j->stopping) return; /* the loop still wakes for a job that was done; the lock is gone */
    uv_mutex_lock(&j->mutex);
    list_splice(to, &j->done);
    uv_mutex_unlock(&j->mutex);
}

void jobs_done(struct jobs *j)
{
    if (j->stopping) return;
    uv_mutex_lock(&j->mutex);
    j->stopping = true;
    uv_cond_broadcast(&j->wanted);
    uv_mutex_unlock(&j->mutex);
    for (u32 i = 0; i < j->thread_count; i++) uv_thread_join(&j->threads[i]);
    uv_cond_destroy(&j->wanted);
    uv_mutex_destroy(&j->mutex);
}
