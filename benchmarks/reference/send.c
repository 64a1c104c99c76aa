/* Sends frames of packets at a rate, or as fast as it goes, from one core: the detector of the benchmarks.
 *
 * The packets are made beforehand. Each frame only gets its number, at byte 0 of all its packets, and a stamp that
 * depends on frame and packet on the first 8 bytes behind the header, so that no packet of another frame or place
 * passes for it. Packets leave in bursts that are spread evenly over the period of a frame.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { MOST_MESSAGES = 128, NS = 1000000000 };

#define STAMP_FACTOR 0x9E3779B97F4A7C15u
/* What is late by more is forgotten: a long stop is not followed by a long burst. */
#define MOST_LAG_NS 5000000

struct sending {
    uint8_t *packets;            /* n_templates frames, used in turn */
    int64_t n_templates;
    int64_t packets_per_frame;
    int64_t packet_bytes;
    int64_t header_bytes;
    int64_t packets_per_message; /* 1: plain; more: segments of one message (UDP_SEGMENT) */
    int64_t packets_per_burst;
    int64_t frame_period_ns;     /* 0: as fast as it goes */
    int64_t fd;                  /* connected */
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS + t.tv_nsec;
}

static void sleep_until(int64_t deadline_ns)
{
    struct timespec t = { deadline_ns / NS, deadline_ns % NS };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* Sends packets that lie one behind the other. Returns 0 or an errno. */
static int send_burst(const struct sending *s, uint8_t *packets, int64_t n_packets)
{
    struct mmsghdr messages[MOST_MESSAGES];
    struct iovec iovecs[MOST_MESSAGES];
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr aligned;
    } controls[MOST_MESSAGES];

    while (n_packets > 0) {
        int n = 0;
        memset(messages, 0, sizeof messages);
        for (; n < MOST_MESSAGES && n_packets > 0; n++) {
            int64_t k = n_packets < s->packets_per_message ? n_packets : s->packets_per_message;
            iovecs[n].iov_base = packets;
            iovecs[n].iov_len = k * s->packet_bytes;
            messages[n].msg_hdr.msg_iov = &iovecs[n];
            messages[n].msg_hdr.msg_iovlen = 1;
            if (k > 1) {
                uint16_t segment = s->packet_bytes;
                messages[n].msg_hdr.msg_control = &controls[n];
                messages[n].msg_hdr.msg_controllen = sizeof controls[n].bytes;
                struct cmsghdr *control = CMSG_FIRSTHDR(&messages[n].msg_hdr);
                control->cmsg_level = IPPROTO_UDP;
                control->cmsg_type = UDP_SEGMENT;
                control->cmsg_len = CMSG_LEN(sizeof segment);
                memcpy(CMSG_DATA(control), &segment, sizeof segment);
            }
            packets += k * s->packet_bytes;
            n_packets -= k;
        }
        for (int sent = 0; sent < n;) {
            int taken = sendmmsg(s->fd, messages + sent, n - sent, 0);
            if (taken >= 0)
                sent += taken;
            else if (errno != EINTR && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
                return errno;
        }
    }
    return 0;
}

static void stamp(const struct sending *s, uint8_t *packets, uint64_t frame)
{
    for (int64_t i = 0; i < s->packets_per_frame; i++) {
        uint64_t value = frame * STAMP_FACTOR + i;
        memcpy(packets + i * s->packet_bytes, &frame, sizeof frame);
        memcpy(packets + i * s->packet_bytes + s->header_bytes, &value, sizeof value);
    }
}

/* Sends frames from `first` on until n_frames have gone or *stop is set.
 * sent_ns, if given, gets the time (CLOCK_MONOTONIC) at which the last packet of each frame had been handed over.
 * Returns how many frames have gone, or -errno.
 */
int64_t send_frames(const struct sending *s, uint64_t first, int64_t n_frames, const volatile int32_t *stop,
                    int64_t *sent_ns)
{
    int64_t frame_bytes = s->packets_per_frame * s->packet_bytes;
    int64_t n_bursts = (s->packets_per_frame + s->packets_per_burst - 1) / s->packets_per_burst;
    int64_t origin_ns = now_ns();

    prctl(PR_SET_TIMERSLACK, 1);
    for (int64_t frame = 0; frame < n_frames; frame++) {
        if (*stop)
            return frame;
        uint8_t *packets = s->packets + (first + frame) % s->n_templates * frame_bytes;
        stamp(s, packets, first + frame);
        for (int64_t burst = 0; burst < n_bursts; burst++) {
            if (s->frame_period_ns) {
                int64_t deadline_ns = origin_ns + frame * s->frame_period_ns + burst * s->frame_period_ns / n_bursts;
                int64_t lag_ns = now_ns() - deadline_ns;
                if (lag_ns < 0)
                    sleep_until(deadline_ns);
                else if (lag_ns > MOST_LAG_NS)
                    origin_ns += lag_ns - MOST_LAG_NS;
            }
            int64_t begin = burst * s->packets_per_burst;
            int64_t left = s->packets_per_frame - begin;
            int error = send_burst(s, packets + begin * s->packet_bytes,
                                   left < s->packets_per_burst ? left : s->packets_per_burst);
            if (error)
                return -error;
        }
        if (sent_ns)
            sent_ns[frame] = now_ns();
    }
    return n_frames;
}
